"""LFW: a folder a person, and in it files called like the person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from facefort.pictures.datasets.dataset import Check, Dataset, Facts, Fault
from facefort.pictures.datasets.scan import Folder, plain, stem

PEOPLE = 5749
_NUMBERED = re.compile(r"(.+)_(\d{4})")
_LOOK_AT = 12


class LFW(Dataset):
    """Labeled Faces in the Wild, original, funneled or deep-funneled."""

    facts = Facts(
        kind="lfw",
        title="LFW",
        layout="Name_Surname/Name_Surname_0001.jpg, a folder a person",
        licence="research; its owners state no licence (Huang et al., University of Massachusetts)",
        counts=(13_233,),
        use="photos",
    )

    @cached_property
    def names(self) -> list[str]:
        """See :attr:`Dataset.names`: people by name, their pictures by number."""
        return [f"{person}/{name}" for person, folder in self.home.folders.items() for name in sorted(folder.pictures)]

    @property
    def pattern(self) -> str:
        """A pattern over the people's folders."""
        return str(self.home.path / "*" / f"*{Path(self.names[0]).suffix}")

    def identities(self) -> Iterator[tuple[Path, str]]:
        """Every picture with the person's folder."""
        return ((self.home.path / name, name.partition("/")[0]) for name in self.index.values())

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        faults = self._picture_faults(subset)
        people = {name: folder for name, folder in self.home.folders.items() if folder.pictures}
        empty = [name for name in self.home.folders if name not in people]
        if empty:
            faults.append(Fault(self.home.path / empty[0], "pictures of a person", len(empty)))
        holes = list(self._holes(people))
        if holes:
            what = "picture: this person's numbers go further"
            faults.append(Fault(holes[0], what, len(holes)))
        if not subset and len(people) != PEOPLE:
            what = f"people: there are {len(people):,}, a whole copy has {PEOPLE:,}"
            faults.append(Fault(self.home.path, what))
        notes = [] if _pairs_file(self.home) else ["no pairs.txt: the verification protocol is in it"]
        return Check({"pictures": len(self), "people": len(people)}, {}, faults, notes)

    def _holes(self, people: dict[str, Folder]) -> Iterator[Path]:
        for person, folder in people.items():
            numbers = {int(match[2]) for name in folder.pictures if (match := _NUMBERED.fullmatch(stem(name)))}
            suffix = Path(folder.pictures[0]).suffix
            for absent in sorted(set(range(1, max(numbers, default=0) + 1)) - numbers):
                yield folder.path / f"{person}_{absent:04d}{suffix}"


def find(folder: Folder) -> LFW | None:
    """LFW in a folder."""
    if not _is_home(folder):
        return None
    kind = plain(folder.path.name)
    variant = "deep-funneled" if "deepfunnel" in kind else "funneled" if "funnel" in kind else ""
    return LFW(folder.path, folder, variant=variant, evidence=[f"folders of people in {folder.path}"])


def _is_home(place: Folder) -> bool:
    inner = list(place.folders.values())
    looked = inner[:: max(1, len(inner) // _LOOK_AT)][:_LOOK_AT]
    named = [folder for folder in looked if folder.pictures]
    return bool(named) and all(
        (match := _NUMBERED.fullmatch(stem(name))) is not None and match[1] == folder.path.name
        for folder in named
        for name in folder.pictures
    )


def _pairs_file(home: Folder) -> bool:
    places = [home, *([home.parent] if home.parent is not None else [])]
    return any(name.lower() in ("pairs.txt", "pairs.csv") for place in places for name in place.files)
