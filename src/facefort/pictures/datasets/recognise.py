"""Which data set a folder holds, by its layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from facefort.errors import UnknownNameError, UsageError
from facefort.pictures.datasets import celeba, celebahq, ffhq, lfw, plain_folders, testsets
from facefort.pictures.datasets.dataset import Dataset, Facts
from facefort.pictures.datasets.scan import Folder

_SHOWN = 4
_LOOK_INTO = 64
_DEPTH = 2


class NotRecognisedError(UsageError):
    """A folder that holds no data set; the message says what was looked for. Exit code 2."""


@dataclass(frozen=True)
class Layout:
    """A data set, and how a copy of it is found.

    Attributes:
        dataset: its class.
        find: folder -> the copy at or below it, or None.
        flat: whether one folder of pictures can be all of it, so that a user's word is enough.
    """

    dataset: type[Dataset]
    find: Callable[[Folder], Dataset | None]
    flat: bool = True

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        return self.dataset.facts

    def forced(self, folder: Folder) -> Dataset | None:
        """The copy that a user says is there, where pictures are."""
        found = self.find(folder)
        if type(found) is self.dataset:
            return found
        return self.dataset(folder.path, folder, evidence=["your word"]) if self.flat and folder.pictures else None


LAYOUTS: tuple[Layout, ...] = (
    Layout(plain_folders.Run, plain_folders.find_run, flat=False),
    Layout(plain_folders.Lmdb, plain_folders.find_lmdb, flat=False),
    Layout(testsets.CelebATest, testsets.find_pairs, flat=False),
    Layout(testsets.Pairs, testsets.find_pairs, flat=False),
    Layout(celebahq.CelebAMaskHQ, celebahq.find, flat=False),
    Layout(ffhq.FFHQ, ffhq.find),
    Layout(celebahq.CelebAHQ, celebahq.find),
    Layout(celeba.CelebA, celeba.find),
    Layout(lfw.LFW, lfw.find, flat=False),
    *(Layout(each, testsets.find) for each in testsets.TEST_SETS),
    Layout(plain_folders.AlignedFaces, plain_folders.find_pictures),
    Layout(plain_folders.Photos, plain_folders.find_pictures),
)
"""Every layout that is looked for, in this order: the more there is to recognise by, the earlier."""


def recognise(path: Path | str, kind: str | None = None) -> Dataset:
    """The data set that a folder holds.

    Only names are looked at, and the headers of a few pictures; :meth:`Dataset.check` counts.

    Args:
        path: the folder; what Kaggle and zip tools put in a folder of the same name is found there.
        kind: take it for this one (:data:`LAYOUTS`) where several look the same.

    Raises:
        UnknownNameError: there is no such kind.
        NotRecognisedError: it holds none, or several side by side.
        UsageError: it is no folder, or cannot be listed.
    """
    root = Path(path)
    if not root.is_dir():
        what = "is a file; name the folder it lies in" if root.exists() else "does not exist; check the name"
        raise UsageError(f"{root} {what}")
    layouts = [each for each in LAYOUTS if kind in (None, each.facts.kind)]
    if not layouts:
        raise UnknownNameError("data set", str(kind), sorted({each.facts.kind for each in LAYOUTS}))
    folder = Folder(root)
    find = layouts[0].forced if kind is not None else _find
    held = _held(folder, find, _DEPTH)
    if len(held) == 1:
        return held[0]
    if held:
        listed = ", ".join(f"{one.root} ({one.title})" for one in held[:_SHOWN]) + (" ..." if held[_SHOWN:] else "")
        raise NotRecognisedError(f"{root} holds several data sets; name one: {listed}")
    looked_for = "; ".join(f"{each.facts.title}: {each.facts.layout}" for each in layouts)
    raise NotRecognisedError(f"{root} is no data set that facefort knows ({_content(folder)}); looked for {looked_for}")


def _held(folder: Folder, find: Callable[[Folder], Dataset | None], depth: int) -> list[Dataset]:
    """What a folder is; else what the folders in it are, and so on down to a depth."""
    found = find(folder)
    if found is not None or not depth:
        return [] if found is None else [found]
    inner = islice(folder.folders.values(), _LOOK_INTO)
    return [one for each in inner for one in _held(each, find, depth - 1)]


def _find(folder: Folder) -> Dataset | None:
    return next((found for layout in LAYOUTS if (found := layout.find(folder)) is not None), None)


def _content(folder: Folder) -> str:
    pictures, others = len(folder.pictures), len(folder.files) - len(folder.pictures)
    return f"{pictures} pictures, {others} other files and {len(folder.folders)} folders in it"
