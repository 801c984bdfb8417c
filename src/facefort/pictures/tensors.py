"""Between numpy pictures (H, W, 3) and torch batches (N, 3, H, W), both float32 RGB in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def to_batch(pictures: Sequence[np.ndarray]) -> Tensor:
    """Stack (H, W, 3) pictures of one size into a batch (N, 3, H, W)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().contiguous()


def to_pictures(batch: Tensor) -> np.ndarray:
    """A batch (N, 3, H, W) as an array (N, H, W, 3) of float32."""
    return batch.detach().float().cpu().permute(0, 2, 3, 1).contiguous().numpy()


def round_to_8_bits(batch: Tensor) -> Tensor:
    """The values that survive being saved as 8-bit pictures: clamped to [0, 1] and rounded to n/255."""
    return batch.clamp(0, 1).mul(255).round().div(255)


def to_bytes(batch: Tensor) -> np.ndarray:
    """A batch (N, 3, H, W) in [0, 1] as uint8 pictures (N, H, W, 3)."""
    values = batch.detach().clamp(0, 1).mul(255).round().byte()
    return values.cpu().permute(0, 2, 3, 1).contiguous().numpy()


def from_bytes(pictures: np.ndarray) -> Tensor:
    """uint8 pictures (N, H, W, 3) as a float32 batch (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div(255)
