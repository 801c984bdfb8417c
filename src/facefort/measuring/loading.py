"""Reading pictures for measuring: 8 bits, checked, one batch ahead, grouped by size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch.nn.functional as F

from facefort.errors import PictureError
from facefort.measuring.units import Unit
from facefort.pictures.levels import Levels, to_levels
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import from_bytes, to_bytes

BATCH_PIXELS = 512 * 512
"""Pixels that a picture of a full batch may have; of larger ones fewer are taken at a time."""
_OPEN_BATCHES = 4
"""Batches' worth of pictures that wait for more of their size before the oldest are measured anyway."""


@dataclass(frozen=True)
class Loading:
    """How pictures are read.

    Attributes:
        size: side of the square pictures that a protocol prescribes; None takes any.
        crop_border: pixels cut off every side.
        rule: who prescribes the size, for the message.
        fit: shrink a larger reference of the same shape to the picture's size.
    """

    size: int | None = None
    crop_border: int = 0
    rule: str = ""
    fit: bool = False


@dataclass(frozen=True, eq=False)
class Loaded:
    """A unit with its pixels.

    Attributes:
        index: place of the unit among all.
        unit: what was read.
        test: (H, W, 3) uint8 RGB; None where there is a problem.
        reference: the same shape; None where there is none, or a reference problem.
        problem: why nothing can be measured.
        reference_problem: why nothing can be compared with a reference.
        mask: (H, W) uint8, 255 where it counts; None where there is none, or a mask problem.
        mask_problem: why nothing can be measured inside a mask.
    """

    index: int
    unit: Unit
    test: Levels | None = None
    reference: Levels | None = None
    width: int = 0
    height: int = 0
    problem: str = ""
    reference_problem: str = ""
    sha256: str = ""
    reference_sha256: str = ""
    mask: Levels | None = None
    mask_problem: str = ""
    mask_sha256: str = ""


def load(index: int, unit: Unit, how: Loading) -> Loaded:
    """Read a unit's pictures; whatever is wrong with them is a problem of the result, not an error."""
    problem, reference_problem = unit.problem, unit.reference_problem
    test = reference = None
    sha256 = reference_sha256 = ""
    width = height = 0
    try:
        if unit.test is not None and not problem:
            test, sha256 = read(unit.test, "the picture", how.crop_border)
            height, width = test.shape[:2]
            if how.size is not None and (height, width) != (how.size, how.size):
                test = None
                problem = f"the protocol {how.rule} measures {how.size} x {how.size} pictures, not {width} x {height}"
    except PictureError as error:
        problem = str(error)
    try:
        if unit.reference is not None and not reference_problem:
            reference, reference_sha256 = read(unit.reference, "the reference", how.crop_border)
            if test is not None and how.fit:
                reference = fitted(reference, height, width)
            if test is not None and reference.shape != test.shape:
                there = f"{reference.shape[1]} x {reference.shape[0]}"
                reference = None
                reference_problem = (
                    f"the picture is {width} x {height}, its reference {there}; give both one size, or add --fit"
                )
    except PictureError as error:
        reference_problem = str(error)
    found = Loaded(index, unit, test, reference, width, height, problem, reference_problem, sha256, reference_sha256)
    if unit.mask is None:
        return replace(found, mask_problem=unit.mask_problem)
    mask, mask_problem, mask_sha256 = _mask(unit.mask, how.crop_border, test)
    return replace(found, mask=mask, mask_problem=mask_problem, mask_sha256=mask_sha256)


def _mask(path: Path, crop_border: int, test: Levels | None) -> tuple[Levels | None, str, str]:
    """A mask (H, W), why there is none, and the SHA-256 of its file."""
    try:
        photo = Photo.read(path)
        levels = to_levels(photo.pixels, 8)
    except PictureError as error:
        return None, str(error), ""
    inside = slice(crop_border, -crop_border or None)
    mask = np.ascontiguousarray(levels[inside, inside].max(2))
    if test is not None and mask.shape != test.shape[:2]:
        there, here = f"{mask.shape[1]} x {mask.shape[0]}", f"{test.shape[1]} x {test.shape[0]}"
        return None, f"the picture is {here}, its mask {there}; give both one size", photo.sha256
    return mask, "", photo.sha256


def fitted(levels: Levels, height: int, width: int) -> Levels:
    """A picture shrunk to a size of the same shape (antialiased bicubic, 8 bits); any other comes back as it is."""
    rows, columns = levels.shape[:2]
    if rows <= height or rows * width != columns * height:
        return levels
    small = F.interpolate(from_bytes(levels[None]), (height, width), mode="bicubic", antialias=True)
    shrunk: Levels = to_bytes(small)[0]
    return shrunk


def read(path: Path, what: str = "the picture", crop_border: int = 0) -> tuple[Levels, str]:
    """Pixels of a file, (H, W, 3) uint8 RGB, and the SHA-256 of its bytes.

    Raises:
        PictureError: cannot be read; a single pixel; one flat colour; NaN.
    """
    photo = Photo.read(path)
    if photo.width * photo.height == 1:
        raise PictureError(f"{what} {path.name} has one pixel; there is nothing to measure")
    if min(photo.width, photo.height) <= 2 * crop_border:
        raise PictureError(f"{what} {path.name} is {photo.width} x {photo.height}; nothing is left after cropping")
    try:
        levels = to_levels(photo.pixels, 8)
    except PictureError:
        raise PictureError(f"{what} {path.name} has NaN or infinite pixels; what made it has failed") from None
    inside = slice(crop_border, -crop_border or None)
    levels = np.ascontiguousarray(levels[inside, inside])
    if (levels == levels[0, 0]).all():
        raise PictureError(f"{what} {path.name} is one flat colour; what made it has failed")
    return levels, photo.sha256


def stream(units: Iterable[tuple[int, Unit]], how: Loading, ahead: int) -> Iterator[Loaded]:
    """Loaded units in order; ``ahead`` of them are decoded in another thread while one is worked on."""
    rest = iter(units)
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        waiting: list[Future[Loaded]] = [pool.submit(load, i, unit, how) for i, unit in islice(rest, ahead)]
        while waiting:
            loaded = waiting.pop(0).result()
            waiting += [pool.submit(load, i, unit, how) for i, unit in islice(rest, 1)]
            yield loaded


def batches(loaded: Iterable[Loaded], batch: int) -> Iterator[list[Loaded]]:
    """Group by size; what has no pixels comes alone, at once.

    A batch is let go when it is full, and the one that has waited longest when too many pictures wait, so that memory
    holds a few batches whatever the mixture of sizes.
    """
    groups: dict[tuple[int, ...], list[Loaded]] = {}
    waiting = 0
    for one in loaded:
        if one.test is None:
            yield [one]
            continue
        shape = one.test.shape
        full = max(1, min(batch, batch * BATCH_PIXELS // (shape[0] * shape[1])))
        groups.setdefault(shape, []).append(one)
        waiting += 1
        if len(groups[shape]) >= full:
            waiting -= len(groups[shape])
            yield groups.pop(shape)
        elif waiting > _OPEN_BATCHES * batch:
            oldest = next(iter(groups))
            waiting -= len(groups[oldest])
            yield groups.pop(oldest)
    yield from groups.values()
