"""A run folder becomes one HTML file that needs nothing else: no network, no second file, no script but its own."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from facefort.errors import UsageError
from facefort.files import write_text
from facefort.measuring.result import Measurement
from facefort.report.audit_page import audit_context
from facefort.report.measure_page import measure_context, run_context
from facefort.report.restore_page import restore_context
from facefort.runs import RunFolder

PAGE = "report.html"

_CONTEXTS: dict[str, Callable[[RunFolder], dict[str, Any]]] = {
    "audit": audit_context,
    "restore": restore_context,
    "measure": run_context,
}


def write_page(run_path: Path) -> Path:
    """Write ``report.html`` into a run folder, whole or not at all, and return where it lies.

    Raises:
        UsageError: the folder holds no run, or a run of a verb that has no page.
        PictureError: a picture of the run is missing or damaged.
        OutputError: the folder cannot be written.
    """
    page = run_path / PAGE
    write_text(page, render_page(RunFolder.read(run_path)))
    return page


def write_summary(out: Path, restored_path: Path, audited_path: Path) -> Path:
    """Write ``report.html`` into ``out``: what a restore run shows, then what an audit run found.

    Raises:
        UsageError: a folder that holds no run.
        PictureError: a picture of a run is missing or damaged.
        OutputError: ``out`` cannot be written.
    """
    restored, audited = restore_context(RunFolder.read(restored_path)), audit_context(RunFolder.read(audited_path))
    head = replace(
        audited["head"],
        kicker="facefort demo",
        title="Sample photos restored, the bundled restorer audited",
        verdict=f"{restored['head'].verdict} {audited['head'].verdict}",
    )
    failures = [*restored["failures"], *audited["failures"]]
    page = out / PAGE
    write_text(page, _render("demo", {**audited, "restored": restored, "head": head, "failures": failures}))
    return page


def render_page(run: RunFolder) -> str:
    """The HTML of a run's page; the same rows and pictures give the same text.

    Raises:
        UsageError: the run is of a verb that has no page.
        PictureError: a picture of the run is missing or damaged.
    """
    verb = run.info["verb"]
    if verb not in _CONTEXTS:
        raise UsageError(f"a run of '{verb}' has no page; pages exist for: {', '.join(_CONTEXTS)}")
    return _render(verb, _CONTEXTS[verb](run))


def render_measured(measurement: Measurement) -> str:
    """The HTML of a measurement that has no run folder."""
    return _render("measure", measure_context(measurement))


def _render(template: str, context: dict[str, Any]) -> str:
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        _templates()
        .get_template(f"{template}.html.j2")
        .render(
            context,
            style=Markup(_asset("page.css")),  # noqa: S704 - a file of this package
            script=Markup(script),  # noqa: S704 - a file of this package
            script_hash=f"sha256-{digest}",
        )
    )


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("facefort.report"),
        autoescape=True,  # picture names are hostile input
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    environment = _templates()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
