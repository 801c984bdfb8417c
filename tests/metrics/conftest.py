from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor


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
def calibration() -> Path:
    """The five TID2013 pictures that the pyiqa wheel carries, from the folder that FACEFORT_CALIBRATION names."""
    place = os.environ.get("FACEFORT_CALIBRATION", "")
    if not place or not (Path(place) / "dist_dir").is_dir():
        pytest.skip("FACEFORT_CALIBRATION does not name pyiqa's ResultsCalibra folder")
    return Path(place)
