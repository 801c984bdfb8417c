"""What a metric is, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from facefort.errors import PictureError, UsageError
from facefort.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Direction = Literal["higher", "lower"]
Definition = Callable[["Tensor", "Tensor"], "Tensor"]
MaskedDefinition = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]

_SLACK = 1e-4
"""How far a float picture may leave [0, 1]: resampling rounds, while a picture in 0..255 is a mistake."""


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
        needs_face: whether it is defined on aligned faces only.
        compute_within: the definition inside a mask (N, 1, H, W) in [0, 1]; None where it has no such version.
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

    def __call__(self, pictures: Tensor, reference: Tensor | None = None) -> Tensor:
        """Score each picture.

        Args:
            pictures: (N, 3, H, W) RGB in [0, 1].
            reference: the same shape; needed or forbidden as :attr:`needs_reference` says.

        Returns:
            (N,) on the pictures' device.

        Raises:
            UsageError: the reference is missing, or given to a metric that takes none.
            PictureError: not such a batch, NaN, too small, sizes that differ, or nothing that can be scored.
        """
        self._check(pictures, "pictures")
        if reference is None:
            if self.needs_reference:
                raise UsageError(f"{self.name} compares with a reference; give the clean pictures, too")
            return self.compute(pictures, pictures)
        if not self.needs_reference:
            raise UsageError(f"{self.name} takes no reference; leave it out")
        self._check(reference, "reference pictures")
        if pictures.shape != reference.shape:
            raise PictureError(
                f"{self.name} needs pictures and references of one size, not {tuple(pictures.shape)} and "
                f"{tuple(reference.shape)}"
            )
        return self.compute(pictures, reference.to(pictures))

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
            raise UsageError(f"{self.name} cannot be measured inside a mask; psnr-rgb, ssim-rgb and lpips-alex can")
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
        shape = tuple(pictures.shape)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape or not pictures.is_floating_point():
            raise PictureError(
                f"{self.name} takes {what} as floats of shape (N, 3, H, W), not {pictures.dtype} {shape}"
            )
        if min(shape[2:]) < self.smallest:
            raise PictureError(
                f"{self.name} needs {what} of at least {self.smallest} px a side, not {shape[3]} x {shape[2]}"
            )
        low, high = (bound.item() for bound in pictures.detach().aminmax())
        if math.isnan(low) or math.isnan(high):
            raise PictureError(f"{self.name} was given {what} with NaN in them; what made them has failed")
        if low < -_SLACK or high > 1 + _SLACK:
            raise PictureError(f"{self.name} takes {what} in [0, 1], not {low:g} to {high:g}; scale or clip them first")


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

# --- identity ---------------------------------------------------------------------------------------------------------
METRICS.add(
    "identity-dlib",
    "facefort.metrics.learned:IDENTITY_DLIB",
    direction="lower",
    range="0 to inf",
    needs_reference=True,
    needs_face=True,
    weights=("dlib-resnet",),
    cost_ms=35,
)


def metric(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        UnknownNameError: nothing has that name.
    """
    return METRICS.get(name)
