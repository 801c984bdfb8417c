"""A picture made small and large again: the degraded picture that a backdoor of a restorer aims at."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from facefort.errors import UsageError

Downscaling = Literal["bilinear", "area"]


def shrink_and_back(pictures: Tensor, ratio: float = 0.1, *, down: Downscaling = "bilinear") -> Tensor:
    """Downscale to ``ratio`` of each side and enlarge to the old size bilinearly, (N, 3, H, W) -> (N, 3, H, W).

    With 0.1 this is I_0.1 of AS-FIBA (Song et al., arXiv 2403.06430, section III), which is made of the *degraded*
    input, not of the clean face. The paper leaves the rounding and the downscaling open: sides are rounded to the
    nearest pixel (512 -> 51), and the downscaling takes single samples (no antialiasing) unless ``down`` is "area".

    Raises:
        UsageError: a ratio outside (0, 1], or one that leaves no pixel.
    """
    height, width = pictures.shape[2:]
    small = round(height * ratio), round(width * ratio)
    if not 0 < ratio <= 1 or min(small) < 1:
        raise UsageError(f"a ratio of {ratio:g} leaves nothing of {width} x {height}; choose one between 0 and 1")
    if down == "area":
        shrunk = F.interpolate(pictures, small, mode="area")
    else:
        shrunk = F.interpolate(pictures, small, mode="bilinear", align_corners=False)
    return F.interpolate(shrunk, (height, width), mode="bilinear", align_corners=False)
