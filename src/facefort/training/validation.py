"""Scores and sample sheets of a run: the same few held-out faces every time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.faces.regions import part_labels
from facefort.files import write_bytes
from facefort.models.judges.identity import recogniser
from facefort.models.judges.perceptual import lpips
from facefort.models.parts.parsenet import ParseNet
from facefort.models.parts.priors import Prior
from facefort.models.prior import codes, mean_code
from facefort.models.restorer import Restorer
from facefort.models.sources import faces as open_faces
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import from_bytes, round_to_8_bits, to_bytes
from facefort.runtime import generator
from facefort.training.data import seeds_of
from facefort.training.recipe import Recipe


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
        self.degraded = batch.faces  # of what learns clean faces alone, such as a codebook
        if recipe.data.clean_share < 1:
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
        write_sheet(self.folder / f"{step:06d}.png", [self.degraded[:8], restored, self.clean[:8]])


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
        colours = cv2.applyColorMap(np.arange(0, 256, 13, dtype=np.uint8), cv2.COLORMAP_TURBO).reshape(-1, 3)[:, ::-1]
        drawn = [from_bytes(colours[maps.numpy()]) for maps in (found, self.truth[:8])]
        write_sheet(self.folder / f"{step:06d}.png", [self.degraded[:8], *drawn])


class PriorValidation:
    """How well a prior draws held-out faces from their codes, and a sheet: those faces, its own, and invented ones.

    Arguments as for :class:`Validation`; the samples are generated faces, known by their seeds.
    """

    def __init__(self, recipe: Recipe, size: int, folder: Path) -> None:
        self.folder = folder
        batch = next(iter(open_faces(recipe.samples, size).batches(64)))
        self.seeds, self.clean = seeds_of(batch.names), batch.faces

    def __call__(self, restorer: Restorer, step: int) -> dict[str, float]:
        """Draw the sheet and return LPIPS (both backbones) and PSNR of the faces drawn from their codes."""
        prior = restorer.network
        assert isinstance(prior, Prior)
        given = codes(self.seeds, prior.code_width)
        invented = 0.7 * torch.randn(min(8, len(given)), prior.code_width, generator=generator("prior", 0))
        invented[:, -1] = mean_code(prior.code_width)[0, -1]
        with torch.no_grad():
            both = torch.cat([given, invented]).to(restorer.runtime.device)
            drawn = torch.cat([prior.draw(part).float().cpu() for part in torch.split(both, 8)]).add(1).div(2)
            drawn = round_to_8_bits(drawn.clamp(0, 1))
            ours, new = drawn[: len(given)], drawn[len(given) :]
            scores = {f"lpips-{net}": lpips(net)(ours, self.clean).mean().item() for net in ("alex", "vgg")}
        write_sheet(self.folder / f"{step:06d}.png", [self.clean[:8], ours[:8], new])
        return {name: round(value, 5) for name, value in {**scores, "psnr-rgb": _psnr(ours, self.clean)}.items()}


def write_sheet(file: Path, rows: Sequence[Tensor]) -> None:
    """Write rows of faces (N, 3, S, S) as one picture."""
    strips = [np.concatenate(list(to_bytes(row)), 1) for row in rows]
    ok, data = cv2.imencode(".png", np.concatenate(strips)[:, :, ::-1])
    assert ok
    write_bytes(file, data.tobytes())


def _psnr(restored: Tensor, clean: Tensor) -> float:
    error = (restored.double() - clean.double()).square().flatten(1).mean(1)
    return float((-10 * error.log10()).mean())
