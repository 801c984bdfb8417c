"""What a metric is, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from facefort.errors import FaceError, PictureError, UsageError
from facefort.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Direction = Literal["higher", "lower"]
Definition = Callable[["Tensor", "Tensor"], "Tensor"]
MaskedDefinition = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]

_SLACK = 1e-4
"""How far a float picture may leave [0, 1]: resampling rounds, while a picture in 0..255 is a mistake."""


WITHIN = "-within"
"""Ending of the name of a metric that is measured inside masks."""
NO_MASK = "cannot be measured inside a mask; PSNR, SSIM, LPIPS and DISTS can"


@dataclass(frozen=True)
class Metric:
    """One number per picture, with everything that a reader must know to compare it.

    Attributes:
        name: the name, which carries the variant: "psnr-rgb".
        direction: which way is better.
        range: smallest and largest possible value.
        needs_reference: whether it compares with a second picture.
        variant: one line that fixes the definition.
        reference: the implementation that it is tested against.
        compute: the definition itself, from checked pictures and references; one that needs no reference is handed
            the pictures twice.
        unit: "dB", or "" for a bare number.
        differentiable: whether gradients reach the pictures.
        smallest: shortest side that it is defined on, in pixels.
        needs_face: whether it is defined on aligned faces only, so that a picture that shows none is refused.
        compute_within: the definition inside a mask (N, 1, H, W) in [0, 1]; None where it has no such version.
        masked: whether this is the version inside masks, to be called by :meth:`within` alone.
    """

    name: str
    direction: Direction
    range: tuple[float, float]
    needs_reference: bool
    variant: str
    reference: str
    compute: Definition = field(repr=False)
    unit: str = ""
    differentiable: bool = True
    smallest: int = 1
    needs_face: bool = False
    compute_within: MaskedDefinition | None = field(default=None, repr=False)
    masked: bool = False

    def __call__(self, pictures: Tensor, reference: Tensor | None = None, *, faces_known: bool = False) -> Tensor:
        """Score each picture.

        Args:
            pictures: (N, 3, H, W) RGB in [0, 1].
            reference: the same shape; needed or forbidden as :attr:`needs_reference` says.
            faces_known: the caller knows that the pictures are of faces, however damaged they are; where False, a
                metric that needs a face looks for one in each.

        Returns:
            (N,) on the pictures' device.

        Raises:
            UsageError: the reference is missing, or given to a metric that takes none.
            PictureError: not such a batch, NaN, too small, sizes that differ, or nothing that can be scored.
            FaceError: a picture without a face, in a metric that needs one.
        """
        if self.masked:
            raise UsageError(f"{self.name} is measured inside a mask; give one")
        self._check(pictures, "pictures")
        if reference is None:
            if self.needs_reference:
                raise UsageError(f"{self.name} compares with a reference; give the clean pictures, too")
            self._check_faces(pictures, faces_known, "pictures")
            return self.compute(pictures, pictures)
        if not self.needs_reference:
            raise UsageError(f"{self.name} takes no reference; leave it out")
        self._check(reference, "reference pictures")
        if pictures.shape != reference.shape:
            raise PictureError(
                f"{self.name} needs pictures and references of one size, not {tuple(pictures.shape)} and "
                f"{tuple(reference.shape)}"
            )
        self._check_faces(pictures, faces_known, "pictures")
        self._check_faces(reference, faces_known, "reference pictures")
        return self.compute(pictures, reference.to(pictures))

    def inside(self) -> Metric:
        """The version inside masks, under a name of its own.

        Raises:
            UsageError: the metric has none.
        """
        if self.compute_within is None:
            raise UsageError(f"{self.name} {NO_MASK}")
        return replace(self, name=f"{self.name}{WITHIN}", variant=f"{self.variant}; inside the masks", masked=True)

    def within(self, pictures: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
        """Score each picture inside a mask only.

        Args:
            pictures: (N, 3, H, W) RGB in [0, 1].
            reference: the same shape.
            mask: (N, 1, H, W) in [0, 1], the weight of each pixel.

        Returns:
            (N,) on the pictures' device.

        Raises:
            UsageError: the metric has no version inside a mask.
            PictureError: as for a call, or a mask of another size, or an empty one.
        """
        if self.compute_within is None:
            raise UsageError(f"{self.name} {NO_MASK}")
        self._check(pictures, "pictures")
        self._check(reference, "reference pictures")
        wanted = (len(pictures), 1, *pictures.shape[2:])
        if pictures.shape != reference.shape or tuple(mask.shape) != wanted:
            raise PictureError(
                f"{self.name} needs pictures, references and masks of one size, not {tuple(pictures.shape)}, "
                f"{tuple(reference.shape)} and {tuple(mask.shape)}"
            )
        if not bool((mask.flatten(1).sum(1) > 0).all()):
            raise PictureError(f"{self.name} was given an empty mask; the region is not in the picture")
        return self.compute_within(pictures, reference.to(pictures), mask.to(pictures))

    def _check(self, pictures: Tensor, what: str) -> None:
        check_pictures(self.name, pictures, what, self.smallest)

    def _check_faces(self, pictures: Tensor, known: bool, what: str) -> None:
        if not self.needs_face:
            return
        height, width = pictures.shape[2:]
        if height != width:
            raise PictureError(
                f"{self.name} is measured on aligned, square faces, not on {width} x {height}; align them first"
            )
        if known:
            return
        from facefort.faces.landmarks import SEEN, presence

        crops = pictures.detach().float().permute(0, 2, 3, 1).cpu().numpy()
        faceless = [str(place) for place, crop in enumerate(crops, 1) if presence(crop) < SEEN]
        if faceless:
            raise FaceError(
                f"{self.name} sees no aligned face in {what} {', '.join(faceless)} of {len(crops)}; align the faces, "
                "and leave out what shows none"
            )


def check_pictures(name: str, pictures: Tensor, what: str, smallest: int = 1) -> None:
    """Refuse what the metric called ``name`` cannot score.

    Raises:
        PictureError: not floats (N, 3, H, W) in [0, 1], NaN, or smaller than ``smallest``.
    """
    shape = tuple(pictures.shape)
    if len(shape) != 4 or shape[1] != 3 or 0 in shape or not pictures.is_floating_point():
        raise PictureError(f"{name} takes {what} as floats of shape (N, 3, H, W), not {pictures.dtype} {shape}")
    if min(shape[2:]) < smallest:
        raise PictureError(f"{name} needs {what} of at least {smallest} px a side, not {shape[3]} x {shape[2]}")
    # Torch is fifteen times slower on axes out of their order in memory; pictures from files lie channels last.
    signal = pictures.detach().permute(0, 2, 3, 1) if pictures.stride(1) == 1 else pictures.detach()
    low, high = (bound.item() for bound in signal.aminmax())
    if math.isnan(low) or math.isnan(high):
        raise PictureError(f"{name} was given {what} with NaN in them; what made them has failed")
    if low < -_SLACK or high > 1 + _SLACK:
        raise PictureError(f"{name} takes {what} in [0, 1], not {low:g} to {high:g}; scale or clip them first")


METRICS: Registry[Metric] = Registry("metric")
"""Every metric; facts, which say of it what its object says without importing it: ``direction``, ``range``,
``needs_reference``, ``needs_face``, the ``weights`` it needs fetched, and ``cost_ms``, the CPU time of a 512 px picture
on one thread (`benchmarks/metrics_speed.py`), for choosing, not for comparing."""


# --- fidelity: pixel by pixel -----------------------------------------------------------------------------------------
for _name, _attribute, _range, _cost in (
    ("psnr-rgb", "PSNR_RGB", "0 to inf", 1),
    ("psnr-y", "PSNR_Y", "0 to inf", 2),
    ("psnr-mvc", "PSNR_MVC", "0 to inf", 21),
    ("ssim-rgb", "SSIM_RGB", "-1 to 1", 7),
    ("ssim-y", "SSIM_Y", "-1 to 1", 4),
    ("ssim-mvc", "SSIM_MVC", "-1 to 1", 20),
    ("ms-ssim", "MS_SSIM", "0 to 1", 14),
):
    METRICS.add(
        _name,
        f"facefort.metrics.fidelity:{_attribute}",
        direction="higher",
        range=_range,
        needs_reference=True,
        needs_face=False,
        weights=(),
        cost_ms=_cost,
    )

# --- how alike two pictures look --------------------------------------------------------------------------------------
_Row = tuple[str, str, str, tuple[str, ...], int]
_PERCEPTUAL: tuple[_Row, ...] = (
    ("lpips-alex", "LPIPS_ALEX", "0 to inf", ("lpips",), 80),
    ("lpips-vgg", "LPIPS_VGG", "0 to inf", ("lpips",), 1800),
    ("lpips-rf", "LPIPS_RF", "0 to inf", ("lpips",), 1800),
    ("lpips-rf-unit", "LPIPS_RF_UNIT", "0 to inf", ("lpips",), 1800),
    ("dists", "DISTS", "0 to 2", ("lpips", "dists"), 1900),
)
for _name, _attribute, _range, _weights, _cost in _PERCEPTUAL:
    METRICS.add(
        _name,
        f"facefort.metrics.learned:{_attribute}",
        direction="lower",
        range=_range,
        needs_reference=True,
        needs_face=False,
        weights=_weights,
        cost_ms=_cost,
    )

# --- naturalness, without a reference ---------------------------------------------------------------------------------
for _name, _attribute, _range, _weights, _cost in (
    ("niqe", "niqe:NIQE", "0 to inf", ("niqe-pristine",), 11),
    ("niqe-y", "niqe:NIQE_Y", "0 to inf", ("niqe-pristine",), 11),
    ("niqe-pooled", "niqe:NIQE_POOLED", "0 to inf", ("niqe-pristine",), 240),
    ("brisque", "brisque:BRISQUE", "-inf to inf", ("brisque",), 11),
):
    METRICS.add(
        _name,
        f"facefort.metrics.{_attribute}",
        direction="lower",
        range=_range,
        needs_reference=False,
        needs_face=False,
        weights=_weights,
        cost_ms=_cost,
    )

# --- who is in the picture --------------------------------------------------------------------------------------------
for _judge, _asset, _cost in (
    ("dlib", "dlib-resnet", 35),
    ("arcface-mbf", "arcface-mobilefacenet", 42),
    ("edgeface", "edgeface", 32),
):
    for _kind, _direction, _range in (
        ("identity", "lower", "0 to inf"),
        ("cosine", "higher", "-1 to 1"),
        ("deg", "lower", "0 to inf"),
        ("ids", "higher", "-100 to 100"),
        ("id-sim", "higher", "-1 to 1"),
    ):
        METRICS.add(
            f"{_kind}-{_judge}",
            "facefort.metrics.identity:" + f"{_kind}_{_judge}".replace("-", "_").upper(),
            direction=_direction,
            # Cosine distances end at 2, dlib's Euclidean ones do not.
            range="0 to 2" if _kind == "identity" and _judge != "dlib" else _range,
            needs_reference=True,
            needs_face=True,
            cost_ms=_cost,
            weights=(_asset, "facemesh"),
        )
for _kind, _direction, _range, _asset, _cost in (  # timed with fresh weights, which cost what trained ones do
    ("deg", "lower", "0 to inf", "arcface-resnet18", 72),
    ("idd", "lower", "0 to 3.14159", "arcface-resnet18", 72),
    ("ids", "higher", "-100 to 100", "arcface-resnet18", 72),
    ("id-sim", "higher", "-1 to 1", "arcface-ir-se50", 155),
    ("id-sim-aligned", "higher", "-1 to 1", "arcface-ir-se50", 155),
):
    METRICS.add(
        _kind,
        "facefort.metrics.identity_papers:" + _kind.replace("-", "_").upper(),
        direction=_direction,
        range=_range,
        needs_reference=True,
        needs_face=True,
        cost_ms=_cost,
        weights=(_asset, "facemesh"),
    )
METRICS.add(
    "lmd-468",
    "facefort.metrics.landmarks:LMD_468",
    direction="lower",
    range="0 to inf",
    needs_reference=True,
    needs_face=True,
    cost_ms=13,
    weights=("facemesh",),
)

# --- how good a picture of a face it is -------------------------------------------------------------------------------
METRICS.add(
    "quality-mobilenet",
    "facefort.metrics.quality:QUALITY_MOBILENET",
    direction="higher",
    range="-inf to inf",
    needs_reference=False,
    needs_face=True,
    cost_ms=12,
    weights=("qualityface",),
)
METRICS.add(
    "quality-sdd",
    "facefort.metrics.quality:QUALITY_SDD",
    direction="higher",
    range="0 to 100",
    needs_reference=False,
    needs_face=True,
    cost_ms=10,
    weights=(),
)


def metric(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        UnknownNameError: nothing has that name.
    """
    return METRICS.get(name)
