"""Names of the classes of face parsing, in the two orders that are in use, and masks made of single parts.

The same number means another part in the other order, and nothing fails when they are mixed up: pass a table, never a
bare list.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facefort.errors import PictureError, UnknownNameError

LabelMap = NDArray[np.uint8]
Order = Literal["celebamask-hq", "bisenet"]

_CELEBAMASK = "background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l"
_BISENET = "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck neck_l cloth"

LABELS: Mapping[Order, tuple[str, ...]] = {
    "celebamask-hq": (*_CELEBAMASK.split(), "neck", "cloth"),
    "bisenet": (*_BISENET.split(), "hair", "hat"),
}
"""Order -> names by number. "celebamask-hq": switchablenorms/CelebAMask-HQ and ParseNet (facexlib, GPEN, CodeFormer);
"bisenet": zllrunning/face-parsing.PyTorch and everything that takes its weights."""

PARTS: tuple[str, ...] = LABELS["celebamask-hq"][1:]
"""The eighteen parts a mask file can hold, as its name ends: ``00012_l_eye.png``. Left is the picture's left in some
copies' use and the person's in others'; unions of both sides avoid the question."""

MASK_SIDE = 512
_ON = 127


def labels(order: str) -> tuple[str, ...]:
    """Names of the classes by number.

    Raises:
        UnknownNameError: there is no such order.
    """
    for known, names in LABELS.items():
        if known == order:
            return names
    raise UnknownNameError("order of labels", order, LABELS)


def conversion(source: str, target: str) -> LabelMap:
    """Table t with ``t[label in source] = label in target``; a permutation of 0..18."""
    after = labels(target)
    return np.array([after.index(name) for name in labels(source)], np.uint8)


def relabel(parsing: LabelMap, source: str, target: str) -> LabelMap:
    """A label map in another order.

    Where parts overlap, this is not what merging them in the other order gives: see :func:`merge`.

    Raises:
        PictureError: a label that no class has.
    """
    if parsing.size and int(parsing.max()) >= len(labels(source)):
        raise PictureError(
            f"label {int(parsing.max())} is no class of {source}; classes end at {len(labels(source)) - 1}"
        )
    return conversion(source, target)[parsing]


def merge(parts: Mapping[str, Path], order: str = "celebamask-hq", side: int = MASK_SIDE) -> LabelMap:
    """One label map of the part masks of a picture, (side, side) uint8; a missing part is a mask of zeros.

    Where masks overlap, the part with the larger number wins, as in the scripts of both projects; as they number the
    parts differently, they disagree there (hair over ear-rings in one, under them in the other).

    Args:
        parts: part -> its file; files of one or of three channels, above 127 is inside.
        order: of the labels.
        side: of the result; masks of another size are taken as they lie, nearest neighbour.

    Raises:
        PictureError: a file that cannot be read.
    """
    merged: LabelMap = np.zeros((side, side), np.uint8)
    for number, name in enumerate(labels(order)):
        if name in parts:
            merged[_read_mask(parts[name], side)] = number
    return merged


def _read_mask(path: Path, side: int) -> NDArray[np.bool_]:
    import cv2

    from facefort.pictures.photo import Photo

    inside = Photo.read(path).pixels[..., 0] * 255 > _ON
    if inside.shape != (side, side):
        inside = cv2.resize(inside.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    return inside
