"""How the values of a run's rows are named, rounded and judged on a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]

REFERENCE = ("psnr-rgb", "ssim-rgb", "lpips-alex", "lpips-vgg", "identity-dlib")
WITHOUT_REFERENCE = ("niqe", "identity-io")
STABILITY = ("psnr-cc", "lpips-alex-cc", "identity-cc")


@dataclass(frozen=True)
class Measure:
    """One measured quantity.

    Attributes:
        name: the key in the rows, which is also the variant: "lpips-alex".
        label: for people.
        better: which direction is better for the restorer; None where neither is.
        digits: decimals shown.
        unit: empty where the quantity has none.
    """

    name: str
    label: str
    better: Better | None
    digits: int = 3
    unit: str = ""


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("psnr-rgb", "PSNR", "higher", 2, "dB"),
        Measure("ssim-rgb", "SSIM", "higher"),
        Measure("lpips-alex", "LPIPS, AlexNet", "lower"),
        Measure("lpips-vgg", "LPIPS, VGG", "lower"),
        Measure("identity-dlib", "Identity distance", "lower"),
        Measure("niqe", "NIQE", "lower", 2),
        Measure("identity-io", "Identity distance from the input", "lower"),
        Measure("psnr-cc", "PSNR of the restoration", "higher", 2, "dB"),
        Measure("lpips-alex-cc", "LPIPS of the restoration", "lower"),
        Measure("identity-cc", "Identity distance of the restoration", "lower"),
        Measure("psnr-in", "PSNR of the input", None, 2, "dB"),
    )
}
