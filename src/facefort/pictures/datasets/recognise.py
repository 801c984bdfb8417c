"""Which data set a folder holds, by its layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facefort.errors import UnknownNameError, UsageError
from facefort.pictures.datasets import celeba, celebahq, ffhq, lfw, plain_folders, testsets
from facefort.pictures.datasets.dataset import Dataset, Facts
from facefort.pictures.datasets.scan import Folder

_SHOWN = 4


class NotRecognisedError(UsageError):
    """A folder that holds no data set; the message says what was looked for. Exit code 2."""


@dataclass(frozen=True)
class Layout:
    """A data set, and how a copy of it is found.

    Attributes:
        dataset: its class.
        find: folder -> the copy at or below it, or None.
    """

    dataset: type[Dataset]
    find: Callable[[Folder], Dataset | None]

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        return self.dataset.facts


LAYOUTS: tuple[Layout, ...] = (
    Layout(plain_folders.Run, plain_folders.find_run),
    Layout(plain_folders.Lmdb, plain_folders.find_lmdb),
    Layout(celebahq.CelebAMaskHQ, celebahq.find),
    Layout(ffhq.FFHQ, ffhq.find),
    Layout(celebahq.CelebAHQ, celebahq.find),
    Layout(celeba.CelebA, celeba.find),
    Layout(lfw.LFW, lfw.find),
    Layout(testsets.CelebATest, testsets.find_pairs),
    Layout(testsets.Pairs, testsets.find_pairs),
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
    found = _find(folder, layouts, kind)
    if found is not None:
        return found
    inner = [(each, _find(each, layouts, kind)) for each in folder.folders.values()][:_SHOWN]
    held = [(each, dataset) for each, dataset in inner if dataset is not None]
    if len(held) == 1:
        return held[0][1]
    if held:
        listed = ", ".join(f"{each.path} ({dataset.title})" for each, dataset in held)
        raise NotRecognisedError(f"{root} holds several data sets; name one: {listed}")
    looked_for = "; ".join(f"{each.facts.title}: {each.facts.layout}" for each in layouts)
    raise NotRecognisedError(f"{root} is no data set that facefort knows ({_content(folder)}); looked for {looked_for}")


def _find(folder: Folder, layouts: list[Layout], kind: str | None) -> Dataset | None:
    for layout in layouts:
        found = layout.find(folder)
        if found is not None and (type(found) is layout.dataset or kind is None):
            return found
    return None


def _content(folder: Folder) -> str:
    pictures, others = len(folder.pictures), len(folder.files) - len(folder.pictures)
    return f"{pictures} pictures, {others} other files and {len(folder.folders)} folders in it"
