"""Numbers of attacks, backdoors and protections: plain functions, and the table that says what each of them is.

The functions take float pictures (N, 3, H, W), RGB in [0, 1] as everywhere in facefort; what a paper defines on another
range is scaled inside, and says so.
"""

from facefort.metrics.security.table import SECURITY_METRICS, SecurityMetric, security_metric

__all__ = ["SECURITY_METRICS", "SecurityMetric", "security_metric"]
