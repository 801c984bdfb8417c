"""Projected gradient descent of Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks" (2018).

The loop differentiates with respect to the input alone, projects before it clamps (the other order leaves the ball at
the borders of the range), and keeps for every picture the worst iterate it met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facefort.errors import ModelError


@dataclass(frozen=True)
class Problem:
    """What is attacked.

    Attributes:
        loss: perturbed pictures (N, 3, H, W) -> what is to be raised (N,), differentiable.
        pictures: clean pictures (N, 3, H, W) in [0, 1].
        names: one per picture, for messages.
        model: name of the model, for messages.
        mask: 1 where the perturbation may be, (N, 1, H, W), or None for everywhere.
    """

    loss: Callable[[Tensor], Tensor]
    pictures: Tensor
    names: Sequence[str]
    model: str
    mask: Tensor | None = None


@dataclass(frozen=True)
class Ascent:
    """Worst iterates of one ascent.

    Attributes:
        pictures: perturbed pictures (N, 3, H, W) in [0, 1], inside the ball.
        loss: their loss (N,).
        trace: loss of every iterate from the start to the last step, (steps + 1, N).
    """

    pictures: Tensor
    loss: Tensor
    trace: Tensor


def ascend(problem: Problem, noise: Tensor, *, epsilon: float, steps: int, step_size: float) -> Ascent:
    """Raise the loss inside the l-infinity ball by steps along the gradient's sign.

    Args:
        problem: what is attacked.
        noise: start, (N, 3, H, W) in [-1, 1], scaled by epsilon here.
        epsilon: radius of the ball.
        steps: how many.
        step_size: length of each.

    Raises:
        ModelError: no gradient reaches the picture, or the loss is not a number.
    """
    clean = problem.pictures
    low, high = (clean - epsilon).clamp_(min=0), (clean + epsilon).clamp_(max=1)
    if problem.mask is not None:
        # A ball of radius zero outside the mask: projection alone keeps those pixels bit-exact.
        low, high = (torch.where(problem.mask > 0, bound, clean) for bound in (low, high))
    moved = _start(clean, epsilon * noise).clamp(low, high)
    best, best_loss, trace = moved, torch.full_like(clean[:, 0, 0, 0], -torch.inf), []
    for step in range(steps + 1):
        last = step == steps
        loss, gradient = (_loss(problem, moved), None) if last else _gradient(problem, moved, first=step == 0)
        trace.append(loss)
        better = loss > best_loss
        best = moved if bool(better.all()) else torch.where(better[:, None, None, None], moved, best)
        best_loss = torch.where(better, loss, best_loss)
        if gradient is not None:
            moved = torch.add(moved, gradient.sign_(), alpha=step_size).clamp_(low, high)
    return Ascent(best, best_loss, torch.stack(trace))


def _start(clean: Tensor, noise: Tensor) -> Tensor:
    """Clean pictures plus noise, mirrored where it would leave [0, 1].

    Clamping instead would start black and white pixels at the clean value, where a distance to the clean result has
    no slope: they would never move.
    """
    start = clean + noise
    return torch.where((start < 0) | (start > 1), clean - noise, start)


@torch.no_grad()
def _loss(problem: Problem, moved: Tensor) -> Tensor:
    return _finite(problem, problem.loss(moved).float())


def _gradient(problem: Problem, moved: Tensor, *, first: bool) -> tuple[Tensor, Tensor]:
    """Loss (N,) and its gradient with respect to the pictures; the sum keeps the pictures apart."""
    moved = moved.detach().requires_grad_()
    with torch.enable_grad():
        loss = problem.loss(moved).float()
        gradient = torch.autograd.grad(loss.sum(), moved, allow_unused=True)[0] if loss.requires_grad else None
    loss = _finite(problem, loss.detach())
    if gradient is None:
        raise ModelError(
            f"{problem.model} has no differentiable path from its output to its input (gradient masking); "
            "attack it with straight-through or soft quantisation"
        )
    _finite(problem, gradient.flatten(1).sum(1))  # one NaN or infinity anywhere makes the sum one
    if first:
        _refuse_dead(problem, gradient)
    return loss, gradient


def _refuse_dead(problem: Problem, gradient: Tensor) -> None:
    dead = (gradient.flatten(1) == 0).all(1)
    if bool(dead.any()):
        name = problem.names[int(dead.nonzero()[0])]
        raise ModelError(
            f"the gradient of {problem.model} is zero everywhere for '{name}' (gradient masking); "
            "a small loss here would be no robustness"
        )


def _finite(problem: Problem, values: Tensor) -> Tensor:
    bad = ~values.isfinite()
    if bool(bad.any()):
        name = problem.names[int(bad.nonzero()[0])]
        raise ModelError(f"{problem.model} returns NaN or infinity for '{name}' under attack; try --precision fp32")
    return values
