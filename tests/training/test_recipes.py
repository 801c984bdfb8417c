"""The recipes that come with the project: each names what exists and trains what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefort import config
from facefort.models import build, zoo
from facefort.models.parts import PARTS
from facefort.models.restorers import RESTORERS
from facefort.training.recipe import Recipe

FOLDER = Path(__file__).parents[2] / "recipes"
NAMES = sorted(
    str(path.relative_to(FOLDER).with_suffix(""))
    for kind in ("zoo", "ablations")
    for path in (FOLDER / kind).rglob("*.yaml")
)


def read(name: str) -> Recipe:
    return config.load(Recipe, FOLDER / f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_what_exists(name: str) -> None:
    recipe = read(name)
    made = {Path(other).name for other in NAMES} | set(zoo.names()) | set(zoo.part_names())
    assert {recipe.weights, recipe.teacher, *recipe.parts.values()} - {""} <= made
    architecture = PARTS.get(recipe.model) if recipe.model in PARTS else RESTORERS.get(recipe.model)
    for stage in recipe.losses:
        assert set(stage.own) <= set(architecture.own_losses)
    assert recipe.losses[0].start == 0
    assert all(stage.start < recipe.steps for stage in recipe.losses)
    assert recipe.decay <= recipe.steps


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_freezes_and_fills_is_in_the_network(name: str) -> None:
    recipe = read(name)
    network = build(recipe.model, recipe.preset, **recipe.options).network
    names = [key for key, _ in network.named_parameters()]
    for prefix in recipe.frozen:
        assert any(key.startswith(prefix) for key in names)
    assert any(not key.startswith(recipe.frozen) for key in names) if recipe.frozen else names
    for part in recipe.parts:
        assert network.get_submodule(part) is not None


def test_every_restorer_has_a_recipe() -> None:
    of_the_zoo = {read(name).model for name in NAMES if name.startswith("zoo/")}
    assert of_the_zoo >= {entry.name for entry in RESTORERS}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("ablations/") and "-" in name])
def test_an_ablation_leaves_out_one_thing(name: str) -> None:
    whole, changed = read(name.split("-")[0]), read(name)
    assert changed != whole
    # What differs is the idea itself, not how long or with what the network is trained.
    for field in ("model", "preset", "data", "steps", "decay", "batch", "rate", "muon", "ema", "seed"):
        assert getattr(changed, field) == getattr(whole, field)
