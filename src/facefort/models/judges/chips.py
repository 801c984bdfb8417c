"""Cutting the chip that a recogniser wants out of a face that is aligned already.

An aligned face has its five landmarks (eye centres, nose tip, mouth corners) at known places, and so does the chip a
recogniser was trained on. What leads from one to the other is therefore a constant of the layout: a scale and a shift,
fitted to the five points by least squares. (A rotation is left out: between upright templates it would be 0.1 degrees,
which is their annotators' noise.) Scale and shift are separable, so the chip is two matrix products, with a triangle
filter that widens when the face shrinks: free of aliasing, deterministic on every device, differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from facefort.errors import FaceError, PictureError, UsageError, suggest

Layout = Literal["ffhq", "arcface"]

SMALLEST = 64
"""Side of the smallest face that a recogniser takes, in pixels."""


@dataclass(frozen=True)
class Template:
    """Where a square picture of a face has its landmarks.

    Attributes:
        size: side in pixels that the points refer to.
        points: (x, y) of left eye, right eye, nose tip, left and right mouth corner as a viewer sees them; whole
            numbers are pixel centres.
    """

    size: int
    points: tuple[tuple[float, float], ...]

    def unit_points(self) -> Tensor:
        """The points as parts of the side, (5, 2) float64, from the outer corner of the first pixel."""
        return (torch.tensor(self.points, dtype=torch.float64) + 0.5) / self.size


FFHQ = Template(
    512,
    (
        (192.98138, 239.94708),
        (318.90277, 240.19360),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ),
)
"""Mean landmarks of FFHQ at 512 px; the template of facexlib and GFP-GAN."""

ARCFACE = Template(
    112, ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
)
"""ArcFace's template (Deng et al. 2019, insightface)."""

_LAYOUTS: dict[Layout, Template] = {"ffhq": FFHQ, "arcface": ARCFACE}


def cut(faces: Tensor, layout: Layout, chip: Template) -> Tensor:
    """Resample aligned faces to a recogniser's chip.

    Args:
        faces: (N, 3, S, S) with S >= 64.
        layout: how the faces are aligned.
        chip: what the recogniser wants.

    Returns:
        (N, 3, chip.size, chip.size); black where the chip reaches beyond the face, as dlib fills it.

    Raises:
        PictureError: not a batch of square RGB pictures, or not finite.
        FaceError: smaller than 64 px.
        UsageError: unknown layout.
    """
    check_faces(faces)
    if layout not in get_args(Layout):
        raise UsageError(f"unknown layout '{layout}'{suggest(layout, get_args(Layout))}")
    rows, columns = _matrices(layout, chip, faces.shape[-1])
    return rows.to(faces) @ faces @ columns.to(faces).T


def check_faces(faces: Tensor) -> None:
    """Refuse what is not a finite batch of square RGB faces of at least 64 px (errors as in :func:`cut`)."""
    shape = tuple(faces.shape)
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or not faces.is_floating_point():
        raise PictureError(
            f"a recogniser takes aligned faces as floats of shape (N, 3, S, S), not {faces.dtype} {shape}"
        )
    # Where gradients are recorded, a loop is at work that checks its loss and knows which face it was.
    if not faces.requires_grad and not bool(faces.isfinite().all()):
        raise PictureError("a recogniser was given a face with NaN or infinity in it; what made it has failed")
    if shape[-1] < SMALLEST:
        raise FaceError(f"a face of {shape[-1]} px is too small to recognise; give at least {SMALLEST} px")


def window(layout: Layout, chip: Template) -> tuple[float, float, float]:
    """The square of an aligned face that becomes the chip: (left, top, side) as parts of the face's side."""
    face, wanted = _LAYOUTS[layout].unit_points(), chip.unit_points()
    face_centre, wanted_centre = face.mean(0), wanted.mean(0)
    spread = face - face_centre
    scale = (spread * (wanted - wanted_centre)).sum() / spread.square().sum()
    left, top = (face_centre - wanted_centre / scale).tolist()
    return left, top, 1 / scale.item()


@lru_cache(maxsize=64)
def _matrices(layout: Layout, chip: Template, size: int) -> tuple[Tensor, Tensor]:
    left, top, side = window(layout, chip)
    span: Sequence[tuple[float, float]] = [(start * size, side * size) for start in (top, left)]
    rows, columns = (resampling_matrix(size, chip.size, start, length) for start, length in span)
    return rows, columns


def resampling_matrix(source: int, target: int, start: float, length: float) -> Tensor:
    """Weights that resample a line of ``source`` pixels to ``target``, with a triangle filter against aliasing.

    Args:
        source: pixels at hand.
        target: pixels wanted.
        start: where the first wanted pixel begins, in source pixels from the first one's outer edge.
        length: source pixels that the wanted ones cover.

    Returns:
        (target, source) float32; a row sums to 1 where it lies inside, to less where it reaches beyond an end.
    """
    step = length / target
    reach = max(step, 1.0)
    centres = start + (torch.arange(target, dtype=torch.float64) + 0.5) * step - 0.5
    taps = torch.arange(2 * int(reach + 1) + 1) - int(reach + 1)
    places = centres.floor().long()[:, None] + taps
    weights = (1 - (places - centres[:, None]).abs() / reach).clamp_min(0)
    weights = weights / weights.sum(1, keepdim=True)
    inside = (places >= 0) & (places < source)
    matrix = torch.zeros(target, source, dtype=torch.float64)
    matrix.scatter_add_(1, places.clamp(0, source - 1), weights * inside)
    return matrix.float()
