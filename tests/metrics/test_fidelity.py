from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from facefort.metrics import metric


def pixels(picture: Tensor) -> np.ndarray:
    return (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@pytest.mark.parametrize("strength", [0.004, 0.05, 0.5])
def test_psnr_is_that_of_scikit_image(astronaut: Tensor, noisy, strength: float) -> None:
    spoilt = noisy(astronaut, strength)
    wanted = peak_signal_noise_ratio(pixels(astronaut), pixels(spoilt), data_range=255)
    assert metric("psnr-rgb")(spoilt, astronaut).item() == pytest.approx(wanted, abs=1e-5)


def test_psnr_of_equal_pictures_is_infinite(astronaut: Tensor) -> None:
    assert metric("psnr-rgb")(astronaut, astronaut).tolist() == [math.inf]


def test_psnr_of_a_known_error() -> None:
    black = torch.zeros(1, 3, 8, 8)
    assert metric("psnr-rgb")(black + 0.1, black).item() == pytest.approx(20, abs=1e-5)


@pytest.mark.parametrize("strength", [0.004, 0.05, 0.5])
@pytest.mark.parametrize("crop", [(512, 512), (97, 211), (11, 11)])
def test_ssim_is_that_of_scikit_image_where_the_window_fits(
    astronaut: Tensor, noisy, strength: float, crop: tuple[int, int]
) -> None:
    clean = astronaut[:, :, -crop[0] :, -crop[1] :]
    spoilt = noisy(clean, strength)
    _, full = structural_similarity(
        pixels(clean) / 255,
        pixels(spoilt) / 255,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    wanted = full[5:-5, 5:-5].mean()
    assert metric("ssim-rgb")(spoilt, clean).item() == pytest.approx(wanted, abs=2e-5)


def test_ssim_of_equal_pictures_is_one(astronaut: Tensor) -> None:
    flat = torch.full((1, 3, 40, 40), 0.7)
    assert metric("ssim-rgb")(astronaut, astronaut).item() == pytest.approx(1, abs=1e-6)
    assert metric("ssim-rgb")(flat, flat).item() == pytest.approx(1, abs=1e-6)


def test_ssim_of_an_inverted_picture_is_negative(astronaut: Tensor) -> None:
    stripes = (torch.arange(64) % 2.0).expand(1, 3, 64, 64)
    assert metric("ssim-rgb")(1 - stripes, stripes).item() < -0.9


def test_ssim_gradient_is_the_slope() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, spoilt, way = (torch.rand(1, 3, 75, 80, generator=generator) for _ in range(3))
    spoilt = (0.2 + 0.6 * spoilt).requires_grad_()
    measure = metric("ssim-rgb")
    (gradient,) = torch.autograd.grad(measure(spoilt, clean).sum(), spoilt)
    step = 1e-2
    with torch.no_grad():
        slope = (measure(spoilt + step * way, clean) - measure(spoilt - step * way, clean)).item() / (2 * step)
    assert (gradient * way).sum().item() == pytest.approx(slope, rel=2e-2)
