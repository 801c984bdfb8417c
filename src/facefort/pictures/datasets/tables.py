"""The text tables of CelebA and its kin, as their owners wrote them or as Kaggle has turned them into CSV.

A table is known by its first lines, not by its name; rows are read lazily.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facefort.errors import PictureError
from facefort.pictures.datasets.scan import is_picture, key_of, stem

_HEAD_LINES = 4
_SIGNS = frozenset({"-1", "0", "1"})


@dataclass(frozen=True)
class AttributeTable:
    """Attributes of pictures, present or not.

    Attributes:
        path: the file.
        names: the attributes, in the file's order.
        csv: whether columns are separated by commas; by spaces otherwise.
        declared: how many rows the file says it has; None where it does not say.
    """

    path: Path
    names: tuple[str, ...]
    csv: bool
    declared: int | None

    def rows(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(picture's name as the file has it, values of 1 and -1), row by row.

        Raises:
            PictureError: a row that does not fit the header.
        """
        for number, cells in self._cells():
            if len(cells) != len(self.names) + 1 or not _SIGNS.issuperset(cells[1:]):
                raise PictureError(
                    f"{self.path}, line {number}: a name and {len(self.names)} values of 1 or -1 were expected"
                )
            yield cells[0], tuple(1 if cell == "1" else -1 for cell in cells[1:])

    @cached_property
    def keys(self) -> list[str]:
        """Keys of the pictures, in the file's order; the rest of each row is not looked at."""
        separator = "," if self.csv else None
        with self.path.open(encoding="utf-8-sig") as lines:
            body = itertools.islice(lines, 1 if self.csv else 2, None)
            return [key_of(stem(line.split(separator, 1)[0].strip())) for line in body if line.strip()]

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        skipped = 1 if self.csv else 2
        with self.path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if number > skipped and line.strip():
                    yield number, _split(line, self.csv)


@dataclass(frozen=True)
class NumberTable:
    """One number per picture: the part it belongs to, or whose face it shows.

    Attributes:
        path: the file.
        csv: whether columns are separated by commas.
        headers: lines before the first row.
    """

    path: Path
    csv: bool
    headers: int

    def rows(self) -> Iterator[tuple[str, int]]:
        """(key, number), row by row.

        Raises:
            PictureError: a row that is not a name and a number.
        """
        with self.path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if number <= self.headers or not line.strip():
                    continue
                cells = _split(line, self.csv)
                if len(cells) != 2 or not cells[1].isdecimal():
                    raise PictureError(f"{self.path}, line {number}: a name and a number were expected")
                yield key_of(stem(cells[0])), int(cells[1])


@dataclass(frozen=True)
class MappingTable:
    """Which picture of CelebA a picture of CelebA-HQ was made of."""

    path: Path

    def rows(self) -> Iterator[tuple[str, int, str]]:
        """(key in CelebA-HQ, CelebA's number from 0, CelebA's file), row by row.

        Raises:
            PictureError: a row that is not of three such cells.
        """
        with self.path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                cells = line.split()
                if number == 1 or not cells:
                    continue
                if len(cells) != 3 or not (cells[0].isdecimal() and cells[1].isdecimal()):
                    raise PictureError(f"{self.path}, line {number}: idx, orig_idx and orig_file were expected")
                yield key_of(cells[0]), int(cells[1]), cells[2]


Table = AttributeTable | NumberTable | MappingTable


def read_table(path: Path) -> Table | None:
    """The table in a file, by its first lines, or None where it is none of these."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            head = [line.strip() for line in itertools.islice(lines, _HEAD_LINES)]
    except (OSError, UnicodeDecodeError):
        return None
    head = [line for line in head if line]
    if not head:
        return None
    if head[0].split()[:2] == ["idx", "orig_idx"]:
        return MappingTable(path)
    return _attributes(path, head) or _numbers(path, head)


def _attributes(path: Path, head: list[str]) -> AttributeTable | None:
    csv = "," in head[0]
    if csv:
        if len(head) < 2:
            return None
        names, declared, first = _split(head[0], csv)[1:], None, _split(head[1], csv)
    else:
        if len(head) < 3 or not head[0].isdecimal():
            return None
        names, declared, first = head[1].split(), int(head[0]), head[2].split()
    fits = len(names) >= 2 and len(first) == len(names) + 1 and is_picture(first[0]) and _SIGNS.issuperset(first[1:])
    return AttributeTable(path, tuple(names), csv, declared) if fits else None


def _numbers(path: Path, head: list[str]) -> NumberTable | None:
    csv = "," in head[0]
    for headers, line in enumerate(head[:2]):
        cells = _split(line, csv)
        if len(cells) == 2 and is_picture(cells[0]) and cells[1].isdecimal():
            return NumberTable(path, csv, headers)
    return None


def _split(line: str, csv: bool) -> list[str]:
    return [cell.strip() for cell in line.split(",")] if csv else line.split()
