"""What the functions of this room refuse, in one line each."""

from __future__ import annotations

import math

from torch import Tensor

from facefort.errors import PictureError

_LOW, _HIGH = -1.0, 2.0
"""Outputs of manipulators are not clipped and may leave [0, 1]; a picture in 0..255 is a mistake."""


def check_pictures(name: str, *batches: Tensor) -> None:
    """Refuse what are not float batches (N, 3, H, W) of one shape, or hold NaN, or values far from [0, 1].

    Raises:
        PictureError: which of it.
    """
    first = tuple(batches[0].shape)
    for batch in batches:
        shape = tuple(batch.shape)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape or not batch.is_floating_point():
            raise PictureError(f"{name} takes pictures as floats of shape (N, 3, H, W), not {batch.dtype} {shape}")
        if shape != first:
            raise PictureError(f"{name} compares pictures of one size, not {first} and {shape}")
        low, high = (bound.item() for bound in batch.detach().aminmax())
        if math.isnan(low) or math.isnan(high):
            raise PictureError(f"{name} was given pictures with NaN in them; what made them has failed")
        if low < _LOW or high > _HIGH:
            raise PictureError(f"{name} takes pictures in [0, 1], not {low:g} to {high:g}; scale them first")


def check_scores(name: str, *scores: Tensor) -> None:
    """Refuse what are not equally long float vectors (N,) without NaN.

    Raises:
        PictureError: which of it.
    """
    for each in scores:
        if each.ndim != 1 or each.shape != scores[0].shape or not each.is_floating_point():
            shapes = " and ".join(str(tuple(one.shape)) for one in scores)
            raise PictureError(f"{name} takes one float per picture, (N,), not {shapes}")
        if bool(each.detach().isnan().any()):
            raise PictureError(f"{name} was given a NaN score; find and fix what made it, or leave that picture out")
