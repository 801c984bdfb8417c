"""What is measured on a batch of faces: restoration against the truth, and against itself under attack.

Every picture is rounded to 8 bits before it is scored, restored ones too: that is what a file holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facefort.attacks import attack, random_signs
from facefort.audit.plan import CONTROL, Attacked
from facefort.audit.settings import NO_DEGRADATION, AuditSettings
from facefort.metrics import metric
from facefort.models.restorer import Restorer
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import round_to_8_bits

AGAINST_TRUTH = ("psnr-rgb", "ssim-rgb", "lpips-alex", "lpips-vgg", "identity-dlib")
WITHOUT_TRUTH = ("niqe",)
INPUT = "input."
INPUT_IDENTITY = "identity-io"

Values = dict[str, float | str]


@dataclass(frozen=True)
class Faces:
    """Faces as their source gives them, (N, 3, S, S) in [0, 1]."""

    names: list[str]
    pictures: Tensor

    def each(self) -> Iterator[Faces]:
        """Every face alone."""
        for i, name in enumerate(self.names):
            yield Faces([name], self.pictures[i : i + 1])


@dataclass(frozen=True)
class Specimens:
    """Faces of a batch as the experiment sees them, (N, 3, S, S) in [0, 1] on 8 bits.

    Attributes:
        names: one per face.
        reference: undamaged faces; None where the faces are of low quality already.
        degraded: what the restorer is given.
        restored: what it returns.
    """

    names: list[str]
    reference: Tensor | None
    degraded: Tensor
    restored: Tensor

    def each(self) -> Iterator[Specimens]:
        """Every face alone."""
        for i, name in enumerate(self.names):
            one = slice(i, i + 1)
            reference = None if self.reference is None else self.reference[one]
            yield Specimens([name], reference, self.degraded[one], self.restored[one])


@dataclass(frozen=True)
class Attempt:
    """Outcome of one attack on a batch: attacked inputs, their restorations, and the numbers of every face."""

    attack: Attacked
    adversarial: Tensor
    attacked: Tensor
    values: list[Values]


def prepare(restorer: Restorer, faces: Faces, settings: AuditSettings) -> Specimens:
    """Degrade the faces and restore them.

    Raises:
        ModelError: the restorer returns NaN, another size, or a flat picture.
    """
    degraded = round_to_8_bits(faces.pictures).to(restorer.runtime.device)
    reference = None
    if settings.preset != NO_DEGRADATION:
        reference = degraded
        degraded = degrade(reference, settings.preset, seed=settings.seed, names=faces.names).pictures.to(reference)
    return Specimens(faces.names, reference, degraded, round_to_8_bits(restorer.restore(degraded)))


@torch.no_grad()
def quality(specimens: Specimens) -> list[Values]:
    """Scores of the restored and of the degraded face ("input.psnr-rgb") against the undamaged one.

    Without undamaged faces: what can be said without them, and how far the person moved ("identity-io"). A measure
    that is not defined at the size of the faces is left out.
    """
    scores: dict[str, Tensor] = {}
    restored, degraded, reference = specimens.restored, specimens.degraded, specimens.reference
    if reference is None:
        for name in _defined(WITHOUT_TRUTH, restored):
            scores[name] = metric(name)(restored)
            scores[INPUT + name] = metric(name)(degraded)
        for name in _defined(("identity-dlib",), restored):
            scores[INPUT_IDENTITY] = metric(name)(restored, degraded, faces_known=True)
    else:
        for name in _defined(AGAINST_TRUTH, restored):
            scores[name] = metric(name)(restored, reference, faces_known=True)
            scores[INPUT + name] = metric(name)(degraded, reference, faces_known=True)
    return _per_face(scores, len(specimens.names))


def attempt(restorer: Restorer, specimens: Specimens, one: Attacked, settings: AuditSettings) -> Attempt:
    """Attack a batch and score what comes of it.

    Budgets are attacked one by one: that repeats the clean pass, one pass in sixty, and makes every budget's rows
    durable before the next one starts.

    Raises:
        ModelError: the restorer cannot be attacked; see :func:`facefort.attacks.attack`.
    """
    names, degraded = specimens.names, specimens.degraded
    if one.objective == CONTROL:
        moved = random_signs(degraded, one.budget, names=names, seed=settings.seed)
        return _scored(restorer, specimens, one, moved, {})
    (found,) = attack(
        restorer,
        degraded,
        objective=one.objective,
        budgets=[one.budget],
        steps=settings.steps,
        restarts=settings.restarts,
        seed=settings.seed,
        names=names,
        reference=specimens.reference,
    )
    losses = {"loss_first": found.trace[0], "loss_last": found.loss}
    return _scored(restorer, specimens, one, found.pictures, losses)


@torch.no_grad()
def _scored(restorer: Restorer, specimens: Specimens, one: Attacked, moved: Tensor, more: dict[str, Tensor]) -> Attempt:
    """Compare the restorations of the attacked and of the clean input ("-cc")."""
    attacked = round_to_8_bits(restorer.restore(moved))
    clean = specimens.restored
    scores = {"psnr-cc": metric("psnr-rgb")(attacked, clean)}
    for name, key in (("lpips-alex", "lpips-alex-cc"), ("identity-dlib", "identity-cc")):
        for defined in _defined((name,), clean):
            scores[key] = metric(defined)(attacked, clean, faces_known=True)
    scores["psnr-in"] = metric("psnr-rgb")(moved, specimens.degraded)
    scores["linf"] = (moved - specimens.degraded).abs().flatten(1).amax(1)
    facts: Values = {
        "objective": one.objective,
        "region": one.region,
        "eps": one.budget.epsilon,
        "eps_text": str(one.budget),
    }
    values = [{**facts, **numbers} for numbers in _per_face({**scores, **more}, len(clean))]
    return Attempt(one, moved, attacked, values)


def _defined(names: Sequence[str], faces: Tensor) -> list[str]:
    return [name for name in names if metric(name).smallest <= faces.shape[-1]]


def _per_face(scores: dict[str, Tensor], count: int) -> list[Values]:
    columns = {name: values.double().tolist() for name, values in scores.items()}
    return [{name: values[i] for name, values in columns.items()} for i in range(count)]
