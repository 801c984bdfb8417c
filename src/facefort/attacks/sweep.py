"""Attacks on restorers: one clean pass and one objective for all budgets, results that survive 8-bit files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facefort.attacks.budget import Budget
from facefort.attacks.guard import frozen
from facefort.attacks.loop import Ascent, Problem, ascend
from facefort.attacks.objectives import OBJECTIVES, Objective, Subject
from facefort.errors import ModelError, UsageError
from facefort.models.restorer import Restorer
from facefort.runtime import generator


@dataclass(frozen=True)
class Adversarial:
    """Attacked pictures at one budget.

    Attributes:
        budget: what was allowed.
        pictures: (N, 3, S, S), multiples of 1/255 inside the ball, on the device of the restorer.
        loss: the objective at these very pictures, (N,).
        trace: the objective along the restart that was kept, before rounding, (steps + 1, N); (1, N) at budget 0.
        linf: largest change of any channel, (N,).
    """

    budget: Budget
    pictures: Tensor
    loss: Tensor
    trace: Tensor
    linf: Tensor


@torch.no_grad()
def attack(
    restorer: Restorer,
    pictures: Tensor,
    *,
    objective: str | Objective = "pix_self",
    budgets: str | Sequence[Budget] = "8/255",
    region: Tensor | None = None,
    region_loss: Tensor | None = None,
    steps: int = 20,
    restarts: int = 1,
    step_size: float | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    reference: Tensor | None = None,
) -> list[Adversarial]:
    """Find perturbations that raise an objective of the restored picture.

    A picture's result depends on the seed and its name, not on what else is in the batch. The whole batch is in
    memory at once; slice a large set.

    Args:
        restorer: the model, at its own precision; its state is the same afterwards.
        pictures: what is restored, (N, 3, S, S) in [0, 1], multiples of 1/255.
        objective: name in :data:`OBJECTIVES`, or a function like those.
        budgets: "8/255", "1/255,2/255", or budgets; they share the clean pass and the random starts.
        region: 1 where the perturbation may be, 0 elsewhere, (N, 1, S, S); None is everywhere.
        region_loss: where the objective counts, weights in [0, 1], (N, 1, S, S); None is everywhere.
        steps: gradient steps.
        restarts: random starts; the worst result is kept per picture.
        step_size: default epsilon / 4.
        seed: seed of the random starts.
        names: one per picture; default "0", "1", ...
        reference: undamaged pictures, for objectives that need them.

    Returns:
        One result per budget, in their order.

    Raises:
        UsageError: inputs that do not fit together.
        ModelError: the model is not differentiable, returns NaN or another size, or changes while attacked.
    """
    budgets = Budget.parse_list(budgets) if isinstance(budgets, str) else list(budgets)
    names = [str(i) for i in range(len(pictures))] if names is None else list(names)
    _check(pictures, names, steps, restarts, step_size)
    clean = pictures.to(restorer.runtime.device)
    region = _placed(region, "region", 1, clean)
    region_loss = _placed(region_loss, "region_loss", 1, clean)
    reference = _placed(reference, "reference", 3, clean)
    build = OBJECTIVES.get(objective) if isinstance(objective, str) else objective
    with frozen(restorer, restorer.name):
        distance = build(Subject(_restored(restorer, clean), reference, region_loss))
        problem = Problem(lambda moved: distance(_restored(restorer, moved)), clean, names, restorer.name, region)
        return [_at(problem, budget, steps, restarts, step_size, seed) for budget in budgets]


def _at(problem: Problem, budget: Budget, steps: int, restarts: int, step_size: float | None, seed: int) -> Adversarial:
    """Worst of the restarts, judged after rounding, because that is what a file can hold."""
    clean = problem.pictures
    if budget.epsilon == 0:
        loss = problem.loss(clean).float()
        return Adversarial(budget, clean.clone(), loss, loss[None], torch.zeros_like(loss))
    worst: Ascent | None = None
    for restart in range(restarts):
        noise = _noise(clean, problem.names, seed, restart)
        found = ascend(problem, noise, epsilon=budget.epsilon, steps=steps, step_size=step_size or budget.epsilon / 4)
        rounded = round_towards(found.pictures, clean)
        worst = _worse(worst, Ascent(rounded, problem.loss(rounded).float(), found.trace))
    assert worst is not None
    linf = (worst.pictures - clean).abs().flatten(1).amax(1)
    assert float(linf.max()) <= budget.epsilon + 1e-6, "the perturbation left its ball"
    if problem.mask is not None:
        assert bool(((worst.pictures == clean) | (problem.mask > 0)).all()), "the perturbation left its mask"
    return Adversarial(budget, worst.pictures, worst.loss, worst.trace, linf)


def round_towards(moved: Tensor, clean: Tensor) -> Tensor:
    """Round perturbed pictures to 8 bits, towards the clean ones, so that rounding never leaves the ball.

    Args:
        moved: perturbed pictures in [0, 1].
        clean: multiples of 1/255 of the same shape.
    """
    levels = (moved - clean) * 255
    # Whole levels that float arithmetic left a hair short must not lose one.
    levels = (levels + 1e-3 * levels.sign()).trunc()
    return torch.where(levels == 0, clean, ((clean * 255).round() + levels) / 255)


def _worse(old: Ascent | None, new: Ascent) -> Ascent:
    if old is None:
        return new
    worse = new.loss > old.loss
    return Ascent(
        torch.where(worse[:, None, None, None], new.pictures, old.pictures),
        torch.where(worse, new.loss, old.loss),
        torch.where(worse, new.trace, old.trace),
    )


def _noise(like: Tensor, names: Sequence[str], seed: int, restart: int) -> Tensor:
    shape = like.shape[1:]
    draws = [torch.rand(shape, generator=generator(seed, name, restart)) for name in names]
    return torch.stack(draws).mul_(2).sub_(1).to(like)


def _restored(restorer: Restorer, pictures: Tensor) -> Tensor:
    restored = restorer(pictures)
    if restored.shape != pictures.shape:
        raise ModelError(
            f"{restorer.name} returned {tuple(restored.shape)} for {tuple(pictures.shape)}; a restorer keeps the size"
        )
    return restored.float()


def _check(pictures: Tensor, names: Sequence[str], steps: int, restarts: int, step_size: float | None) -> None:
    if pictures.ndim != 4 or pictures.shape[1] != 3 or len(pictures) == 0:
        raise UsageError(f"an attack needs a batch (N, 3, S, S) of pictures, not {tuple(pictures.shape)}")
    levels = pictures * 255
    if not bool(((levels - levels.round()).abs() < 1e-3).all() and (pictures >= 0).all() and (pictures <= 1).all()):
        raise UsageError("the pictures to attack must hold 8-bit values in [0, 1]; round them to n/255 first")
    if len(names) != len(pictures) or len(set(names)) != len(names):
        raise UsageError(f"{len(pictures)} pictures need as many different names, not {len(set(names))}")
    if steps < 1 or restarts < 1 or (step_size is not None and step_size <= 0):
        raise UsageError("steps and restarts must be at least 1, and the step size above 0")


def _placed(tensor: Tensor | None, what: str, channels: int, like: Tensor) -> Tensor | None:
    """The tensor beside the pictures, after a look at its shape and, for a region, at its values."""
    if tensor is None:
        return None
    if tensor.shape != (len(like), channels, *like.shape[2:]):
        raise UsageError(f"{what} must have shape (N, {channels}, S, S) of the pictures, not {tuple(tensor.shape)}")
    if channels == 1 and not bool((tensor >= 0).all() and (tensor <= 1).all() and tensor.flatten(1).any(1).all()):
        raise UsageError(f"{what} must hold values in [0, 1], and not be empty for any picture")
    return tensor.to(like)
