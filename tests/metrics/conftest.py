from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from facefort import assets


@pytest.fixture(scope="session")
def as_tensor() -> Callable[[np.ndarray], Tensor]:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return lambda pixels: torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="session")
def noisy() -> Callable[[Tensor, float], Tensor]:
    """A picture with Gaussian noise of a strength, in 8 bits again."""

    def spoil(picture: Tensor, strength: float) -> Tensor:
        noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
        return ((picture + strength * noise).clamp(0, 1) * 255).round() / 255

    return spoil


@pytest.fixture(scope="session")
def astronaut(as_tensor) -> Tensor:
    """The photograph that scikit-image carries, (1, 3, 512, 512)."""
    return as_tensor(data.astronaut())


@pytest.fixture(scope="session")
def drawn_pair(as_tensor) -> Callable[[int], tuple[Tensor, Tensor]]:
    """A noisy copy of a picture of patches of three sizes, and the picture, 192 px; benchmarks/metrics_parity.py."""

    def draw(seed: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(seed)
        layers = [np.kron(rng.integers(0, 256, (192 // n, 192 // n, 3)), np.ones((n, n, 1), int)) for n in (48, 12, 2)]
        clean = (3 * layers[0] + 2 * layers[1] + layers[2]) // 6
        spoilt = (clean + rng.integers(-30, 31, clean.shape)).clip(0, 255)
        return as_tensor(spoilt.astype(np.uint8)), as_tensor(clean.astype(np.uint8))

    return draw


@pytest.fixture(scope="session")
def calibration_pair(as_tensor) -> Callable[[str], tuple[Tensor, Tensor]]:
    """A distorted picture of TID2013 and its original; only for tests marked `weights("tid2013-calibration")`."""

    def read(name: str) -> tuple[Tensor, Tensor]:
        files = (assets.path("tid2013-calibration", f"{part}-{name}.bmp") for part in ("dist", "ref"))
        distorted, original = (as_tensor(np.array(Image.open(file).convert("RGB"))) for file in files)
        return distorted, original

    return read
