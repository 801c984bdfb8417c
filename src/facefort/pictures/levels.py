"""Integer levels of a file become float32 in [0, 1] and go back, in bands of rows that stay in a core's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facefort.errors import PictureError

Pixels: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.unsignedinteger[Any]]

_BAND_ELEMENTS = 1 << 18
_WORKERS = min(4, os.cpu_count() or 1)


def to_unit(levels: NDArray[np.generic], white: float, channels: int) -> Pixels:
    """Levels divided by the level of white.

    Args:
        levels: (H, W, C) of any number type.
        white: the level that becomes 1.0.
        channels: channels of the result; one channel is repeated where more are asked for.

    Returns:
        (H, W, channels) float32, a new contiguous array.
    """
    height, width = levels.shape[:2]
    unit = np.empty((height, width, channels), np.float32)

    def band(rows: slice) -> None:
        np.divide(levels[rows], np.float32(white), out=unit[rows], dtype=np.float32, casting="unsafe")

    _in_bands(band, height, width * channels)
    return unit


def to_levels(unit: Pixels, bits: int) -> Levels:
    """Values in [0, 1] rounded to the nearest of 2^bits levels; what lies outside is clipped.

    Args:
        unit: (H, W, C) float32.
        bits: 8 or 16.

    Raises:
        PictureError: a value is NaN or infinite.
    """
    white = np.float32(2**bits - 1)
    height, width, channels = unit.shape
    levels: Levels = np.empty(unit.shape, np.uint8 if bits == 8 else np.uint16)

    def band(rows: slice) -> None:
        scaled = unit[rows] * white
        if not np.isfinite(scaled.sum()):
            raise PictureError("the picture has pixels that are not numbers (NaN or infinite)")
        np.clip(scaled, 0, white, out=scaled)
        scaled += np.float32(0.5)
        np.copyto(levels[rows], scaled, casting="unsafe")

    _in_bands(band, height, width * channels)
    return levels


def _in_bands(work: Callable[[slice], None], height: int, row_elements: int) -> None:
    step = max(1, _BAND_ELEMENTS // row_elements)
    bands = [slice(top, top + step) for top in range(0, height, step)]
    if len(bands) <= _WORKERS:
        for rows in bands:
            work(rows)
        return
    with ThreadPoolExecutor(_WORKERS) as pool:
        for _ in pool.map(work, bands):
            pass
