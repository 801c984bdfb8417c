"""What a data set is to this program: pictures, what is known of them, and what of it is missing on this disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facefort.errors import PictureError, UsageError, suggest
from facefort.pictures.datasets.scan import Folder, Sampled, in_order, key_of, sample, stem
from facefort.pictures.datasets.splits import digest

_AT_ONCE = 256
Use = Literal["faces", "degraded", "photos", "run", "none"]
"""What the pictures are good for: undamaged aligned faces, degraded aligned faces, whole photos, a run's record."""


@dataclass(frozen=True)
class Facts:
    """What is known of a data set before looking at a copy of it.

    Attributes:
        kind: short name: "celeba".
        title: what its owners call it.
        layout: what a copy looks like, in one line: what is looked for.
        licence: what the pictures may be used for.
        counts: numbers of pictures of a whole copy; several where several versions are about.
        use: what the pictures are good for.
    """

    kind: str
    title: str
    layout: str
    licence: str
    counts: tuple[int, ...] = ()
    use: Use = "none"


@dataclass(frozen=True)
class Fault:
    """Something that should be there and is not, or is there and should not.

    Attributes:
        path: where; the first of several.
        what: what it is, and what cannot be done because of it.
        count: how many there are of it.
    """

    path: Path
    what: str
    count: int = 1


@dataclass(frozen=True)
class Check:
    """What a look at every name in a copy has found.

    Attributes:
        counts: what there is, by kind: pictures, people, masks ...
        splits: number of pictures of every split that this copy can give.
        faults: what is missing or wrong.
        notes: what a user should know, though nothing is missing.
    """

    counts: Mapping[str, int]
    splits: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    notes: Sequence[str] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing or wrong."""
        return not self.faults


class Dataset:
    """One copy of a data set on this disk. Iterators are lazy and follow the data set's own order.

    Args:
        root: the folder that was recognised.
        home: the folder that holds the pictures.
        variant: what this copy is like: "attributes as CSV".
        evidence: by what it was recognised.
        certain: False where something else could look the same.
    """

    facts: ClassVar[Facts]
    example: ClassVar[str] = "000001.jpg"
    """How a picture is called where there is none to look at."""

    def __init__(
        self, root: Path, home: Folder, *, variant: str = "", evidence: Sequence[str] = (), certain: bool = True
    ) -> None:
        self.root = root
        self.home = home
        self.variant = variant
        self.evidence = tuple(evidence)
        self.certain = certain

    @property
    def kind(self) -> str:
        """Short name of the data set."""
        return self.facts.kind

    @property
    def title(self) -> str:
        """Name of the data set as its owners have it."""
        return self.facts.title

    @property
    def pattern(self) -> str:
        """What to hand to a verb that takes pictures: a folder, or a pattern for several."""
        return str(self.home.path)

    @cached_property
    def names(self) -> list[str]:
        """Files of the pictures below :attr:`home`, in the data set's order."""
        return in_order(self.home.pictures)

    @cached_property
    def index(self) -> dict[str, str]:
        """Key -> file below :attr:`home`, in the data set's order; of two files with one key, the first."""
        found: dict[str, str] = {}
        for name in self.names:
            found.setdefault(self.key(name), name)
        return found

    @staticmethod
    def key(name: str) -> str:
        """What a picture is called in every layout, from its file's name."""
        return key_of(stem(name.rpartition("/")[2]))

    @cached_property
    def sampled(self) -> Sampled:
        """Sizes of a few pictures."""
        return sample(self.home.path, self.names)

    def __len__(self) -> int:
        return len(self.index)

    def pictures(self) -> Iterator[Path]:
        """Files of all pictures."""
        return (self.home.path / name for name in self.index.values())

    def file(self, key: str) -> Path:
        """File of one picture.

        Raises:
            PictureError: it is not there.
        """
        if key not in self.index:
            raise PictureError(f"{self.expected(key)} is missing; `facefort data check {self.root}` lists what else is")
        return self.home.path / self.index[key]

    def attributes(self) -> Iterator[tuple[Path, dict[str, int]]]:
        """Every picture with its attributes, 1 or -1, in the order of their table; rows without a picture are left out.

        Raises:
            UsageError: the data set has none, or the table is not there.
        """
        raise self._has_no("attributes")

    def identities(self) -> Iterator[tuple[Path, str]]:
        """Every picture with the person it shows.

        Raises:
            UsageError: as for :meth:`attributes`.
        """
        raise self._has_no("identities")

    def masks(self, order: str = "celebamask-hq") -> Iterator[tuple[Path, NDArray[np.uint8]]]:
        """Every picture with its label map, (512, 512) uint8, numbered as ``order`` says.

        Raises:
            UsageError: as for :meth:`attributes`.
        """
        raise self._has_no("masks")

    def pairs(self) -> Iterator[tuple[Path, Path]]:
        """(degraded, original) of every picture.

        Raises:
            UsageError: as for :meth:`attributes`.
        """
        raise self._has_no("pairs of degraded and original pictures")

    def splits(self) -> list[str]:
        """Names of the splits that this copy can give: "stargan/test"."""
        return []

    def split_keys(self, name: str) -> list[str]:
        """Keys of the pictures of a split, in its order; a list of names, whether the files are there or not.

        Raises:
            UsageError: there is no such split.
        """
        raise self._no_split(name)

    def split(self, name: str) -> Iterator[Path]:
        """Files of the pictures of a split, in its order.

        Raises:
            UsageError: there is no such split.
            PictureError: a picture of it is not there.
        """
        return (self.file(key) for key in self.split_keys(name))

    def split_digest(self, name: str) -> str:
        """SHA-256 of the split's list; equal for every copy that gives the same pictures in the same order."""
        return digest(self.split_keys(name))

    def expected(self, key: str) -> Path:
        """Where the picture of a key would be; it is called like its neighbours."""
        example = self.home.path / next(iter(self.index.values()), self.example)
        name = key.zfill(len(example.stem)) if example.stem.startswith("0") and len(example.stem) > 1 else key
        return example.parent / f"{name}{example.suffix}"

    def check(self, *, subset: bool = False) -> Check:
        """Look at every name in the copy.

        Args:
            subset: it holds a part of the data set on purpose: only what belongs to its pictures must be there.
        """
        return Check({"pictures": len(self)}, self._split_counts(), self._picture_faults(subset))

    def unreadable(self, told: Callable[[int, int], None] = lambda _done, _total: None) -> list[Fault]:
        """Read every picture to its last pixel; what a download cut off is found by nothing less.

        Args:
            told: called with (pictures read, pictures in all).
        """
        found: list[Fault] = []
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for start in range(0, len(self.names), _AT_ONCE):
                names = self.names[start : start + _AT_ONCE]
                found += [fault for fault in pool.map(self._fault_of, names) if fault is not None]
                told(start + len(names), len(self.names))
        return found

    def _fault_of(self, name: str) -> Fault | None:
        from facefort.pictures.photo import Photo

        path = self.home.path / name
        try:
            Photo.read(path)
        except PictureError as error:
            return Fault(path, f"picture that can be read ({str(error).removeprefix(str(path)).strip(' :')})")
        return None

    def _split_counts(self) -> dict[str, int]:
        return {name: len(self.split_keys(name)) for name in self.splits()}

    def _picture_faults(self, subset: bool, expected: Iterable[str] = ()) -> list[Fault]:
        """Pictures that cannot be opened, are there twice, or are not there."""
        found = [Fault(path, f"picture {reason}") for path, reason in self.sampled.damaged]
        if len(self.names) > len(self.index):
            twice = next(name for name in self.names if self.index[self.key(name)] != name)
            other = self.index[self.key(twice)]
            found.append(
                Fault(
                    self.home.path / twice,
                    f"the same picture as {other}; remove one",
                    len(self.names) - len(self.index),
                )
            )
        return found if subset else [*found, *self._too_few(expected)]

    def _too_few(self, expected: Iterable[str]) -> list[Fault]:
        """The pictures that a whole copy has and this one has not."""
        if not self.facts.counts or len(self) in self.facts.counts:
            return []
        total = " or ".join(f"{count:,}" for count in self.facts.counts)
        absent = [key for key in expected if key not in self.index]
        if absent:
            return [Fault(self.expected(absent[0]), f"picture; there are {len(self):,} of {total}", len(absent))]
        return [Fault(self.home.path, f"pictures: there are {len(self):,}, a whole copy has {total}")]

    def _has_no(self, what: str) -> UsageError:
        return UsageError(f"{self.title} in {self.root} has no {what}; `facefort data check` says what there is")

    def _no_split(self, name: str) -> UsageError:
        names = self.splits()
        hint = suggest(name, names) if names else "; it has none"
        return UsageError(f"{self.title} in {self.root} has no split '{name}'{hint}")

    def summary(self) -> dict[str, Any]:
        """What it is, as plain data."""
        return {
            "kind": self.kind,
            "title": self.title,
            "root": str(self.root),
            "pictures_in": str(self.home.path),
            "variant": self.variant,
            "certain": self.certain,
            "evidence": list(self.evidence),
            "size": list(self.sampled.size) if self.sampled.size else None,
            "licence": self.facts.licence,
            "use": self.facts.use,
        }
