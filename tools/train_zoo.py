"""Train the zoo, or some of it: parts first, then the restorers that are made with them.

    python tools/train_zoo.py [NAME ...] --faces FACES -o RUNS [--processes 2] [--together 1] [--scale 1.0]
    python tools/train_zoo.py --recipes recipes/ablations --faces FACES -o RUNS

NAME is a recipe of recipes/zoo, such as mssg-128; what it begins with or learns from is trained before it, unless it
ships or RUNS holds it. FACES is the folder that the recipes' `data/` stands for. A run that was stopped goes on where
it was; one that is done is left alone. Weights and cards come to RUNS/NAME.safetensors and RUNS/NAME.yaml. Nothing is
put into the package: look at the scores first (`benchmarks/zoo.py`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

from facefort import config
from facefort.files import write_text
from facefort.models import zoo
from facefort.training.recipe import Recipe

RECIPES = Path(__file__).parents[1] / "recipes" / "zoo"


def recipes(folder: Path = RECIPES) -> dict[str, Recipe]:
    """Every recipe of a folder by its name."""
    return {path.stem: config.load(Recipe, path) for path in sorted(folder.rglob("*.yaml"))}


def needed(recipe: Recipe) -> set[str]:
    """What a recipe begins with or learns from."""
    return {recipe.weights, recipe.teacher, *recipe.parts.values()} - {""}


def ordered(names: Iterable[str], known: dict[str, Recipe]) -> list[str]:
    """The names and, before each, what it needs that does not ship."""
    order: list[str] = []

    def add(name: str) -> None:
        for other in sorted(needed(known[name]) - {*zoo.names(), *zoo.part_names()}):
            add(other)
        if name not in order:
            order.append(name)

    for name in names:
        add(name)
    return order


def fitted(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The recipe with the paths of this run, and as many steps as the scale says."""
    made = {path.stem: str(path.resolve()) for path in options.runs.glob("*.safetensors")}
    faces = " + ".join(
        str((options.faces / part.strip().removeprefix("data/")).resolve()) for part in recipe.data.faces.split("+")
    )

    def scaled(steps: int) -> int:
        return max(1, round(steps * options.scale)) if steps else 0

    return replace(
        recipe,
        data=replace(recipe.data, faces=faces),
        weights=made.get(recipe.weights, recipe.weights),
        teacher=made.get(recipe.teacher, recipe.teacher),
        parts={where: made.get(part, part) for where, part in recipe.parts.items()},
        losses=tuple(replace(stage, start=scaled(stage.start)) for stage in recipe.losses),
        robust=replace(recipe.robust, start=scaled(recipe.robust.start)),
        steps=scaled(recipe.steps),
        decay=scaled(recipe.decay),
        batch=options.batch or recipe.batch,
        workers=options.workers,
    )


def train(name: str, recipe: Recipe, options: argparse.Namespace) -> str:
    """Train one recipe in processes of its own; returns how it ended."""
    target = options.runs / f"{name}.safetensors"
    if target.exists():
        return f"{name}: done before"
    for other in sorted(needed(recipe) & options.ended.keys()):
        options.ended[other].wait()
        if not (options.runs / f"{other}.safetensors").exists():
            return f"{name}: failed, since it needs {other}"
    write_text(options.runs / f"{name}.recipe.yaml", config.to_yaml(fitted(recipe, options)))
    command = ["-m", "facefort", "train", str(options.runs / f"{name}.recipe.yaml")]
    command += ["-o", str(options.runs / name), "--export", str(target)]
    if options.processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={options.processes}"]
        command = [*launcher, *command]
    started = time.monotonic()
    with (options.runs / f"{name}.log").open("a") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": str(recipe.threads or 1)}
        code = subprocess.run(  # noqa: S603 - this program's own words
            [sys.executable, *command], stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
        ).returncode
    minutes = (time.monotonic() - started) / 60
    return f"{name}: {'done' if code == 0 else f'failed, see {log.name}'} after {minutes:.1f} min"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the zoo.")
    parser.add_argument("names", nargs="*", help="recipes; all by default")
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="folder of recipes; the zoo's by default")
    parser.add_argument("--faces", type=Path, required=True, help="folder that holds synthetic256 and celeb128")
    parser.add_argument("-o", "--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--processes", type=int, default=1, help="processes that share each batch")
    parser.add_argument("--together", type=int, default=1, help="recipes trained at the same time")
    parser.add_argument("--scale", type=float, default=1.0, help="multiple of each recipe's steps")
    parser.add_argument("--batch", type=int, default=0, help="faces per step, instead of the recipe's")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw the batches of a recipe")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Read the options and train; 1 where a recipe failed."""
    options = _arguments(words)
    known = recipes(options.recipes)
    order = ordered(options.names or known, known)
    options.ended = {name: Event() for name in order}
    options.runs.mkdir(parents=True, exist_ok=True)
    failed = 0

    def one(name: str) -> str:
        try:
            return train(name, known[name], options)
        finally:
            options.ended[name].set()

    with ThreadPoolExecutor(options.together) as pool:
        for line in pool.map(one, order):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            failed += "failed" in line
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
