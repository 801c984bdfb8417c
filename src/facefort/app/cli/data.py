"""`facefort data`: what a folder of pictures is, what of it is missing, and which of them belong to a split."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facefort.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from facefort.pictures.datasets import Check, Dataset

_FOLDER = click.Path(path_type=Path)
_AS = click.option("--as", "kind", metavar="NAME", help="Take it for this data set (`facefort ls datasets`).")


@click.group(name="data")
def command() -> None:
    """Recognise data sets on your disk, check them, list their splits.

    Nothing is downloaded or changed.
    """


@command.command(name="check")
@click.argument("path", type=_FOLDER)
@_AS
@click.option("--subset", is_flag=True, help="A part of the data set is all there should be; check that part only.")
@click.option("--read", "read_all", is_flag=True, help="Read every picture, not the headers of a few.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(path: Path, kind: str | None, subset: bool, read_all: bool, as_json: bool) -> int:
    """Say what the folder PATH holds, and what is missing of it.

    Exit codes: 0 recognised and whole, 1 something is missing, 2 not recognised.
    """
    from facefort.pictures.datasets import recognise

    dataset = recognise(path, kind)
    checked = dataset.check(subset=subset)
    if read_all:
        checked = _with_unreadable(dataset, checked)
    click.echo(json.dumps(_plain(dataset, checked), indent=2) if as_json else "\n".join(_lines(dataset, checked)))
    return EXIT_OK if checked.whole else EXIT_FAILED


@command.command(name="split")
@click.argument("path", type=_FOLDER)
@click.argument("name", required=False)
@_AS
@click.option("--keys", is_flag=True, help="Print the pictures' keys instead of their paths; no file need be there.")
def split(path: Path, name: str | None, kind: str | None, keys: bool) -> None:
    """List the pictures of a split of the data set in PATH, such as 'stargan/test', one a line.

    Without NAME: the splits, the number of their pictures, and the SHA-256 of their lists, which two results must
    share to be of the same pictures.
    """
    from facefort.pictures.datasets import recognise

    dataset = recognise(path, kind)
    if name is None:
        for each in dataset.splits():
            listed = dataset.split_keys(each)
            click.echo(f"{each:<18} {len(listed):>9,}  {dataset.split_digest(each)}")
        return
    lines = dataset.split_keys(name) if keys else map(str, dataset.split(name))
    for line in lines:
        click.echo(line)


def _with_unreadable(dataset: Dataset, checked: Check) -> Check:
    from facefort.app.cli.options import progress

    with progress(f"reading {dataset.title}", len(dataset)) as bar:
        unreadable = dataset.unreadable(bar.update)
    known = {fault.path for fault in unreadable}
    return replace(checked, faults=[*(fault for fault in checked.faults if fault.path not in known), *unreadable])


def _plain(dataset: Dataset, checked: Check) -> dict[str, Any]:
    return {
        **dataset.summary(),
        "counts": dict(checked.counts),
        "splits": {
            name: {"count": count, "sha256": dataset.split_digest(name)} for name, count in checked.splits.items()
        },
        "whole": checked.whole,
        "faults": [{"path": str(each.path), "what": each.what, "count": each.count} for each in checked.faults],
        "notes": list(checked.notes),
        "next": next_command(dataset),
    }


def _lines(dataset: Dataset, checked: Check) -> list[str]:
    likely = "" if dataset.certain else "likely "
    lines = [f"{likely}{dataset.title} in {dataset.home.path}"]

    def tell(what: str, text: str) -> None:
        lines.append(f"  {what:<10}  {text}")

    size = " of {} x {} px".format(*dataset.sampled.size) if dataset.sampled.size else ""
    tell("counts", ", ".join(f"{n:,} {what}{size if what == 'pictures' else ''}" for what, n in checked.counts.items()))
    if dataset.variant:
        tell("variant", dataset.variant)
    tell("known by", "; ".join(dataset.evidence))
    if not dataset.certain:
        tell("", "nothing else tells; if it is another, say --as faces")
    if checked.splits:
        tell("splits", ", ".join(f"{name} {count:,}" for name, count in checked.splits.items()))
    tell("licence", dataset.facts.licence)
    for note in checked.notes:
        tell("note", note)
    for fault in checked.faults:
        more = f" (and {fault.count - 1:,} more)" if fault.count > 1 else ""
        tell("missing", f"{fault.path}{more}: {fault.what}")
    following = next_command(dataset)
    lines.append(("whole" if checked.whole else "not whole") + (f"; next: {following}" if following else ""))
    return lines


def next_command(dataset: Dataset) -> str:
    """What to type next with such pictures; "" where facefort has nothing to do with them yet."""
    from facefort.models import zoo

    where = shlex.quote(str(dataset.root) if dataset.facts.use == "run" else dataset.pattern)
    return {
        "faces": f"facefort audit {zoo.DEFAULT} --faces {where} --limit 64",
        "degraded": f"facefort audit {zoo.DEFAULT} --faces {where} --preset none --limit 64",
        "photos": f"facefort restore {where} --limit 8",
        "run": f"facefort report {where}",
        "none": "",
    }[dataset.facts.use]
