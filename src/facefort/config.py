"""Validated settings: a dataclass is the one table that drives flags, YAML and documentation.

A verb's settings are a frozen dataclass whose fields are made with :func:`option`. :func:`load` merges defaults, a
YAML file (with ``include``) and overrides, in this order, and refuses an unknown key or an impossible value with one
line that names the key.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from facefort.errors import ConfigError, suggest

S = TypeVar("S")


def option(
    help_text: str,
    default: Any = dataclasses.MISSING,  # noqa: ANN401
    *,
    flags: Sequence[str] = (),
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    metavar: str | None = None,
) -> Any:  # noqa: ANN401 - a dataclass field stands where its type is declared
    """A settings field with its documentation.

    Args:
        help_text: one sentence, shown by ``--help`` and in the docs.
        default: value, or a tuple for list-like fields; missing = required.
        flags: other spellings on the command line ("-s").
        choices: allowed values.
        low: smallest allowed number.
        high: largest allowed number.
        metavar: what ``--help`` calls the value.
    """
    metadata = {
        "help": help_text,
        "flags": tuple(flags),
        "choices": tuple(choices),
        "low": low,
        "high": high,
        "metavar": metavar,
    }
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def load(cls: type[S], path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> S:
    """Settings from defaults, a YAML file and overrides.

    Args:
        cls: frozen dataclass of :func:`option` fields.
        path: YAML file, or None.
        overrides: values that win over the file, such as the flags that the user typed.

    Raises:
        ConfigError: unreadable file, unknown key, wrong type, value out of range.
    """
    values = read_yaml(path) if path is not None else {}
    values.update(overrides or {})
    return validate(cls, values, origin=str(path) if path else "settings")


def validate(cls: type[S], values: Mapping[str, Any], origin: str = "settings") -> S:
    """Build ``cls`` from plain values, checking keys, types, choices and ranges."""
    _check_keys(cls, values, origin)
    try:
        settings = msgspec.convert(dict(values), type=cls, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from None
    settings = _complete(settings)
    _check_values(settings, origin)
    return settings


def _complete(settings: S) -> S:
    """The same settings with every field set in the object: msgspec leaves plain defaults to the class."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    return type(settings)(**{key: _completed(value) for key, value in values.items()})


def _completed(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, tuple):
        return tuple(_completed(item) for item in value)
    return _complete(value) if dataclasses.is_dataclass(value) else value


def _check_keys(cls: type[Any], values: Mapping[str, Any], origin: str) -> None:
    hints = typing.get_type_hints(cls)
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"{origin}: unknown key '{key}'{suggest(str(key), hints)}")
        # The table itself, or what a tuple of tables holds.
        kinds = [kind for kind in (hints[key], *typing.get_args(hints[key])) if dataclasses.is_dataclass(kind)]
        for item in value if isinstance(value, list | tuple) else (value,):
            if kinds and isinstance(item, Mapping):
                _check_keys(typing.cast(type[Any], kinds[0]), item, f"{origin}: {key}")


def _check_values(settings: Any, origin: str) -> None:  # noqa: ANN401
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            _check_values(value, f"{origin}: {field.name}")
            continue
        choices, low, high = (field.metadata.get(k) for k in ("choices", "low", "high"))
        for item in value if isinstance(value, tuple | list) else (value,):
            if dataclasses.is_dataclass(item):
                _check_values(item, f"{origin}: {field.name}")
            if choices and item is not None and item not in choices:
                raise ConfigError(f"{origin}: {field.name} cannot be '{item}'{suggest(str(item), choices)}")
            if isinstance(item, int | float) and not isinstance(item, bool):
                if low is not None and item < low:
                    raise ConfigError(f"{origin}: {field.name} must be at least {low}, not {item}")
                if high is not None and item > high:
                    raise ConfigError(f"{origin}: {field.name} must be at most {high}, not {item}")


def read_yaml(path: Path, _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML mapping with its ``include`` (a path or a list of them, relative to the file) merged in first.

    Raises:
        ConfigError: missing or unreadable file, not a mapping, circular include.
    """
    path = path.resolve()
    if path in _seen:
        raise ConfigError(f"{path.name} includes itself")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of keys to values")
    included = values.pop("include", [])
    merged: dict[str, Any] = {}
    for name in [included] if isinstance(included, str) else included:
        merged.update(read_yaml(path.parent / name, (*_seen, path)))
    merged.update(values)
    return merged


def to_plain(settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """Settings as plain values that YAML and JSON can hold; :func:`validate` takes them back."""
    plain = msgspec.to_builtins(settings)
    assert isinstance(plain, dict)
    return plain


def to_yaml(settings: Any) -> str:  # noqa: ANN401
    """Settings as YAML, in the order of the fields."""
    return yaml.safe_dump(to_plain(settings), sort_keys=False, allow_unicode=True)
