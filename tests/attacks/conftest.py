"""Toy restorers with the surface of `facefort.models.restorer.Restorer`, small enough to know their optimum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facefort.runtime import Runtime, generator


class Toy(nn.Module):
    def __init__(self, network: nn.Module | Callable[[Tensor], Tensor], size: int = 8) -> None:
        super().__init__()
        self.network = network
        self.name = "toy"
        self.size = size
        self.runtime = Runtime()

    def forward(self, faces: Tensor) -> Tensor:
        return self.network(faces)


class Diagonal(nn.Module):
    """f(x) = a * x, pixel by pixel: the worst perturbation is any vertex of the ball."""

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.rand(1, 3, size, size, generator=generator("gain")) * 2 + 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


def convnet() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Tanh(), nn.Conv2d(8, 3, 3, padding=1), nn.Sigmoid()
    )


@pytest.fixture
def diagonal() -> Toy:
    return Toy(Diagonal())


@pytest.fixture
def conv() -> Toy:
    return Toy(convnet())


def pictures(n: int = 3, size: int = 8, low: int = 0, high: int = 256) -> Tensor:
    return torch.randint(low, high, (n, 3, size, size), generator=generator("pictures", n)).float() / 255
