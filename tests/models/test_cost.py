"""Costs on a card: operations are counted, not guessed, and counting leaves the restorer as it was."""

from __future__ import annotations

import pytest

from facefort.models import build
from facefort.models.cost import cpu_milliseconds, gflop


def test_operations_are_those_of_the_layers() -> None:
    restorer = build("unet", out_size=16, widths=(4, 4), blocks=1)
    convolutions = [3 * 4 * 9 * 256]  # first
    convolutions += [2 * 4 * 4 * 9 * 256, 4 * 4 * 9 * 64]  # a block, halving
    convolutions += [2 * 2 * 4 * 4 * 9 * 64]  # two blocks in the middle
    convolutions += [4 * 4 * 9 * 256, (8 * 4 + 4 * 4) * 9 * 256 + 8 * 4 * 256]  # doubling, a block with a shortcut
    convolutions += [4 * 3 * 9 * 256]  # last
    assert gflop(restorer) == pytest.approx(2 * sum(convolutions) / 1e9)


def test_counting_leaves_gradients_as_they_were() -> None:
    restorer = build("unet", out_size=16, widths=(4, 4), blocks=1)
    first, *others = restorer.parameters()
    first.requires_grad_(False)
    gflop(restorer)
    assert not first.requires_grad
    assert all(value.requires_grad for value in others)


def test_time_is_measured() -> None:
    assert cpu_milliseconds(build("unet", out_size=16, widths=(4, 4), blocks=1)) > 0
