"""How much an attack may change a picture: a norm and its bound, in the unit of the pixels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from facefort.errors import UsageError

Norm = Literal["linf"]


@dataclass(frozen=True, order=True)
class Budget:
    """Bound of a perturbation.

    Attributes:
        epsilon: bound on pixels in [0, 1]; a published 0.05 on [-1, 1] is 0.025 here.
        norm: "linf": no channel of any pixel changes by more than epsilon.

    Raises:
        UsageError: epsilon is not in [0, 1], or lies below one 8-bit level without being 0.
    """

    epsilon: float
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            hint = f"; did you mean {self.epsilon:g}/255?" if math.isfinite(self.epsilon) and self.epsilon > 1 else ""
            raise UsageError(f"a budget lies in [0, 1], not {self.epsilon:g}{hint}")
        if self.epsilon > 0 and self.levels == 0:
            raise UsageError(f"a budget of {self.epsilon:g} is less than one 8-bit level; use 1/255 or more")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "8/255" or "0.03".

        Raises:
            UsageError: neither a fraction nor a number, or out of range.
        """
        number = r"(\d+(?:\.\d*)?|\.\d+)"
        match = re.fullmatch(rf"\s*{number}\s*(?:/\s*{number}\s*)?", text)
        if match is None or (match[2] is not None and float(match[2]) == 0):
            raise UsageError(f"cannot read '{text}' as a budget; write 8/255 or 0.03")
        return cls(float(match[1]) / float(match[2] or 1))

    @classmethod
    def parse_list(cls, text: str) -> list[Budget]:
        """Read "1/255,2/255,4/255".

        Raises:
            UsageError: one of them is not a budget.
        """
        return [cls.parse(part) for part in text.split(",")]

    @property
    def levels(self) -> int:
        """The bound in whole 8-bit levels, rounded down."""
        return math.floor(self.epsilon * 255 + 1e-4)

    def __str__(self) -> str:
        scaled = self.epsilon * 255
        return f"{round(scaled)}/255" if abs(scaled - round(scaled)) < 1e-4 else f"{self.epsilon:g}"
