"""FFHQ: 70000 faces numbered from 0, in folders of a thousand as NVIDIA lays them out, or all in one."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from facefort.pictures.datasets.celebahq import COUNT as CELEBA_HQ_COUNT
from facefort.pictures.datasets.dataset import Check, Dataset, Facts
from facefort.pictures.datasets.scan import Folder, in_order, is_picture, numbers, plain, stem
from facefort.pictures.datasets.splits import FFHQ_SPLITS

COUNT = 70_000
_THOUSAND = re.compile(r"\d{2}000")
_BASICSR_DIGITS = 8
_JSON = "ffhq-dataset-v2.json"


class FFHQ(Dataset):
    """FFHQ in any size."""

    facts = Facts(
        kind="ffhq",
        title="FFHQ",
        layout="images1024x1024/00000/00000.png ... in folders of 1000, or 0 to 69999 (5 or 8 digits) in one",
        licence="data set CC BY-NC-SA 4.0; each picture has its own licence in ffhq-dataset-v2.json; non-commercial",
        counts=(COUNT,),
        use="faces",
    )
    nested = False

    @cached_property
    def names(self) -> list[str]:
        """See :attr:`Dataset.names`."""
        if not self.nested:
            return in_order(self.home.pictures)
        return [f"{place}/{name}" for place, folder in self.home.folders.items() for name in in_order(folder.pictures)]

    @property
    def pattern(self) -> str:
        """A pattern over the folders of a thousand, or the one folder."""
        suffix = Path(self.names[0]).suffix if self.names else ".png"
        return str(self.home.path / "*" / f"*{suffix}") if self.nested else str(self.home.path)

    def expected(self, key: str) -> Path:
        """See :meth:`Dataset.expected`."""
        if not self.nested:
            return super().expected(key)
        suffix = Path(self.names[0]).suffix if self.names else ".png"
        return self.home.path / f"{int(key) // 1000 * 1000:05d}" / f"{int(key):05d}{suffix}"

    def splits(self) -> list[str]:
        """NVIDIA's and HiFaceGAN's."""
        return list(FFHQ_SPLITS)

    def split_keys(self, name: str) -> list[str]:
        """See :meth:`Dataset.split_keys`; a rule is one of numbers, so it holds for a partial copy, too."""
        if name not in FFHQ_SPLITS:
            raise self._no_split(name)
        return [str(place) for place in FFHQ_SPLITS[name].places(COUNT)]

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        faults = self._picture_faults(subset, map(str, range(self.facts.counts[0])))
        here = {name: sum(key in self.index for key in self.split_keys(name)) for name in self.splits()}
        notes = []
        partial = [name for name, count in here.items() if count < FFHQ_SPLITS[name].count]
        if partial:
            notes.append(f"only a part of {', '.join(partial)} is here")
        if not any((place / _JSON).is_file() for place in (self.root, self.home.path.parent)):
            notes.append(f"no {_JSON}: the licence and the author of each picture are in it")
        return Check({"pictures": len(self)}, here, faults, notes)


def find(folder: Folder) -> FFHQ | None:
    """FFHQ in a folder; the largest of the sizes that lie side by side."""
    for place in (folder.child("images1024x1024"), folder.child("thumbnails128x128"), folder):
        if place is not None and _in_thousands(place):
            found = FFHQ(folder.path, place, variant="folders of 1000", evidence=[f"numbered folders in {place.path}"])
            found.nested = True
            return found
    why = _flat(folder)
    return FFHQ(folder.path, folder, variant="one folder", evidence=[f"{why} in {folder.path}"]) if why else None


def _in_thousands(place: Folder) -> bool:
    """Whether folders are called 00000, 01000 ... and hold those numbers."""
    thousands = [inner for name, inner in place.folders.items() if _THOUSAND.fullmatch(name)]
    if not thousands:
        return False
    first = next((inner for inner in thousands if inner.pictures), None)
    if first is None:
        return False
    found = numbers(stem(name) for name in first.pictures)
    return found is not None and all(number // 1000 * 1000 == int(first.path.name) for number in found)


def _flat(place: Folder) -> str:
    """By what a folder of numbered pictures is FFHQ; "" where it is not."""
    names = [name for name in place.files if is_picture(name)]
    found = numbers(stem(name) for name in names)
    if not found or max(found) >= COUNT:
        return ""
    if len(found) == COUNT and min(found) == 0:
        return "numbers 0 to 69999"
    digits = {len(stem(name)) for name in names}
    if digits == {_BASICSR_DIGITS} and min(found) == 0 and len(found) > 1 and "celeb" not in plain(str(place.path)):
        return "numbers from 0 of eight digits, as BasicSR has them,"
    if "ffhq" in plain(str(place.path)):
        return "a folder's name, and numbers below 70000"
    return (
        "numbers from 0 to above 29999" if digits == {5} and min(found) == 0 and max(found) >= CELEBA_HQ_COUNT else ""
    )
