"""Comparisons that a person types, such as "lpips-vgg > 0.3": read by a small grammar, never evaluated as code."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from facefort.errors import UsageError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)\s*(?P<sign>>=|<=|>|<)\s*(?P<number>[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)\s*"
)


@dataclass(frozen=True)
class Condition:
    """A metric's name, a sign and a number."""

    name: str
    sign: str
    number: float

    def holds(self, value: float) -> bool:
        """Whether a value satisfies it; nothing can be said of NaN, so that it never does."""
        return not math.isnan(value) and _OPERATORS[self.sign](value, self.number)

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.number:g}"


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: not NAME, one of > >= < <=, NUMBER.
    """
    match = _FORM.fullmatch(text) if len(text) < 200 else None
    if match is None:
        raise UsageError(f"a condition reads like 'lpips-vgg > 0.3' (>, >=, <, <= and a number), not '{text[:80]}'")
    return Condition(match["name"], match["sign"], float(match["number"]))
