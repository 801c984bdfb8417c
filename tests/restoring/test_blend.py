from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facefort.restoring.blend import amount_within, blended


class Judge:
    """Distance as any function of how much of the input is in the picture; the picture is one number."""

    threshold = 0.5

    def __init__(self, distance_at) -> None:
        self.distance_at = distance_at
        self.embedded = 0

    def __call__(self, faces: Tensor) -> Tensor:
        self.embedded += len(faces)
        return faces[:, 0, 0, 0, None]

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        # The input is 1 and the restoration 0, so that a pixel is the amount itself.
        return self.distance_at(a[:, 0])


INPUT, RESTORED = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)


def solve(distance_at, limit: float) -> float:
    return float(amount_within(INPUT, RESTORED, torch.tensor([limit]), Judge(distance_at))[0])


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_closes_that_share_of_a_straight_gap(share: float) -> None:
    amount = solve(lambda a: 1 - a, 1 - share)
    assert amount == pytest.approx(share, abs=1 / 128)
    assert 1 - round(amount * 255) / 255 <= 1 - share


def test_solves_a_curved_gap() -> None:
    assert solve(lambda a: (1 - a) ** 2, 0.25) == pytest.approx(0.5, abs=1 / 128)


def test_takes_the_first_of_several_solutions() -> None:
    # Near enough between 0.2 and 0.4, away again, and near at the end.
    assert solve(lambda a: torch.where((a > 0.2) & (a < 0.4) | (a > 0.9), 0.1, 1.0), 0.5) < 0.4


def test_never_ends_above_the_limit() -> None:
    jagged = lambda a: (1 - a) + 0.3 * torch.sin(40 * a) * (1 - a)  # noqa: E731
    for limit in torch.linspace(0.05, 0.95, 10).tolist():
        amount = torch.tensor([solve(jagged, limit)])
        assert float(jagged((amount * 255).round() / 255)) <= limit


def test_a_step_at_the_very_end_needs_the_whole_input() -> None:
    assert solve(lambda a: torch.where(a < 1, 1.0, 0.0), 0.5) == 1.0


def test_faces_of_a_batch_are_solved_on_their_own_with_few_embeddings() -> None:
    judge = Judge(lambda a: 1 - a)
    limits = torch.tensor([0.8, 0.2, 0.5])
    amounts = amount_within(INPUT.expand(3, 3, 4, 4), RESTORED.expand(3, 3, 4, 4), limits, judge)
    torch.testing.assert_close(amounts, 1 - limits, atol=1 / 128, rtol=0)
    assert judge.embedded <= 3 * 14


def test_a_blend_is_exact_at_both_ends() -> None:
    face, other = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    mixed = blended(face, other, torch.tensor([0.0, 1.0]))
    assert torch.equal(mixed[0], other[0])
    assert torch.equal(mixed[1], face[1])
