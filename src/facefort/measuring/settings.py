"""Settings of a measurement."""

from __future__ import annotations

from dataclasses import dataclass

from facefort.config import option

WITH_REFERENCE = ("psnr-rgb", "ssim-rgb", "lpips-alex", "lpips-vgg", "niqe")
WITHOUT_REFERENCE = ("niqe",)
WITHIN_MASKS = ("psnr-rgb", "ssim-rgb", "lpips-alex", "lpips-vgg")
"""What is measured where neither metrics nor a protocol are named."""


@dataclass(frozen=True)
class MeasureSettings:
    """What is measured, against what, and by which definitions."""

    test: str = option("pictures to measure: folder, file, pattern, or a restore run's folder", "", flags=("-t",))
    reference: str = option(
        "clean pictures to compare with, paired by file name without ending", "", flags=("-r",), metavar="PATH"
    )
    masks: str = option("masks of the pictures' names, white where it counts: measure inside them", "", metavar="PATH")
    metrics: tuple[str, ...] = option(
        "metrics, or patterns such as 'psnr-*'; `facefort ls metrics` lists them", (), flags=("-M",), metavar="LIST"
    )
    protocol: str = option(
        "measure as a paper does; `facefort ls protocols` lists them", "", flags=("-P",), metavar="NAME"
    )
    set_reference: str = option(
        "what metrics of sets (FID, KID) compare with: a folder of pictures, or saved statistics; "
        "without it the reference pictures",
        "",
        metavar="PATH",
    )
    pair_suffix: str = option("ending that test names have and reference names lack, such as _00", "")
    reference_suffix: str = option("ending that reference names have and test names lack, such as _gt", "")
    subset: bool = option("references without a test picture are no failure", False)
    exclude: tuple[str, ...] = option(
        "leave pictures out of a metric's mean, and count them: 'deg < 1'", (), metavar="LIST"
    )
    fail_if: tuple[str, ...] = option("exit with 3 where a mean is like this: 'lpips-vgg > 0.3'", (), metavar="LIST")
    crop_border: int = option("pixels cut off every side before anything is measured", 0, low=0)
    fit: bool = option("shrink a larger reference of the same shape to the picture's size (antialiased bicubic)", False)
    face_check: bool = option("look for a face before measuring who it is", True)
    limit: int | None = option("measure only the first pictures", None, low=1)
    batch: int = option("pictures at a time (of 512 px; fewer of larger ones)", 4, low=1)
    set_interval: str = option(
        "interval of metrics of sets: the bootstrap's is 1.4 to 4 times too wide for FID",
        "jackknife",
        choices=("jackknife", "bootstrap", "none"),
    )
    seed: int = option("seed of the intervals' resampling", 0)
    device: str = option("device", "auto")
