"""What a user named (files, folders, patterns, a list on standard input) becomes a sorted list of picture files."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from facefort.errors import UsageError
from facefort.pictures.formats import PICTURE_SUFFIXES

__all__ = ["PICTURE_SUFFIXES", "expand", "natural_key", "pair_by_stem"]

_PIECES = re.compile(r"\d+|\D")


def expand(inputs: Sequence[str], stdin: TextIO | None = None) -> list[Path]:
    """Picture files that the inputs stand for, in natural order, each once.

    A file is taken as it is named, whatever its suffix. A folder stands for the pictures that lie directly in it, a
    pattern (``*``, ``?``, ``[]``, and ``**`` for any depth) for the pictures that it matches; hidden files are left
    out of both. ``-`` stands for a list of such inputs on standard input, one a line.

    Args:
        inputs: what the user typed.
        stdin: where ``-`` reads from; None for the process's own.

    Raises:
        UsageError: nothing was named, or an input stands for no picture.
    """
    found: dict[Path, Path] = {}
    for name in _with_listed(inputs, stdin or sys.stdin):
        for path in _pictures(name):
            found.setdefault(path.resolve(), path)
    if not found:
        raise UsageError("no input; name a picture, a folder, a pattern such as 'photos/*.jpg', or - for a list")
    return sorted(found.values(), key=natural_key)


def pair_by_stem(left: Sequence[Path], right: Sequence[Path]) -> tuple[list[tuple[Path, Path]], list[Path], list[Path]]:
    """Pair files whose names without suffix are equal.

    Returns:
        The pairs in the order of ``left``; what is left over of ``left``; what is left over of ``right``.

    Raises:
        UsageError: two files of one side have the same stem, so that the pairing is anyone's guess.
    """
    lefts, rights = _by_stem(left), _by_stem(right)
    pairs = [(path, rights[stem]) for stem, path in lefts.items() if stem in rights]
    left_over = [path for stem, path in lefts.items() if stem not in rights]
    right_over = [path for stem, path in rights.items() if stem not in lefts]
    return pairs, left_over, right_over


def natural_key(path: Path) -> tuple[list[list[tuple[str, int]]], str]:
    """Sorting key under which ``img2`` comes before ``img10``, folder by folder, upper and lower case together."""
    return [[_piece(text) for text in _PIECES.findall(part.casefold())] for part in path.parts], str(path)


def _piece(text: str) -> tuple[str, int]:
    """A character, or a number, which stands among characters where a digit would."""
    return ("0", int(text)) if text.isdecimal() else (text, 0)


def _with_listed(inputs: Sequence[str], stdin: TextIO) -> Iterator[str]:
    for name in inputs:
        if name == "-":
            yield from (line.rstrip("\r\n") for line in stdin if line.strip())
        else:
            yield name


def _pictures(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        inside = [each for each in path.iterdir() if _is_picture(each)]
        if not inside:
            raise UsageError(f"no pictures in {path}; facefort reads {', '.join(PICTURE_SUFFIXES)}")
        return inside
    if path.exists():
        return [path]
    if not glob.has_magic(name):
        raise UsageError(f"no file or folder {name}; check the name")
    matched = [each for each in map(Path, glob.glob(name, recursive=True)) if _is_picture(each)]
    if not matched:
        raise UsageError(f"no picture matches {name}; facefort reads {', '.join(PICTURE_SUFFIXES)}")
    return matched


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UsageError(f"{found[path.stem]} and {path} have the same name; give one of them another to pair it")
        found[path.stem] = path
    return found
