from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facefort.models.blocks.upfirdn import Blur, Upsample, make_kernel, upfirdn2d


def reference(x: np.ndarray, kernel: np.ndarray, up: int, down: int, pad: tuple[int, int]) -> np.ndarray:
    """The definition, sample by sample: zeros between and around (or a crop), a true convolution, every n-th kept."""
    n, c, height, width = x.shape
    grid = np.zeros((n, c, height * up, width * up))
    grid[:, :, ::up, ::up] = x
    before, after = pad
    rows, columns = (
        np.zeros((side + max(before, 0) + max(after, 0)), dtype=bool) for side in (height * up, width * up)
    )
    padded = np.zeros((n, c, len(rows), len(columns)))
    top = max(before, 0)
    padded[:, :, top : top + height * up, top : top + width * up] = grid
    stop_y, stop_x = len(rows) - max(-after, 0), len(columns) - max(-after, 0)
    padded = padded[:, :, max(-before, 0) : stop_y, max(-before, 0) : stop_x]
    k, m = kernel.shape
    out = np.zeros((n, c, (padded.shape[2] - k) // down + 1, (padded.shape[3] - m) // down + 1))
    for y in range(out.shape[2]):
        for z in range(out.shape[3]):
            window = padded[:, :, y * down : y * down + k, z * down : z * down + m]
            out[:, :, y, z] = (window * kernel[::-1, ::-1]).sum((2, 3))
    return out


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    taps=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    up=st.integers(1, 3),
    down=st.integers(1, 3),
    pad=st.tuples(st.integers(-1, 4), st.integers(-1, 4)),
    last=st.booleans(),
)
def test_resampling_equals_its_definition(
    size: tuple[int, int], taps: tuple[int, int], up: int, down: int, pad: tuple[int, int], last: bool
) -> None:
    if min(side * up + sum(pad) - tap for side, tap in zip(size, taps, strict=True)) < 0:
        return
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, *size)), rng.normal(size=taps)
    signal = torch.from_numpy(x)
    if last:
        signal = signal.contiguous(memory_format=torch.channels_last)
    got = upfirdn2d(signal, torch.from_numpy(kernel), up, down, pad)
    np.testing.assert_allclose(got.numpy(), reference(x, kernel, up, down, pad), atol=1e-12)


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2)])
def test_a_bias_is_added_per_channel(up: int, down: int) -> None:
    x, kernel, bias = torch.randn(2, 3, 6, 6), torch.randn(4, 4), torch.randn(3)
    plain = upfirdn2d(x, kernel, up, down, (2, 1))
    assert torch.allclose(upfirdn2d(x, kernel, up, down, (2, 1), bias), plain + bias[:, None, None], atol=1e-5)


@pytest.mark.parametrize(("up", "down", "pad"), [(1, 1, (1, 1)), (1, 2, (2, 1)), (2, 1, (2, 1))])
def test_its_gradient_is_that_of_finite_differences(up: int, down: int, pad: tuple[int, int]) -> None:
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, k: upfirdn2d(a, k, up, down, pad), (x, kernel))


def test_the_published_filter() -> None:
    kernel = make_kernel((1, 3, 3, 1), gain=4)
    assert kernel.sum() == pytest.approx(4)
    assert torch.equal(kernel * 16, torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])))


def test_a_constant_stays_one_inside() -> None:
    flat = torch.ones(1, 2, 8, 8)
    doubled = Upsample((1, 3, 3, 1))(flat)
    assert doubled.shape == (1, 2, 16, 16)
    assert torch.allclose(doubled[:, :, 2:-2, 2:-2], torch.ones(1), atol=1e-6)
    blurred = Blur((1, 3, 3, 1), (2, 1))(flat)
    assert blurred.shape == flat.shape
    assert torch.allclose(blurred[:, :, 2:-2, 2:-2], torch.ones(1), atol=1e-6)
