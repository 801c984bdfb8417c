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


def find(name: str) -> Entry:
    """The model called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in names():
        raise UnknownNameError("zoo model", name, names())
    card = HOME / f"{name}.yaml"
    return Entry(name, HOME / f"{name}.safetensors", yaml.safe_load(card.read_text(encoding="utf-8")))
