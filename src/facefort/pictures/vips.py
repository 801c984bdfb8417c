"""libvips, set up once: import ``pyvips`` from here, so that no picture is read with other settings."""

from __future__ import annotations

import os

import pyvips

# Every photo is decoded once from its own bytes: remembered operations would only hold memory.
pyvips.cache_set_max(0)
# A codec keeps two threads busy, seldom more; several workers of one machine must not start one per core each.
if "VIPS_CONCURRENCY" not in os.environ:
    pyvips.concurrency_set(min(4, os.cpu_count() or 1))

__all__ = ["pyvips"]
