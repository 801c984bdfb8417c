"""From a recipe to a trained restorer: data, loop, sample sheets, validation, and the weights that ship."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor

from facefort import runtime
from facefort.errors import TrainingError
from facefort.models.factory import build, load_part
from facefort.models.parts.parsenet import ParseNet
from facefort.models.parts.priors import Prior
from facefort.models.prior import codes
from facefort.models.restorer import Restorer
from facefort.models.restorers.hifacegan import HiFaceGAN
from facefort.training.data import Batches, CodedBatches, FaceBank, LabelledBatches, seeds_of, training_files
from facefort.training.loop import Progress, Trainer, Watch, join
from facefort.training.recipe import Recipe
from facefort.training.validation import ParsingValidation, PriorValidation, Validation

_CALIBRATION = 512
"""Faces with which batch norms are measured."""


def train(recipe: Recipe, out: Path, on_step: Callable[[Progress], None] | None = None) -> Restorer:
    """Train a restorer, resuming from ``out`` where a run was interrupted.

    Under ``torchrun`` every process calls this; each takes its share of every batch.

    Args:
        recipe: settings.
        out: run folder; gets ``last.pt``, ``log.csv``, ``scores.csv``, ``sheets/`` and ``recipe.yaml``.
        on_step: called after each step in the first process.

    Returns:
        The restorer with the averaged weights.

    Raises:
        TrainingError: no data, a damaged checkpoint, or a loss that is no longer a number.
    """
    rank, world = join()
    runtime.seed_everything(recipe.seed)
    restorer = _beginning(recipe)
    restorer.train().requires_grad_(True)
    bank = FaceBank(training_files(recipe.data.faces), restorer.size, recipe.data.bad_limit)
    if recipe.workers:
        bank.keep(out / f"faces-{rank}.npy")
    batches = Batches(bank, recipe.data, recipe.seed, recipe.batch, rank, world)
    parser = restorer.network if isinstance(restorer.network, ParseNet) else None
    prior = restorer.network if isinstance(restorer.network, Prior) else None
    if parser is not None:
        batches = LabelledBatches(batches, out / "labels.npy", parser.classes.mirrored())
    if prior is not None:
        batches = CodedBatches(batches, codes(seeds_of(bank.names), prior.code_width))
    teacher = load_part(recipe.teacher).network if recipe.teacher else None
    trainer = Trainer(restorer, recipe, batches, out, rank, world, teacher)
    watch = Watch(on_step=on_step)
    if rank == 0:
        validate = ParsingValidation if parser is not None else PriorValidation if prior is not None else Validation
        watch.on_sample = validate(recipe, restorer.size, out / "sheets")
    done = trainer.run(watch)
    if isinstance(done.network, HiFaceGAN):
        count = max(1, _CALIBRATION // recipe.batch)
        _calibrate(done.network, (batches[recipe.steps + ahead][1] for ahead in range(count)), done.runtime)
    return done


def _calibrate(network: HiFaceGAN, degraded: Iterable[Tensor], place: runtime.Runtime) -> None:
    """Measure the batch norms with the averaged weights: what was gathered belongs to the weights before averaging."""
    with place.autocast():
        network.calibrate(part.to(place.device) * 2 - 1 for part in degraded)


def _beginning(recipe: Recipe) -> Restorer:
    """The network before the first step: fresh, or with the weights and the parts that the recipe names.

    Parts of the architecture that those weights were trained without begin fresh.

    Raises:
        TrainingError: those weights are of another architecture or size.
    """
    restorer = build(recipe.model, recipe.preset, **recipe.options)
    if recipe.weights:
        own = restorer.network.state_dict()
        given = load_part(recipe.weights).network.state_dict()
        if any(key not in own or own[key].shape != value.shape for key, value in given.items()):
            raise TrainingError(f"{recipe.weights} is not a {recipe.model} of this recipe's size; leave weights empty")
        restorer.network.load_state_dict({**own, **given})
    for name, source in recipe.parts.items():
        part = load_part(source).network.state_dict()
        try:
            restorer.network.get_submodule(name).load_state_dict(part)
        except (AttributeError, RuntimeError):
            raise TrainingError(f"{source} does not fit into '{name}' of {recipe.model}; look at its options") from None
    return restorer
