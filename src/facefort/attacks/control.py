"""The control of every attack: noise of the same budget that knows nothing of the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from facefort.attacks.budget import Budget
from facefort.runtime import generator


def random_signs(pictures: Tensor, budget: Budget, *, names: Sequence[str], seed: int = 0) -> Tensor:
    """Pictures whose every channel moves by the whole budget, up or down at random; inwards at the range's ends.

    An attack that harms no more than this found no direction: its gradient is masked, or the model is robust to it.

    Args:
        pictures: (N, 3, S, S), multiples of 1/255.
        budget: how far.
        names: one per picture; a picture's draw depends on the seed and its name.
        seed: seed of the draw.

    Returns:
        (N, 3, S, S), multiples of 1/255 inside the ball.
    """
    draws = [torch.randint(0, 2, pictures.shape[1:], generator=generator(seed, "signs", name)) for name in names]
    step = (torch.stack(draws) * 2 - 1).to(pictures) * budget.levels
    levels = (pictures * 255).round()
    moved = levels + step
    inside = (moved >= 0) & (moved <= 255)
    return torch.where(inside, moved, levels - step).clamp(0, 255) / 255
