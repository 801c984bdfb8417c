"""Normalisation, swish and convolution as one operation, for speed and memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def norm_swish_conv(x: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
    """``conv(silu(norm(x)))``."""
    return conv(F.silu(norm(x), inplace=not torch.is_grad_enabled()))
