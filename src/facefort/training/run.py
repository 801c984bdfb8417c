"""From a recipe to a trained restorer: data, loop, sample sheets, validation, and the weights that ship."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort import runtime
from facefort.errors import TrainingError
from facefort.faces.regions import part_labels
from facefort.files import write_bytes
from facefort.models.factory import build, load_part
from facefort.models.judges.identity import recogniser
from facefort.models.judges.perceptual import lpips
from facefort.models.parts.parsenet import ParseNet
from facefort.models.restorer import Restorer
from facefort.models.restorers.hifacegan import HiFaceGAN
from facefort.models.sources import faces as open_faces
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import round_to_8_bits, to_bytes
from facefort.training.data import Batches, FaceBank, LabelledBatches, training_files
from facefort.training.loop import Progress, Trainer, Watch, join
from facefort.training.recipe import Recipe

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
    if parser is not None:
        batches = LabelledBatches(batches, out / "labels.npy", parser.classes.mirrored())
    teacher = load_part(recipe.teacher).network if recipe.teacher else None
    trainer = Trainer(restorer, recipe, batches, out, rank, world, teacher)
    watch = Watch(on_step=on_step)
    if rank == 0:
        validate = Validation if parser is None else ParsingValidation
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


class Validation:
    """Scores and a sheet of a few held-out faces, the same ones every time.

    Args:
        recipe: says which faces and degradations.
        size: side of the faces.
        folder: where the sheets go.
    """

    def __init__(self, recipe: Recipe, size: int, folder: Path) -> None:
        self.folder = folder
        batch = next(iter(open_faces(recipe.samples, size).batches(64)))
        self.clean = batch.faces
        self.judge = recogniser() if any(stage.identity for stage in recipe.losses) else None
        self.degraded = degrade(batch.faces, recipe.data.presets[0], seed=1, names=batch.names).pictures

    def __call__(self, restorer: Restorer, step: int) -> dict[str, float]:
        """Restore, draw the sheet and return LPIPS (both backbones), PSNR and identity of the restored faces."""
        with torch.no_grad():
            done = [restorer.restore(part).cpu() for part in torch.split(self.degraded, 8)]
            restored = round_to_8_bits(torch.cat(done))
            scores = {f"lpips-{net}": lpips(net)(restored, self.clean).mean().item() for net in ("alex", "vgg")}
            scores["psnr-rgb"] = _psnr(restored, self.clean)
            scores |= self._identity(restored)
        self._draw(restored[:8], step)
        return {name: round(value, 5) for name, value in scores.items()}

    def _identity(self, restored: Tensor) -> dict[str, float]:
        """Distance to the clean face in the recogniser of the loss, and the share that restoring brought closer."""
        if self.judge is None:
            return {}
        clean, degraded, after = (self.judge(faces) for faces in (self.clean, self.degraded, restored))
        reached, began = self.judge.distance(after, clean), self.judge.distance(degraded, clean)
        return {"identity": reached.mean().item(), "closer": (reached < began).float().mean().item()}

    def _draw(self, restored: Tensor, step: int) -> None:
        rows = [np.concatenate(list(to_bytes(part)), 1) for part in (self.degraded[:8], restored, self.clean[:8])]
        ok, data = cv2.imencode(".png", np.concatenate(rows)[:, :, ::-1])
        assert ok
        write_bytes(self.folder / f"{step:06d}.png", data.tobytes())


class ParsingValidation:
    """How well a parser tells the parts of degraded held-out faces apart, and a sheet of its maps.

    Arguments as for :class:`Validation`; the truth comes from the landmarks of the undegraded faces.
    """

    def __init__(self, recipe: Recipe, size: int, folder: Path) -> None:
        self.folder = folder
        batch = next(iter(open_faces(recipe.samples, max(256, size)).batches(64)))
        pictures = batch.faces.permute(0, 2, 3, 1).numpy()
        labels = [cv2.resize(part_labels(one), (size, size), interpolation=cv2.INTER_NEAREST) for one in pictures]
        self.truth = torch.from_numpy(np.stack(labels))
        clean = F.interpolate(batch.faces, size=(size, size), mode="area")
        self.degraded = degrade(clean, recipe.data.presets[0], seed=1, names=batch.names).pictures

    def __call__(self, restorer: Restorer, step: int) -> dict[str, float]:
        """Draw the sheet and return the intersection over union of every class, and their mean."""
        parser = restorer.network
        assert isinstance(parser, ParseNet)
        with torch.no_grad():
            faces = self.degraded.to(restorer.runtime.device)
            logits = [parser.logits(part * 2 - 1).cpu() for part in torch.split(faces, 8)]
        found = torch.cat(logits).argmax(1)
        scores = {}
        for number, name in enumerate(parser.classes.names):
            both, either = (found == number) & (self.truth == number), (found == number) | (self.truth == number)
            scores[f"iou-{name}"] = float(both.sum() / either.sum().clamp(min=1))
        self._draw(found[:8], step)
        return {
            name: round(value, 4) for name, value in {"iou": float(np.mean(list(scores.values()))), **scores}.items()
        }

    def _draw(self, found: Tensor, step: int) -> None:
        colours = cv2.applyColorMap(np.arange(0, 256, 13, dtype=np.uint8), cv2.COLORMAP_TURBO).reshape(-1, 3)
        faces = np.concatenate(list(to_bytes(self.degraded[:8])), 1)[:, :, ::-1]
        rows = [faces, *(np.concatenate(list(colours[maps.numpy()]), 1) for maps in (found, self.truth[:8]))]
        ok, data = cv2.imencode(".png", np.concatenate(rows))
        assert ok
        write_bytes(self.folder / f"{step:06d}.png", data.tobytes())


def _psnr(restored: Tensor, clean: Tensor) -> float:
    error = (restored.double() - clean.double()).square().flatten(1).mean(1)
    return float((-10 * error.log10()).mean())
