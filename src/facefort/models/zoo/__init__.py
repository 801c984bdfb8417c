"""The weights that ship with the package, trained by this project's own recipes, each with its card.

A model is two files: ``NAME.safetensors`` and ``NAME.yaml``, the card (data, steps, time, machine, scores).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from facefort.errors import UnknownNameError

HOME = Path(__file__).parent
DEFAULT = "gfpgan-128"


@dataclass(frozen=True)
class Entry:
    """One model of the zoo."""

    name: str
    weights: Path
    card: dict[str, Any]


@cache
def names() -> tuple[str, ...]:
    """Names of the models that ship."""
    return tuple(sorted(file.stem for file in HOME.glob("*.safetensors")))


@cache
def part_names() -> tuple[str, ...]:
    """Names of the parts that ship: parsers and codebooks, which restorers are made with or learn from."""
    return tuple(sorted(file.stem for file in (HOME / "parts").glob("*.safetensors")))


def find_part(name: str) -> Entry:
    """The part called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in part_names():
        raise UnknownNameError("part", name, part_names())
    return _entry(HOME / "parts", name)


def find(name: str) -> Entry:
    """The model called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in names():
        raise UnknownNameError("zoo model", name, names())
    return _entry(HOME, name)


def _entry(home: Path, name: str) -> Entry:
    card = yaml.safe_load((home / f"{name}.yaml").read_text(encoding="utf-8"))
    return Entry(name, home / f"{name}.safetensors", card)
