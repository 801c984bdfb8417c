"""Numbers, each with its direction, its exact variant and what it is tested against."""

from facefort.metrics.metric import METRICS, Metric, metric

__all__ = ["METRICS", "Metric", "metric"]
