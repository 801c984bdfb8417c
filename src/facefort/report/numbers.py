"""Numbers, times and sizes as a person reads them."""

from __future__ import annotations

import math
from datetime import datetime

MINUS = "\u2212"


def plain(value: float, digits: int) -> str:
    """A number with a fixed count of decimals; infinities read "∞", NaN reads "n/a", and there is no "-0.00"."""
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def typeset(value: float, digits: int, signed: bool = False) -> str:
    """Like :func:`plain`, with a true minus sign; ``signed`` marks a gain with a plus."""
    text = plain(value, digits)
    if signed and value > 0 and text.strip("0."):
        text = f"+{text}"
    return text.replace("-", MINUS)


def duration(seconds: float) -> str:
    """Wall time: "0.42 s", "38 s", "12 min 05 s", "3 h 20 min"."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(stamp: str) -> str:
    """An ISO 8601 UTC time as "3 March 2026, 14:05 UTC"."""
    when = datetime.fromisoformat(stamp)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def counted(n: int, noun: str, plural: str = "") -> str:
    """A count with its noun: "1 face", "12 faces"."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
