"""`facefort restore`: photos in, photos with restored faces out, and a word on every face."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facefort.app.cli.options import command_line, progress, resolve, settings_options
from facefort.errors import EXIT_FAILED, EXIT_OK
from facefort.restoring.settings import RestoreSettings

if TYPE_CHECKING:
    from facefort.restoring.batch import Outcome

_WORDS = {"yes": "same person", "no": "may be another person", "unsure": "too little to tell who"}
_STATUS_WORDS = {"failed": "failed", "skipped": "left as it was"}


@click.command(
    name="restore",
    # GFPGAN's and CodeFormer's users type --only_center_face.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)
@click.argument("inputs", nargs=-1)
@click.option("-i", "--input", "more", multiple=True, help="Photo, folder or pattern; the same as INPUTS.")
@click.option(
    "-o",
    "--out",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder.  [default: results]",
)
@settings_options(RestoreSettings, hidden=("inputs",))
@click.option("--force", is_flag=True, help="Start over instead of keeping what is done.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per photo.")
def command(
    inputs: tuple[str, ...],
    more: tuple[str, ...],
    out: Path,
    config_file: Path | None,
    overrides: dict[str, Any],
    force: bool,
    as_json: bool,
) -> int:
    """Restore the faces of INPUTS: photos, folders, patterns such as 'photos/*.jpg', or - for a list on standard input.

    Whole photos go to restored_imgs in the output folder; faces before, after and side by side to cropped_faces,
    restored_faces and cmp; a score of every face to faces.csv. The same command goes on where an interrupted one
    stopped. To choose or correct faces, edit faces.json and give it back with --faces.
    """
    if inputs or more:
        overrides["inputs"] = [*inputs, *more]
    settings = resolve(RestoreSettings, config_file, overrides)
    return restore(settings, out, force=force, as_json=as_json)


def restore(settings: RestoreSettings, out: Path, *, force: bool, as_json: bool) -> int:
    """Restore photos, print a line for each, write the page; returns the exit code."""
    from facefort.report import write_page
    from facefort.restoring.batch import run

    seen: Counter[str] = Counter()
    with progress("restoring", None) as bar:

        def tell(outcome: Outcome) -> None:
            seen[outcome.status] += 1
            seen["faces"] += len(outcome.faces)
            click.echo(as_line(outcome) if not as_json else as_json_line(outcome))
            bar.update(outcome.number, outcome.total)

        folder = run(settings, out, tell, command=command_line(), resume=not force)
    page = write_page(out)
    if not as_json:
        click.echo(f"{settings.model} was computed by {folder.info['provenance']['computed by']}")
        click.echo(_summary(seen, out, page))
    return EXIT_FAILED if seen["failed"] else EXIT_OK


def as_line(outcome: Outcome) -> str:
    """What became of a photo, for a person."""
    if outcome.status == "kept":
        return f"{outcome.name}: already done"
    if not outcome.faces:
        said = f"failed: {outcome.reason}" if outcome.status == "failed" else outcome.reason
    else:
        counts = Counter(_word(face) for face in outcome.faces)
        words = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.items())
        said = f"{_number(len(outcome.faces), 'face')}: {words}"
        said += f" ({outcome.reason})" if outcome.reason else ""
    return f"{outcome.name}: {said}, {outcome.seconds:.1f} s"


def as_json_line(outcome: Outcome) -> str:
    """What became of a photo, for a program."""
    head = {"photo": outcome.name, "status": outcome.status, "reason": outcome.reason, "seconds": outcome.seconds}
    return json.dumps({**head, **outcome.values, "faces": list(outcome.faces)}, ensure_ascii=False)


def _word(face: Any) -> str:  # noqa: ANN401 - values of a row
    return _STATUS_WORDS.get(face["status"]) or _WORDS[face["same_person"]]


def _summary(seen: Counter[str], out: Path, page: Path) -> str:
    photos = sum(seen[status] for status in ("done", "failed", "kept"))
    parts = [_number(photos, "photo"), _number(seen["faces"], "face")]
    parts += [f"{seen['failed']} failed"] if seen["failed"] else []
    return f"{', '.join(parts)}. Photos: {out / 'restored_imgs'}. Scores: {out / 'faces.csv'}. Page: {page}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
