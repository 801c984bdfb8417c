"""Weights that ship: bfloat16 safetensors and a card that says how they came to be."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import torch
import yaml

from facefort import config, runtime
from facefort.files import sha256_file, write_text
from facefort.models.cost import cpu_milliseconds, gflop
from facefort.models.restorer import Restorer
from facefort.models.weights import save_weights
from facefort.training.recipe import Recipe


def export_weights(restorer: Restorer, run: Path, target: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Write ``target`` (.safetensors) and its card beside it (.yaml).

    Args:
        restorer: with the averaged weights of a finished run.
        run: the training run's folder; its recipe, time and validation scores go onto the card.
        target: where the weights go.
        more: further entries of the card, such as scores of an audit.

    Returns:
        The card.
    """
    recipe = config.to_plain(config.load(Recipe, run / "recipe.yaml"))
    state = torch.load(run / "last.pt", map_location="cpu", weights_only=True)
    parameters = sum(p.numel() for p in restorer.network.parameters())
    save_weights(target, restorer.network.state_dict(), {"architecture": restorer.architecture.name})
    card: dict[str, Any] = {
        "name": target.stem,
        "architecture": restorer.architecture.name,
        "paper": restorer.architecture.paper,
        "size": restorer.size,
        "parameters_m": round(parameters / 1e6, 3),
        **cost_of(restorer, target),
        "licence": "Apache-2.0",
        "licence_of_the_method": restorer.architecture.licence,
        "sha256": sha256_file(target),
        "options": dict(restorer.options),
        "training": {
            "steps": state["step"],
            "faces_seen": state["step"] * recipe["batch"],
            "minutes": round(state["seconds"] / 60),
            "recipe": {
                **recipe,
                "data": {**recipe["data"], "faces": public(recipe["data"]["faces"])},
                "samples": public(recipe["samples"]),
                "weights": _stem(recipe["weights"]),
                "teacher": _stem(recipe["teacher"]),
            },
            "machine": runtime.describe(restorer.runtime),
        },
        "validation": _last_scores(run / "scores.csv"),
        **more,
    }
    write_text(
        target.with_suffix(".yaml"),
        yaml.safe_dump(msgspec.to_builtins(card, str_keys=True), sort_keys=False, allow_unicode=True, width=100),
    )
    return card


def cost_of(restorer: Restorer, weights: Path) -> dict[str, Any]:
    """Entries of a card: size of the file, operations, CPU time on this machine."""
    place = runtime.describe(restorer.runtime)
    return {
        "megabytes": round(weights.stat().st_size / 1e6, 1),
        "gflop": round(gflop(restorer), 2),
        "cpu_ms": {
            "one face, one thread": round(cpu_milliseconds(restorer)),
            "machine": f"{place['processor']}, {place['precision']}",
        },
    }


def public(source: str) -> str:
    """A face source without the folders that lead to it: a card says which faces, not where somebody keeps them."""
    parts = [part.strip() for part in source.split("+")]
    return " + ".join("/".join(Path(part).parts[-2:]) if "/" in part else part for part in parts)


def _last_scores(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: float(value) for name, value in rows[-1].items()} if rows else {}


def _stem(source: str) -> str:
    """Name of weights without the folders that lead to them."""
    return Path(source).stem if "/" in source else source
