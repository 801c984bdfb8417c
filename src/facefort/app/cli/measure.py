"""`facefort measure`: numbers of pictures, alone or against references, in the table that people paste."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facefort.app.cli.options import command_line, progress, resolve, settings_options
from facefort.errors import EXIT_USAGE, UsageError
from facefort.measuring.settings import MeasureSettings

if TYPE_CHECKING:
    from facefort.measuring.result import Measurement

_FORMS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html"}
_TOLD = 10
"""Failed pictures that are named one by one."""


@click.command(name="measure")
@click.argument("pictures", required=False)
@settings_options(MeasureSettings)
@click.option("-i", "--input", "more", default=None, help="The same as PICTURES and -t.")
@click.option("--format", "form", type=click.Choice(tuple(_FORMS.values())), help="Form of the result  [markdown].")
@click.option("-o", "--out", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File for the result.")
@click.option("--per-picture", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="CSV of rows.")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Run folder: durable rows, resumes, a page.")
@click.option("--force", is_flag=True, help="Start the run folder over instead of going on.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(
    pictures: str | None,
    config_file: Path | None,
    overrides: dict[str, Any],
    more: str | None,
    form: str | None,
    out: Path | None,
    per_picture: Path | None,
    run_folder: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Measure PICTURES: a folder, a file, a pattern, or the folder of a restore run.

    With -r, pictures are compared with references of the same file name. Every picture gets a row; what could not be
    measured says why, is counted beside the mean, and makes the exit code 1 (2 where nothing could be measured, 3 where
    a --fail-if holds). Published tables come by --protocol: `facefort ls protocols`.
    """
    test = _only([pictures, more, overrides.get("test")])
    if test is not None:
        overrides["test"] = test
    settings = resolve(MeasureSettings, config_file, overrides)
    form = _form(form, as_json, out)
    return measure(settings, form, out, per_picture, run_folder, force=force)


def measure(
    settings: MeasureSettings,
    form: str,
    out: Path | None,
    per_picture: Path | None,
    run_folder: Path | None,
    *,
    force: bool = False,
) -> int:
    """Measure, write and print the result; returns the exit code."""
    from facefort.measuring.run import run
    from facefort.report.measured import per_picture as as_rows
    from facefort.report.measured import render_measurement

    with progress("measuring", None) as bar:
        found = run(settings, run_folder, bar.update, command=command_line(), resume=not force)
    if per_picture is not None:
        _write(None if str(per_picture) == "-" else per_picture, as_rows(found))
    if run_folder is not None:
        from facefort.report import write_page

        click.echo(f"Page: {write_page(run_folder)}", err=True)
    _tell(found)
    if found.empty:
        if out is not None or form == "json":
            _write(out, render_measurement(found, form))
        click.echo(f"facefort: nothing could be measured; {_first_reason(found)}", err=True)
        return EXIT_USAGE
    _write(out, render_measurement(found, form))
    for sentence in found.missed(settings.fail_if):
        click.echo(f"facefort: {sentence}", err=True)
    return found.exit_code(settings.fail_if)


def _only(named: list[str | None]) -> str | None:
    given = [one for one in named if one]
    if len(given) > 1:
        raise UsageError("name the pictures once, as PICTURES or with -t; quote a pattern so that the shell leaves it")
    return given[0] if given else None


def _form(form: str | None, as_json: bool, out: Path | None) -> str:
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} contradict each other")
    if as_json:
        return "json"
    return form or (_FORMS.get(out.suffix.lower(), "markdown") if out is not None else "markdown")


def _write(path: Path | None, text: str) -> None:
    if path is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    from facefort.files import write_text

    write_text(path, text)


def _tell(found: Measurement) -> None:
    """A line for each picture and metric that failed, on standard error."""
    for row in found.failed[:_TOLD]:
        click.echo(f"{row.name}: failed: {row.reason}", err=True)
    if len(found.failed) > _TOLD:
        click.echo(f"... and {len(found.failed) - _TOLD} more; --per-picture FILE lists all", err=True)
    for name, reason in found.unmeasured.items():
        click.echo(f"{name}: not measured: {reason}", err=True)


def _first_reason(found: Measurement) -> str:
    rows = sorted(
        found.failed, key=lambda row: not row.test
    )  # what is said of a picture helps more than what is missing
    reasons = [*(row.reason for row in rows), *found.unmeasured.values()]
    return reasons[0] if reasons else "there are no pictures"
