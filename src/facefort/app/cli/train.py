"""`facefort train`: train a restorer by a recipe, and put the result into a file with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facefort.app.cli.options import progress, resolve, settings_options
from facefort.training.recipe import Recipe


@click.command(name="train")
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@settings_options(Recipe, hidden=("options",))
@click.option("--data", "faces", help="Folder of aligned faces; stands for data.faces of the recipe.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Run folder [runs/NAME of the recipe].")
@click.option("--export", type=click.Path(path_type=Path), help="Also write weights and card here (.safetensors).")
def command(
    recipe: Path,
    config_file: Path | None,
    overrides: dict[str, Any],
    faces: str | None,
    out: Path | None,
    export: Path | None,
) -> None:
    """Train by RECIPE, a YAML file such as recipes/zoo/gfpgan-128.yaml.

    A checkpoint is written every few minutes and at the end; the same command goes on from the last one. Under
    torchrun the processes share every batch.
    """
    from facefort.config import read_yaml

    values = read_yaml(recipe)
    if config_file is not None:
        values.update(read_yaml(config_file))
    values.update(overrides)
    if faces is not None:
        values["data"] = {**values.get("data", {}), "faces": faces}
    settings = resolve(Recipe, None, values)
    out = out or Path("runs") / recipe.stem

    from facefort.training.loop import Progress
    from facefort.training.run import train

    with progress(f"training {settings.model}", settings.steps) as bar:

        def show(now: Progress) -> None:
            bar.update(now.step, settings.steps)
            if now.step % 50 == 0 or now.step == now.steps:
                losses = ", ".join(f"{name} {value:.4f}" for name, value in now.losses.items())
                pace = f"{now.faces_per_second:.1f} faces/s, {now.seconds_left / 60:.0f} min left"
                bar.say(f"step {now.step}/{now.steps}: {losses}; {pace}")

        restorer = train(settings, out, show)
    click.echo(f"trained to step {settings.steps}; checkpoint, log and sheets are in {out}")
    if export is not None:
        from facefort.training.export import export_weights

        export_weights(restorer, out, export)
        click.echo(f"weights and card: {export} and {export.with_suffix('.yaml')}")
