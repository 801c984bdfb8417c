"""Command-line options made from a settings dataclass, so that flags, YAML and documentation cannot disagree."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from facefort import config

S = TypeVar("S")
Function = TypeVar("Function", bound=Callable[..., Any])


def settings_options(cls: type[Any], *, hidden: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """Decorate a command with one option per field of ``cls``, and ``--config``.

    A field of type bool becomes ``--name/--no-name``; a tuple takes a comma-separated list; what is not typed is not
    passed on, so that a file's value stands. The command receives the typed values in ``overrides`` and the file in
    ``config_file``; :func:`resolve` makes the settings.

    Args:
        cls: dataclass of :func:`facefort.config.option` fields.
        hidden: fields that the command sets itself.
    """
    fields = [field for field in dataclasses.fields(cls) if field.name not in hidden]
    hints = typing.get_type_hints(cls)
    plain = [field for field in fields if not dataclasses.is_dataclass(hints[field.name])]

    def decorate(function: Function) -> Function:
        def wrapped(*args: Any, config_file: Path | None = None, **values: Any) -> Any:  # noqa: ANN401
            overrides = {
                field.name: _value(values.pop(field.name), hints[field.name])
                for field in plain
                if values.get(field.name) is not None or values.pop(field.name, None)
            }
            return function(*args, config_file=config_file, overrides=overrides, **values)

        wrapped.__name__ = function.__name__
        wrapped.__doc__ = function.__doc__
        wrapped.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        for field in reversed(plain):
            wrapped = _option(field, hints[field.name])(wrapped)
        wrapped = click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="YAML file of settings; flags win over it.",
        )(wrapped)
        return typing.cast(Function, wrapped)

    return decorate


def resolve(cls: type[S], config_file: Path | None, overrides: dict[str, Any]) -> S:
    """Settings from the file and the typed flags.

    Raises:
        ConfigError: see :func:`facefort.config.load`.
    """
    return config.load(cls, config_file, overrides)


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    meta = field.metadata
    flag = f"--{field.name.replace('_', '-')}"
    base = _base_type(hint)
    text = meta.get("help", "").rstrip(".") + "." + _default_text(field)
    if base is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, *meta.get("flags", ()), default=None, help=text)
    kind: Any = str
    if typing.get_origin(base) is not tuple:
        kind = click.Choice(meta["choices"]) if meta.get("choices") else {int: int, float: float}.get(base, str)
    return click.option(
        *meta.get("flags", ()), flag, field.name, type=kind, default=None, metavar=meta.get("metavar"), help=text
    )


def _default_text(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if value is dataclasses.MISSING or value is None or value == "" or value == ():
        return ""
    if isinstance(value, bool):
        return f"  [default: {'yes' if value else 'no'}]"
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return f"  [default: {shown}]"


def _value(value: Any, hint: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str) and typing.get_origin(_base_type(hint)) is tuple:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _base_type(hint: Any) -> Any:  # noqa: ANN401
    """``T`` of ``T | None``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


class Bar:
    """A progress bar, or silence where there is no terminal.

    Args:
        bar: rich's progress display, or None.
        task: number of the task in it.
    """

    def __init__(self, bar: Any = None, task: Any = None) -> None:  # noqa: ANN401 - rich is imported late
        self._bar, self._task = bar, task

    def update(self, done: int, total: int) -> None:
        """So many units of so many are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            click.echo(line, err=True)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Bar]:
    """A progress bar with counts and time left on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield Bar()
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(bar, bar.add_task(what, total=total))


def command_line() -> str:
    """What the user typed, ready to be copied into a shell."""
    import shlex

    return shlex.join(["facefort", *sys.argv[1:]])
