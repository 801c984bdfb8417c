"""`facefort attack`: the change within a budget that moves a restoration furthest, for the faces of given photos."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from facefort.app.cli.audit import audit
from facefort.app.cli.options import resolve, settings_options
from facefort.audit.settings import NO_DEGRADATION, AuditSettings
from facefort.errors import EXIT_FAILED, UsageError


@click.command(name="attack")
@click.argument("photos", nargs=-1)
@settings_options(AuditSettings, hidden=("faces", "preset", "limit"))
@click.option("--aligned", is_flag=True, help="The pictures are aligned faces, not photos.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("attack"), help="Run folder [attack].")
@click.option("--force", is_flag=True, help="Start over instead of going on where an earlier run stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(
    photos: tuple[str, ...],
    config_file: Path | None,
    overrides: dict[str, Any],
    aligned: bool,
    out: Path,
    force: bool,
    as_json: bool,
) -> int:
    """Attack the restoration of every face of PHOTOS (files, folders, patterns, or - for a list).

    Projected gradient descent raises the objective within each budget; the worst result of all restarts is rounded to
    8 bits, restored again and scored against the restoration of the untouched face. The adversarial faces lie in the
    run folder under pictures/.
    """
    from facefort.models import zoo

    overrides.setdefault("model", zoo.DEFAULT)
    settings = resolve(AuditSettings, config_file, overrides)
    failed = 0
    if aligned:
        faces = _only(photos)
    else:
        faces, failed = _faces_of(photos, settings.model, out / "faces")
    settings = dataclasses.replace(settings, faces=faces, preset=NO_DEGRADATION)
    code = audit(settings, out, force=force, as_json=as_json)
    return code or (EXIT_FAILED if failed else 0)


def _only(photos: tuple[str, ...]) -> str:
    if len(photos) != 1:
        raise UsageError("with --aligned name one folder, pattern or source, such as samples or synthetic:0..15")
    return photos[0]


def _faces_of(photos: tuple[str, ...], model: str, folder: Path) -> tuple[str, int]:
    """Cut the photos' faces into ``folder``; returns the folder and the number of photos that gave none."""
    from facefort.audit.crops import cut_faces
    from facefort.models import load
    from facefort.pictures.folders import expand

    cuts = cut_faces(expand(photos), load(model).size, folder)
    for cut in cuts:
        if cut.reason:
            click.echo(f"{cut.photo.name}: {cut.reason}", err=True)
    if not any(cut.faces for cut in cuts):
        raise UsageError("no face to attack; with --aligned the pictures are taken as they are")
    return str(folder), sum(not cut.faces for cut in cuts)
