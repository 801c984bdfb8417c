"""The centre crops with which manipulators were trained on CelebA's 178 x 218 pictures; the wrong one degrades them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefort.errors import PictureError, UnknownNameError
from facefort.pictures.levels import to_levels, to_unit

CELEBA_CROPS: dict[str, int] = {"stargan": 178, "cmua": 170}
"""Manipulator's training -> side of the centre crop: StarGAN's and CMUA-Watermark's data loaders. CelebA-HQ is not
cropped."""


def centre_crop(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """The central square, (H, W, C) -> (side, side, C), at the same pixels as torchvision's ``CenterCrop``.

    Raises:
        PictureError: the picture is smaller.
    """
    height, width = picture.shape[:2]
    if side > min(height, width):
        raise PictureError(
            f"a crop of {side} px does not fit into {width} x {height}; take the aligned pictures of CelebA"
        )
    top, left = round((height - side) / 2), round((width - side) / 2)
    return picture[top : top + side, left : left + side]


def celeba_crop(picture: NDArray[np.float32], rule: str, size: int) -> NDArray[np.float32]:
    """What a manipulator's data loader makes of a CelebA picture, (H, W, 3) -> (size, size, 3) in [0, 1].

    The resizing is Pillow's bilinear with antialiasing on 8 bits, as torchvision does it.

    Args:
        picture: (218, 178, 3) float RGB in [0, 1].
        rule: of :data:`CELEBA_CROPS`.
        size: side of the manipulator's input: 128 or 256.

    Raises:
        UnknownNameError: no such rule.
        PictureError: the picture is smaller than the crop.
    """
    if rule not in CELEBA_CROPS:
        raise UnknownNameError("crop", rule, CELEBA_CROPS)
    from PIL import Image

    crop = np.ascontiguousarray(to_levels(centre_crop(picture, CELEBA_CROPS[rule]), 8))
    return to_unit(np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.BILINEAR)), 255, 3)
