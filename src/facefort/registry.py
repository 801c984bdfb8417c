"""Named things, imported only when somebody asks for them.

A registry maps a name to an import path ("package.module:attribute") and a few facts that can be listed without
importing anything. A duplicate name is an error, an unknown one names its nearest neighbours.
"""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from facefort.errors import UnknownNameError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One registered thing: where it lives, and what can be said of it without importing it."""

    name: str
    target: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """A table of lazily imported things of one kind.

    Args:
        kind: what the things are, in the singular, for messages ("restorer").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: str, **facts: Any) -> None:  # noqa: ANN401 - facts are free-form
        """Register ``target`` ("package.module:attribute") under ``name``.

        Raises:
            ValueError: the name is taken, or the target is not of that form.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice: {self._entries[name].target} and {target}")
        if target.count(":") != 1:
            raise ValueError(f"target of {self.kind} '{name}' must read 'package.module:attribute', not '{target}'")
        self._entries[name] = Entry(name, target, MappingProxyType(dict(facts)))

    def entry(self, name: str) -> Entry:
        """The entry of ``name``.

        Raises:
            UnknownNameError: nothing has that name.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._entries) from None

    def get(self, name: str) -> T:
        """Import and return the thing that ``name`` stands for."""
        module, attribute = self.entry(name).target.split(":")
        return cast(T, getattr(importlib.import_module(module), attribute))

    def names(self, pattern: str = "*") -> list[str]:
        """Registered names that match a shell pattern, in the order of registration."""
        return [name for name in self._entries if fnmatch.fnmatch(name, pattern)]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
