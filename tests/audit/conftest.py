"""A restorer small enough to audit in seconds, faces to audit it on, and runs with made-up rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from facefort.audit import AuditSettings
from facefort.models.restorer import Origin, Restorer
from facefort.models.spec import Architecture

SIDE = 64
JUDGES = ("lpips", "dlib-resnet")


class Sharpen(nn.Module):
    """Unsharp masking with a learnt strength: restores a little, and is easily disturbed."""

    def __init__(self, out_size: int, strength: float = 1.5) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(strength))
        self.blur = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.strength * (x - self.blur(x))


def restorer(network: nn.Module | None = None, size: int = SIDE) -> Restorer:
    architecture = Architecture(
        name="toy",
        title="Toy",
        paper="none",
        licence="Apache-2.0",
        build=Sharpen,
        presets={},
        detect=lambda state: None,
        run=lambda network, signal: network(signal),
        low=0.0,
        high=1.0,
    )
    return Restorer(network or Sharpen(size), architecture, {"out_size": size}, Origin("toy", "ab" * 32)).eval()


def draw(seed: int, size: int = SIDE) -> np.ndarray:
    """A face of sorts: an oval with eyes and a mouth on a coloured ground, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    picture = np.empty((size, size, 3))
    picture[:] = rng.uniform(0, 1, 3)
    picture[(x / 0.7) ** 2 + (y / 0.9) ** 2 < 1] = rng.uniform(0.4, 1, 3)
    for centre in ((-0.3, -0.25), (0.3, -0.25)):
        picture[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.015] = rng.uniform(0, 0.4, 3)
    picture[(abs(y - 0.45) < 0.06) & (abs(x) < 0.3)] = (0.7, 0.2, 0.2)
    return (picture * 255 + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def settings(tmp_path: Path) -> AuditSettings:
    return small_audit(tmp_path / "faces")


def small_audit(place: Path) -> AuditSettings:
    """Settings of an audit of five faces, which this draws."""
    place.mkdir()
    for i in range(5):
        Image.fromarray(draw(i)).save(place / f"{i}.png")
    return AuditSettings(
        model="toy", faces=str(place), eps=("8/255", "2/255"), steps=8, batch=2, pictures=2, device="cpu"
    )
