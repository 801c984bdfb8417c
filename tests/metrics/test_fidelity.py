from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from facefort.errors import PictureError
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
    assert metric("ssim-rgb")(spoilt, clean).item() == pytest.approx(wanted, abs=1e-5)


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


@pytest.mark.parametrize("strength", [0.004, 0.05, 0.5])
@pytest.mark.parametrize(("name", "size"), [("ssim-rgb", (128, 97)), ("ms-ssim", (200, 161)), ("ms-ssim", (177, 330))])
def test_ssim_and_ms_ssim_are_those_of_pytorch_msssim(
    astronaut: Tensor, noisy, strength: float, name: str, size: tuple[int, int]
) -> None:
    peer = pytest.importorskip("pytorch_msssim")
    clean = astronaut[:, :, : size[0], 60 : 60 + size[1]]
    spoilt = noisy(clean, strength)
    compute = {"ssim-rgb": peer.ssim, "ms-ssim": peer.ms_ssim}[name]
    # In the float32 that the peer rounds its window to, the weights add up to 1 + 1e-7, which costs it 1e-5 here.
    weights = torch.exp(-(torch.arange(-5.0, 6, dtype=torch.float64) ** 2) / 4.5)
    window = (weights / weights.sum()).expand(3, 1, 1, 11)
    wanted = compute(spoilt.double(), clean.double(), data_range=1, size_average=False, win=window).item()
    assert metric(name)(spoilt, clean).item() == pytest.approx(wanted, abs=1e-5)


def test_ms_ssim_of_a_picture_against_its_negative_is_zero_and_has_a_slope(astronaut: Tensor) -> None:
    clean = astronaut[:, :, :176, :176]
    picture = (1 - clean).requires_grad_()
    found = metric("ms-ssim")(picture, clean)
    found.sum().backward()
    assert found.item() == pytest.approx(0, abs=0.05)
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()


def luma(picture: Tensor) -> np.ndarray:
    return pixels(picture) / 255 @ [65.481, 128.553, 24.966] + 16


def test_psnr_and_ssim_of_luma_are_those_of_scikit_image_on_matlabs_luma(astronaut: Tensor, noisy) -> None:
    clean = astronaut[:, :, :140, :150]
    spoilt = noisy(clean, 0.1)
    wanted = peak_signal_noise_ratio(luma(clean), luma(spoilt), data_range=255)
    assert metric("psnr-y")(spoilt, clean).item() == pytest.approx(wanted, abs=1e-4)
    _, full = structural_similarity(
        luma(clean),
        luma(spoilt),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    assert metric("ssim-y")(spoilt, clean).item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-5)


def corrected_by_vqfr(picture: Tensor, reference: Tensor) -> np.ndarray:
    """The steps of VQFR's metric_paper/calculate_psnr_ssim.py, in float64."""
    found, goals = pixels(picture) / 255, pixels(reference) / 255
    for channel in range(3):
        goal = goals[..., channel]
        for _ in range(2):
            found[..., channel] += goal.mean() - found[..., channel].mean()
            found[..., channel] *= goal.std() / found[..., channel].std()
    return found


def test_psnr_and_ssim_after_correction_are_those_of_vqfr(astronaut: Tensor, noisy) -> None:
    clean = astronaut[:, :, :130, 100:250]
    spoilt = ((noisy(clean, 0.05) * torch.tensor([0.7, 0.8, 0.9]).view(3, 1, 1) + 0.08) * 255).round() / 255
    theirs, goal = corrected_by_vqfr(spoilt, clean), pixels(clean) / 255
    wanted = peak_signal_noise_ratio(goal, theirs, data_range=1)
    assert metric("psnr-mvc")(spoilt, clean).item() == pytest.approx(wanted, abs=1e-4)
    assert metric("psnr-rgb")(spoilt, clean).item() < wanted - 3
    _, full = structural_similarity(
        goal,
        theirs,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    assert metric("ssim-mvc")(spoilt, clean).item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-5)


def test_correction_forgives_a_shift_of_colour(astronaut: Tensor) -> None:
    shifted = 0.5 * astronaut + torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    assert metric("psnr-rgb")(shifted, astronaut).item() < 20
    assert metric("psnr-mvc")(shifted, astronaut).item() > 60
    assert metric("psnr-mvc")(astronaut, astronaut).tolist() == [math.inf]


@pytest.mark.parametrize("name", ["psnr-mvc", "ssim-mvc"])
def test_correction_of_a_constant_channel_is_refused(astronaut: Tensor, name: str) -> None:
    clean = astronaut[:, :, :40, :40]
    flat = clean.clone()
    flat[:, 1] = 0.5
    for pair in ((flat, clean), (clean, flat)):
        with pytest.raises(PictureError, match="one is constant"):
            metric(name)(*pair)


def test_psnr_within_a_mask_is_that_of_the_part(astronaut: Tensor, noisy) -> None:
    spoilt = noisy(astronaut, 0.1)
    mask = torch.zeros(1, 1, 512, 512)
    mask[:, :, 100:200, 50:300] = 1
    part = metric("psnr-rgb")(spoilt[:, :, 100:200, 50:300], astronaut[:, :, 100:200, 50:300]).item()
    assert metric("psnr-rgb").within(spoilt, astronaut, mask).item() == pytest.approx(part, abs=1e-4)


def test_ssim_within_a_mask_is_the_mean_of_the_map(astronaut: Tensor, noisy) -> None:
    spoilt = noisy(astronaut, 0.1)
    mask = torch.zeros(1, 1, 512, 512)
    mask[:, :, 100:200, 50:300] = 1
    # The windows centred in the part reach five pixels beyond it.
    part = metric("ssim-rgb")(spoilt[:, :, 95:205, 45:305], astronaut[:, :, 95:205, 45:305]).item()
    assert metric("ssim-rgb").within(spoilt, astronaut, mask).item() == pytest.approx(part, abs=1e-5)


def test_ssim_within_a_mask_on_the_rim_only_is_refused(astronaut: Tensor) -> None:
    mask = torch.zeros(1, 1, 512, 512)
    mask[:, :, :5] = 1
    with pytest.raises(PictureError, match="hugs the rim"):
        metric("ssim-rgb").within(astronaut, astronaut, mask)


@pytest.mark.parametrize("lies", ["planes", "pixels", "mixed"])
def test_psnr_is_the_same_however_pictures_lie_in_memory(astronaut: Tensor, noisy, lies: str) -> None:
    clean, spoilt = astronaut[:, :, :40, :60].contiguous(), noisy(astronaut, 0.1)[:, :, :40, :60].contiguous()
    wanted = -10 * math.log10(float((clean.double() - spoilt.double()).square().mean()))
    if lies != "planes":
        spoilt = spoilt.contiguous(memory_format=torch.channels_last)
    if lies == "pixels":
        clean = clean.contiguous(memory_format=torch.channels_last)
    assert metric("psnr-rgb")(spoilt, clean).item() == pytest.approx(wanted, abs=1e-9)
    spoilt.requires_grad_()
    assert metric("psnr-rgb")(spoilt, clean).item() == pytest.approx(wanted, abs=1e-5)
