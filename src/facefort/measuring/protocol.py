"""Protocols: what a paper measured, with every variant fixed, and what a user must bring for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import yaml

from facefort import config
from facefort.errors import UnknownNameError


@dataclass(frozen=True)
class Piece:
    """Something that no package carries.

    Attributes:
        metric: what cannot be measured without it.
        what: the file or the set.
        where: how facefort is given it.
    """

    metric: str
    what: str
    where: str


@dataclass(frozen=True)
class Pictures:
    """How pictures are read.

    Attributes:
        size: side of the square pictures in pixels; None takes any.
        crop_border: pixels cut off every side.
        bits: depth to which they are rounded.
        saved_as: what the paper read them from.
    """

    size: int | None = None
    crop_border: int = 0
    bits: int = 8
    saved_as: str = "PNG"


@dataclass(frozen=True)
class Protocol:
    """A paper's measurements.

    Attributes:
        name: "gfpgan".
        title: the paper.
        source: where each fact comes from: paper, table, script.
        metrics: names in the order of the paper's table.
        set_reference: what its metrics of sets compare with; empty where it has none.
        pictures: how pictures are read.
        exclude: conditions under which a picture is left out of a mean, as the paper's script does.
        bring: pieces that the user must have.
        unstated: what the paper does not say, and what is done here; shown with every result.
        hint: what the file names of its pictures usually need.
    """

    name: str
    title: str
    source: str
    metrics: tuple[str, ...]
    set_reference: str = ""
    pictures: Pictures = field(default_factory=Pictures)
    exclude: tuple[str, ...] = ()
    bring: tuple[Piece, ...] = ()
    unstated: tuple[str, ...] = ()
    hint: str = ""

    def piece(self, metric: str) -> str:
        """What to bring for a metric, in one line; empty where nothing is needed."""
        return "; ".join(f"bring {one.what}; {one.where}" for one in self.bring if one.metric == metric)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


@cache
def protocols() -> dict[str, Protocol]:
    """Every protocol by its name."""
    return {one.name: one for one in _read()}


def protocol(name: str) -> Protocol:
    """The protocol called ``name``.

    Raises:
        UnknownNameError: nothing has that name.
    """
    try:
        return protocols()[name]
    except KeyError:
        raise UnknownNameError("protocol", name, protocols()) from None


def _read() -> Iterator[Protocol]:
    folder = resources.files("facefort.measuring") / "protocols"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            yield config.validate(Protocol, yaml.safe_load(file.read_text(encoding="utf-8")), origin=file.name)
