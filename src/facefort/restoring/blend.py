"""One meaning of ``-w`` for every model: the share of the identity gap between a face and its restoration to close.

Models have knobs of their own, with scales of their own, or none. Here the recogniser decides. With the blend

    b(a) = restored + a (input - restored),    d(a) = distance(b(a), input),

``w`` asks for the smallest blend with ``d(a) <= (1 - w) d(0)``: 0 is the model's own picture, 0.5 one that is half as
far from the person in the photo, 1 the input itself. The equation is solved for every face on its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facefort.models.judges.identity import Recogniser
from facefort.pictures.tensors import round_to_8_bits

GRID = 8
"""Blends that are tried first; the distance need not fall steadily, and the first that is close enough is wanted."""
HALVINGS = 5
"""Bisections after that: the blend is exact to 1 / (GRID * 2**HALVINGS) = 1/256."""


def blended(inputs: Tensor, restored: Tensor, amount: Tensor) -> Tensor:
    """Restored faces (N, 3, S, S) with ``amount`` (N,) of the input; exact at 0 and at 1."""
    return torch.lerp(restored, inputs, amount.to(restored).view(-1, 1, 1, 1))


@torch.no_grad()
def amount_within(inputs: Tensor, restored: Tensor, limit: Tensor, judge: Recogniser) -> Tensor:
    """Smallest amount of the input at which each face is within ``limit`` (N,) of it, (N,) from 0 to 1.

    The distance at the returned amount, rounded to 8 bits, is never above the limit, whatever the network and the
    recogniser do in between.

    Args:
        inputs: (N, 3, S, S) in [0, 1].
        restored: the same faces after restoration.
        limit: largest allowed distance of each face.
        judge: recogniser.
    """
    count = len(inputs)
    reference = judge(inputs)

    def near(amounts: Tensor) -> Tensor:
        """Whether the blends are within the limits, for amounts (K, N) -> (K, N)."""
        tried = [judge(round_to_8_bits(blended(inputs, restored, row))) for row in amounts]
        return torch.stack([judge.distance(each, reference) for each in tried]) <= limit

    steps = torch.linspace(0, 1, GRID + 1, device=inputs.device)
    inside = near(steps[:-1, None].expand(GRID, count))
    inside = torch.cat([inside, inside.new_ones(1, count)])  # at 1 it is the input: distance 0, whatever is measured
    first = inside.int().argmax(0)
    high = steps[first]
    low = steps[(first - 1).clamp(min=0)]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = near(middle[None])[0]
        high = torch.where(enough, middle, high)
        low = torch.where(enough, low, middle)
    return high
