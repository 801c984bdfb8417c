from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facefort.errors import UnknownNameError, UsageError
from facefort.pictures.degrade import PRESETS, degrade, draw, find_preset, gaussian_kernel, odd


def faces(n: int, size: int = 64) -> torch.Tensor:
    smooth = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(smooth, size, mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("preset", PRESETS)
def test_shape_range_and_8_bits(preset: str) -> None:
    batch = faces(3)
    done = degrade(batch, preset, seed=1).pictures
    assert done.shape == batch.shape
    assert done.dtype == torch.float32
    assert torch.equal(done * 255, (done * 255).round())
    assert 0 <= done.min() <= done.max() <= 1
    assert (done - batch).abs().mean() > 0.002


@pytest.mark.parametrize("preset", PRESETS)
def test_a_picture_depends_on_seed_and_name_not_on_its_batch(preset: str) -> None:
    batch = faces(3)
    together = degrade(batch, preset, seed=3, names=["a", "b", "c"])
    alone = degrade(batch[1:2], preset, seed=3, names=["b"])
    assert torch.equal(together.pictures[1:2], alone.pictures)
    assert together.parameters[1] == alone.parameters[0]
    assert not torch.equal(degrade(batch[1:2], preset, seed=4, names=["b"]).pictures, alone.pictures)


def test_parameters_follow_the_published_ranges() -> None:
    numbers = np.random.default_rng(0)
    drawn = [draw(find_preset("gfpgan"), numbers, 512) for _ in range(4000)]
    sigma = np.array([d["sigma"][0] for d in drawn])
    assert 0.1 <= sigma.min() <= sigma.max() <= 10
    assert sigma.mean() == pytest.approx(5.05, abs=0.2)
    assert np.mean([d["down"] for d in drawn]) == pytest.approx(4.4, abs=0.15)
    assert np.mean([d["noise"] for d in drawn]) == pytest.approx(10, abs=0.4)
    assert np.mean([d["jpeg"] for d in drawn]) == pytest.approx(80, abs=0.8)
    assert np.mean([d["blur"] == "isotropic" for d in drawn]) == pytest.approx(0.5, abs=0.04)
    assert {d["kernel_size"] for d in drawn} == {41}


def test_blur_and_downsampling_scale_with_the_size() -> None:
    full = draw(find_preset("gfpgan"), np.random.default_rng(5), 512)
    small = draw(find_preset("gfpgan"), np.random.default_rng(5), 128)
    raw = draw(find_preset("gfpgan"), np.random.default_rng(5), 128, scaled=False)
    assert small["sigma"][0] == pytest.approx(full["sigma"][0] / 4)
    assert small["down"] == pytest.approx(full["down"] / 4)
    assert small["kernel_size"] == 11
    assert small["noise"] == full["noise"]
    assert raw["sigma"] == full["sigma"]
    assert raw["down"] == full["down"]


def test_a_scaled_face_holds_the_information_of_the_big_one() -> None:
    # Degraded at 512 px and shrunk, or degraded at 128 px: equally far from the clean face on average.
    big = faces(12, 512)
    shrink = torch.nn.AvgPool2d(4)
    then_shrunk = shrink(degrade(big, "gfpgan").pictures)
    directly = degrade(shrink(big), "gfpgan").pictures
    clean = shrink(big)
    error = [(x - clean).square().mean().sqrt().item() for x in (then_shrunk, directly)]
    assert error[1] == pytest.approx(error[0], rel=0.35)


@given(st.integers(1, 41), st.floats(0.03, 15), st.floats(0.03, 15), st.floats(-4, 4))
@settings(max_examples=60, deadline=None)
def test_kernels_sum_to_one(half: int, along: float, across: float, angle: float) -> None:
    kernel = gaussian_kernel(2 * half - 1, (along, across), angle)
    assert kernel.shape == (2 * half - 1,) * 2
    assert kernel.sum() == pytest.approx(1, abs=1e-4)
    assert kernel.min() >= 0


def test_an_anisotropic_kernel_is_as_wide_as_it_says() -> None:
    kernel = gaussian_kernel(41, (4.0, 1.0))
    line = np.arange(41) - 20
    assert np.sqrt((kernel.sum(0) * line**2).sum()) == pytest.approx(4, rel=0.01)  # x: the columns
    assert np.sqrt((kernel.sum(1) * line**2).sum()) == pytest.approx(1, rel=0.01)


def test_odd_sizes() -> None:
    assert [odd(x) for x in (0.2, 1, 1.9, 2.1, 10.25, 41)] == [1, 1, 1, 3, 11, 41]


def test_mistakes() -> None:
    with pytest.raises(UnknownNameError, match="did you mean gfpgan"):
        degrade(faces(1), "gfpgann")
    with pytest.raises(UsageError, match=r"\(N, 3, S, S\)"):
        degrade(torch.rand(1, 3, 8, 9))
    with pytest.raises(UsageError, match="1 names for 2 faces"):
        degrade(faces(2), names=["a"])
