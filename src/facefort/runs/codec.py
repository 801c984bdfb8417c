"""JSON that keeps infinities and NaN: strict JSON has no such numbers, and a PSNR of equal pictures is infinite."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from typing import Any

_KEY = "$float"


def encode(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any plain value
    """Strict JSON text of plain values; a non-finite float becomes ``{"$float": "inf"}``.

    Raises:
        TypeError: a value that is not a number, a string, a truth value, None, or a list or mapping of those.
    """
    return json.dumps(_to_json(value), allow_nan=False, ensure_ascii=False, indent=indent)


def decode(text: str) -> Any:  # noqa: ANN401
    """The value that :func:`encode` wrote."""
    return json.loads(text, object_hook=_from_json)


def _to_json(value: Any) -> Any:  # noqa: ANN401
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return number if math.isfinite(number) else {_KEY: str(number)}
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    raise TypeError(f"a run holds plain values, not {type(value).__name__}")


def _from_json(value: dict[str, Any]) -> Any:  # noqa: ANN401
    return float(value[_KEY]) if value.keys() == {_KEY} else value
