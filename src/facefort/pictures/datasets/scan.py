"""A folder tree, listed lazily and once: one ``os.scandir`` per folder, no file opened, no status asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facefort.errors import UsageError
from facefort.pictures.formats import PICTURE_SUFFIXES

_SUFFIXES = frozenset(PICTURE_SUFFIXES)
_PLAIN = re.compile(r"[^a-z0-9]")
_NUMBERS = re.compile(r"(\d+)")


class Folder:
    """One folder; what lies in it is listed when somebody asks. Hidden files and folders are left out.

    A folder that is not there is empty: layouts are asked for many.

    Args:
        path: where it is.
        parent: the folder through which it was reached; None for the first.
    """

    def __init__(self, path: Path, parent: Folder | None = None) -> None:
        self.path = path
        self.parent = parent

    @cached_property
    def _listed(self) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    (folders if entry.is_dir() else files).append(entry.name)
        except FileNotFoundError:
            return [], []
        except OSError as error:
            if self.parent is not None and isinstance(error, PermissionError):
                return [], []  # such as lost+found; what should be in it is missing then, and is named
            raise UsageError(f"cannot list {self.path}: {error.strerror}") from error
        return files, sorted(folders)

    @property
    def files(self) -> list[str]:
        """Names of the files, in no order."""
        return self._listed[0]

    @cached_property
    def folders(self) -> dict[str, Folder]:
        """Folders by name, sorted."""
        return {name: Folder(self.path / name, self) for name in self._listed[1]}

    @cached_property
    def pictures(self) -> list[str]:
        """Names of the pictures, by their suffixes, in no order."""
        return [name for name in self.files if is_picture(name)]

    def child(self, *names: str) -> Folder | None:
        """The folder below this one that is called like one of ``names``, whatever its case, hyphens and spaces."""
        wanted = {plain(name) for name in names}
        return next((folder for name, folder in self.folders.items() if plain(name) in wanted), None)

    def texts(self) -> Iterator[Path]:
        """Text tables in this folder, in the order of their names."""
        for name in sorted(self.files):
            if name.lower().endswith((".txt", ".csv", ".tsv")):
                yield self.path / name

    def below(self, depth: int, widest: int = 64) -> Iterator[Folder]:
        """This folder and those below it, level by level; a folder with more than ``widest`` folders is not entered."""
        level = [self]
        for _ in range(depth + 1):
            yield from level
            level = [inner for folder in level if len(folder._listed[1]) <= widest for inner in folder.folders.values()]


@dataclass(frozen=True)
class Sampled:
    """Sizes of a few pictures, read from their headers.

    Attributes:
        sizes: (width, height) of those that could be opened.
        damaged: the others, with the reason.
    """

    sizes: tuple[tuple[int, int], ...]
    damaged: tuple[tuple[Path, str], ...]

    @property
    def size(self) -> tuple[int, int] | None:
        """The one size that all have, or None."""
        return self.sizes[0] if len(set(self.sizes)) == 1 else None

    @property
    def square(self) -> bool:
        """Whether all are square."""
        return bool(self.sizes) and all(width == height for width, height in self.sizes)


def sample(folder: Path, names: Sequence[str], count: int = 8) -> Sampled:
    """Open the headers of ``count`` pictures spread evenly over ``names``."""
    step = max(1, len(names) / count)
    chosen = [names[int(i * step)] for i in range(min(count, len(names)))]
    sizes, damaged = [], []
    for name in chosen:
        found = picture_size(folder / name)
        if isinstance(found, str):
            damaged.append((folder / name, found))
        else:
            sizes.append(found)
    return Sampled(tuple(sizes), tuple(damaged))


def picture_size(path: Path) -> tuple[int, int] | str:
    """(width, height) from a picture's header, or why it cannot be opened."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.size
    except UnidentifiedImageError:
        return "is empty" if not path.stat().st_size else "is no picture that can be opened"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"cannot be opened ({error})"


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture that facefort reads."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in _SUFFIXES


def stem(name: str) -> str:
    """A file name without its last ending."""
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def key_of(stem_text: str) -> str:
    """What a picture is called in every layout: a number without its zeros, or the name itself."""
    return (stem_text.lstrip("0") or "0") if stem_text.isdecimal() else stem_text


def in_order(names: Iterable[str]) -> list[str]:
    """Names in natural order: numbers by value, upper and lower case together."""
    listed = list(names)
    if all(stem(name).isdecimal() for name in listed):
        return sorted(listed, key=lambda name: (int(stem(name)), name))
    return sorted(listed, key=_natural)


def plain(name: str) -> str:
    """A name in lower case with letters and digits only, for comparing what people call a folder."""
    return _PLAIN.sub("", name.lower())


def numbers(keys: Iterable[str]) -> list[int] | None:
    """The keys as numbers, or None where one is none."""
    found = []
    for key in keys:
        if not key.isdecimal():
            return None
        found.append(int(key))
    return found


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    pieces = _NUMBERS.split(name.casefold())
    return [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces if piece], name
