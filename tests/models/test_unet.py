"""The baseline: a U-Net that carries features across, and no more."""

from __future__ import annotations

import pytest
import torch

from facefort.errors import UsageError
from facefort.models import build


def test_it_is_of_the_size_of_the_zoo() -> None:
    count = sum(value.numel() for value in build("unet", preset="zoo").network.parameters())
    assert 4e6 < count < 7e6


def test_its_picture_sees_the_whole_input_and_keeps_fine_detail() -> None:
    network = build("unet", preset="zoo", input_fusion=False).network
    face = torch.rand(1, 3, 128, 128, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(face)[0, :, 64, 64].sum(), face)
    reach = gradient.abs().sum((0, 1))
    assert float(reach[64, 64]) > 0
    assert float(reach[24:104:8, 24:104:8].min()) > 0


def test_a_side_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(UsageError, match="4 levels halve the side 3 times"):
        build("unet", preset="zoo", out_size=100)
