"""The photo that faces are put back into: enlarged, grey or in colour, with boxes drawn where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facefort.faces.face import Box
from facefort.pictures.levels import Pixels

Matrix: TypeAlias = NDArray[np.floating]
"""(2, 3) similarity that maps pixels of the photo to pixels of an aligned crop; pixel centres are whole numbers."""

_GREY_TOLERANCE = 1.5 / 255
_BOX_COLOUR = (0.0, 0.8, 0.4)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Pixels (H, W, 3) at another size: Lanczos where they are enlarged, area averages where they are reduced."""
    if pixels.shape[:2] == (height, width):
        return pixels
    kernel = cv2.INTER_LANCZOS4 if width * height >= pixels.shape[0] * pixels.shape[1] else cv2.INTER_AREA
    return np.clip(cv2.resize(pixels, (width, height), interpolation=kernel), 0, 1).astype(np.float32, copy=False)


def changed_by(pixels: Pixels, before: Pixels, after: Pixels) -> Pixels:
    """Pixels (H, W, 3) with what changed between two smaller pictures of them; finer detail stays as it is."""
    change = cv2.resize(after - before, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(pixels + change, 0, 1)


def enlarge(pixels: Pixels, scale: float) -> Pixels:
    """Pixels enlarged by ``scale``; the very same array at 1."""
    return resize(pixels, round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))


def enlarged_matrix(matrix: Matrix, before: Pixels, after: Pixels) -> Matrix:
    """The alignment of the same crop in the enlarged photo.

    A pixel's centre x comes to lie at s * (x + 0.5) - 0.5, s being the ratio of the two widths (heights).
    """
    ratio = np.array([after.shape[1] / before.shape[1], after.shape[0] / before.shape[0]])
    shift = matrix[:, 2] + matrix[:, :2] @ (0.5 / ratio - 0.5)
    return np.column_stack([matrix[:, :2] / ratio, shift]).astype(matrix.dtype)


def is_grey(pixels: Pixels) -> bool:
    """Whether red, green and blue are equal, but for the rounding of a JPEG."""
    return bool(np.ptp(pixels, axis=2).max() <= _GREY_TOLERANCE)


def to_grey(pixels: Pixels) -> Pixels:
    """A face (S, S, 3) without its colours: a model that only knows colour photos tints a grey one."""
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def draw_boxes(pixels: Pixels, boxes: Sequence[tuple[int, Box]], scale: float) -> Pixels:
    """A copy of the photo with numbered boxes.

    Args:
        pixels: (H, W, 3) of the enlarged photo.
        boxes: number and box of each face, in pixels of the photo before it was enlarged.
        scale: by how much it was enlarged.
    """
    ink = np.zeros(pixels.shape[:2], np.uint8)  # OpenCV writes text into bytes only
    thickness = max(1, round(min(ink.shape) / 400))
    for number, box in boxes:
        x0, y0, x1, y1 = (round(value * scale) for value in box)
        cv2.rectangle(ink, (x0, y0), (x1, y1), 255, thickness)
        text = (x0 + 2 * thickness, y0 + 14 * thickness)
        cv2.putText(ink, str(number), text, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * thickness, 255, thickness)
    return np.where(ink[..., None] > 127, np.array(_BOX_COLOUR, np.float32), pixels)
