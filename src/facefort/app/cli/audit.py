"""`facefort audit`: quality and robustness of a restorer, and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facefort.app.cli.options import command_line, progress, resolve, settings_options
from facefort.audit.settings import AuditSettings
from facefort.errors import EXIT_FAILED, EXIT_OK


@click.command(name="audit")
@click.argument("model", required=False)
@settings_options(AuditSettings, hidden=("model",))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("audit"), help="Run folder.  [default: audit]"
)
@click.option("--force", is_flag=True, help="Start over instead of going on where an earlier run stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(
    model: str | None,
    config_file: Path | None,
    overrides: dict[str, Any],
    out: Path,
    force: bool,
    as_json: bool,
) -> int:
    """Audit MODEL: a name of the zoo (`facefort ls models`) or the path of a checkpoint.

    Faces are degraded, restored and scored against the originals, then attacked with growing budgets. Rows, pictures
    and the page go to the run folder; the same command goes on where an interrupted one stopped.
    """
    if model is not None:
        overrides["model"] = model
    settings = resolve(AuditSettings, config_file, overrides)
    return audit(settings, out, force=force, as_json=as_json)


def audit(settings: AuditSettings, out: Path, *, force: bool = False, as_json: bool = False) -> int:
    """Run an audit, write its page and print the findings; returns the exit code."""
    from facefort.audit import findings
    from facefort.audit.run import run as run_audit
    from facefort.report import write_page

    with progress(f"auditing {settings.model}", None) as bar:
        folder = run_audit(settings, out, bar.update, command=command_line(), resume=not force)
    page = write_page(out)
    say_findings(findings(folder), folder.info["counts"], page, as_json)
    return EXIT_FAILED if folder.info["counts"]["failed"] else EXIT_OK


def say_findings(found: list[Any], counts: dict[str, int], page: Path, as_json: bool) -> None:
    """Print what an audit found: the first three findings, the counts and the page."""
    if as_json:
        import json

        rows = [{"severity": f.severity, "title": f.title, "detail": f.detail} for f in found]
        click.echo(json.dumps({"findings": rows, "counts": counts, "page": str(page)}, indent=2))
        return
    for finding in found[:3]:
        click.echo(f"[{finding.severity}] {finding.title}. {finding.detail}")
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    click.echo(f"{counts['done']} measurements{failed}. Page: {page}")
