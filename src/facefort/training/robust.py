"""Adversarial training: half of a batch is replaced by attacked twins of the other half.

Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018. The attack is the same loop
that measures robustness (:mod:`facefort.attacks.loop`), aimed at the mean squared distance to the clean face.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.attacks.loop import Problem, ascend
from facefort.models.restorer import Restorer
from facefort.models.spec import TrainingPass
from facefort.pictures.tensors import round_to_8_bits
from facefort.runtime import generator
from facefort.training.recipe import RobustSettings


def with_twins(
    restorer: Restorer, degraded: Tensor, clean: Tensor, settings: RobustSettings, step: int
) -> tuple[Tensor, Tensor]:
    """The first half of a batch followed by its attacked twins.

    Args:
        restorer: what is trained and attacked.
        degraded: (N, 3, S, S) in [0, 1], N even.
        clean: the same shape.
        settings: budget and steps.
        step: number of the optimiser step, for the start's draw.

    Returns:
        Degraded and clean faces (N, 3, S, S), the second halves being twins of the first.
    """
    half = len(degraded) // 2
    given, wanted = degraded[:half], clean[:half]

    def distance(moved: Tensor) -> Tensor:
        return (restorer(moved) - wanted).square().flatten(1).mean(1)

    noise = torch.rand(given.shape, generator=generator("twins", step)).to(given) * 2 - 1
    names = [f"face {i}" for i in range(half)]
    size = 2.5 * settings.epsilon / settings.steps
    found = ascend(
        Problem(distance, given, names, restorer.name),
        noise,
        epsilon=settings.epsilon,
        steps=settings.steps,
        step_size=size,
    )
    return torch.cat([given, round_to_8_bits(found.pictures)]), torch.cat([wanted, wanted])


def consistency(done: TrainingPass, settings: RobustSettings) -> dict[str, Tensor]:
    """Weighted distance between the latents of faces and of their twins; nothing where the method has no latent."""
    if done.latent is None or not settings.consistency:
        return {}
    plain, attacked = done.latent.float().chunk(2)
    return {"consistency": settings.consistency * F.mse_loss(attacked, plain)}
