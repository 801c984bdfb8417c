"""`facefort report`: the page and tables of a run, again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
def command(run: Path) -> None:
    """Write the page of the run folder RUN again from its rows and pictures."""
    from facefort.report import write_page

    click.echo(str(write_page(run)))
