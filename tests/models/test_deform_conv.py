"""The deformable convolution against its definition, written as loops in float64, and its gradients."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from facefort.models.blocks import deform_conv
from facefort.models.blocks.deform_conv import DeformConvPack, deform_conv2d

Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def reference(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, **sizes: int) -> Tensor:
    """The definition: one output number after the other, one tap after the other, four pixels each."""
    stride, padding, dilation = (
        sizes.get(key, default) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    pixels, shifts, factors, kernel = (tensor.double().numpy() for tensor in (x, offset, mask, weight))
    n, channels, height, width = pixels.shape
    outputs, _, kernel_height, kernel_width = kernel.shape
    taps = kernel_height * kernel_width
    share = channels // (factors.shape[1] // taps)
    out = np.zeros((n, outputs, *shifts.shape[2:]))

    def pixel(b: int, c: int, row: int, column: int) -> float:
        inside = 0 <= row < height and 0 <= column < width
        return pixels[b, c, row, column] if inside else 0.0

    for b, c, i, j in itertools.product(range(n), range(channels), *map(range, shifts.shape[2:])):
        for tap in range(taps):
            place = (c // share) * taps + tap
            down, right = shifts[b, 2 * place, i, j], shifts[b, 2 * place + 1, i, j]
            y = i * stride - padding + (tap // kernel_width) * dilation + down
            z = j * stride - padding + (tap % kernel_width) * dilation + right
            top, left = math.floor(y), math.floor(z)
            sample = sum(
                (1 - abs(y - row)) * (1 - abs(z - column)) * pixel(b, c, row, column)
                for row, column in itertools.product((top, top + 1), (left, left + 1))
            )
            of_tap = kernel[:, c, tap // kernel_width, tap % kernel_width]
            out[b, :, i, j] += of_tap * sample * factors[b, place, i, j]
    return torch.from_numpy(out) + bias.double().view(1, -1, 1, 1)


def draw(
    shape: tuple[int, int, int, int] = (2, 8, 5, 6),
    kernel: tuple[int, int] = (3, 3),
    groups: int = 4,
    reach: float = 1.5,
    **sizes: int,
) -> Parts:
    """Map, offsets of ``reach`` pixels, mask, kernel and bias."""
    numbers = torch.Generator().manual_seed(0)
    n, channels, *sides = shape
    stride, padding, dilation = sizes.get("stride", 1), sizes.get("padding", 0), sizes.get("dilation", 1)
    out = [
        (side + 2 * padding - dilation * (taps - 1) - 1) // stride + 1 for side, taps in zip(sides, kernel, strict=True)
    ]
    places = groups * kernel[0] * kernel[1]
    return (
        torch.randn(shape, generator=numbers),
        reach * torch.randn(n, 2 * places, *out, generator=numbers),
        torch.rand(n, places, *out, generator=numbers),
        torch.randn(6, channels, *kernel, generator=numbers) / 5,
        torch.randn(6, generator=numbers),
    )


@pytest.mark.parametrize(
    ("drawn", "sizes"),
    [
        ({}, {"padding": 1}),
        ({"groups": 1}, {"padding": 1}),
        ({"reach": 20.0}, {"padding": 1}),
        ({"reach": 0.0}, {"padding": 1}),
        ({"kernel": (1, 1), "groups": 2}, {}),
        ({"kernel": (3, 2)}, {"stride": 2}),
        ({"kernel": (2, 3)}, {"padding": 2, "dilation": 2}),
    ],
)
def test_it_equals_its_definition(drawn: dict[str, object], sizes: dict[str, int]) -> None:
    parts = draw(**drawn, **sizes)  # type: ignore[arg-type]
    wanted = reference(*parts, **sizes)
    for layout in (torch.contiguous_format, torch.channels_last):
        given = [part.contiguous(memory_format=layout) for part in parts[:3]]
        got = deform_conv2d(*given, *parts[3:], **sizes)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=1e-5)


def test_without_offsets_it_is_a_convolution() -> None:
    x, offset, mask, weight, bias = draw((1, 8, 33, 20), padding=1)
    got = deform_conv2d(x, torch.zeros_like(offset), torch.ones_like(mask), weight, bias, padding=1)
    torch.testing.assert_close(got, torch.nn.functional.conv2d(x, weight, bias, padding=1), atol=1e-5, rtol=1e-5)


def test_whole_offsets_shift_the_map() -> None:
    """The first number of a pair points down, the second to the right; groups shift their own channels."""
    x = torch.rand(1, 4, 6, 7)
    offset = torch.zeros(1, 2, 2, 6, 7)
    offset[:, 0, 0] = 2  # the first two channels: from two pixels below
    offset[:, 1, 1] = -1  # the other two: from a pixel to the left
    kernel = torch.eye(4)[:, :, None, None]
    got = deform_conv2d(x, offset.flatten(1, 2), torch.ones(1, 2, 6, 7), kernel)
    assert torch.equal(got[:, :2, :4], x[:, :2, 2:])
    assert torch.equal(got[:, 2:, :, 1:], x[:, 2:, :, :-1])
    assert not got[:, :2, 4:].any()


@pytest.mark.parametrize("sizes", [{"padding": 1}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2}])
def test_gradients(sizes: dict[str, int]) -> None:
    parts = [part.double().requires_grad_() for part in draw((1, 4, 4, 5), groups=2, **sizes)]
    assert torch.autograd.gradcheck(lambda *given: deform_conv2d(*given, **sizes), parts)


def test_gradients_of_some_inputs_only() -> None:
    whole = [part.requires_grad_() for part in draw(padding=1)]
    wanted = torch.autograd.grad(deform_conv2d(*whole, padding=1).square().sum(), whole)
    for index in range(len(whole)):
        given = [part.detach().requires_grad_(place == index) for place, part in enumerate(whole)]
        (got,) = torch.autograd.grad(deform_conv2d(*given, padding=1).square().sum(), given[index])
        torch.testing.assert_close(got, wanted[index])
    given = [part.detach().requires_grad_(place == 0) for place, part in enumerate(whole)]
    assert deform_conv2d(*given[:4], padding=1).requires_grad


def test_parts_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [part.requires_grad_() for part in draw(padding=1)]

    def everything() -> tuple[Tensor, ...]:
        out = deform_conv2d(*parts, padding=1)
        return (out, *torch.autograd.grad(out.square().sum(), parts))

    whole = everything()
    monkeypatch.setattr(deform_conv, "_CPU_PART", 7 * 8 * 9)  # seven of thirty pixels at a time
    for got, wanted in zip(everything(), whole, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_autocast_multiplies_in_the_lower_precision_and_samples_in_float32() -> None:
    parts = draw(reach=5.0, padding=1)
    exact = deform_conv2d(*parts, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        given = [part.requires_grad_() for part in parts]
        got = deform_conv2d(*given, padding=1)
    assert got.dtype == torch.bfloat16
    assert (got.float() - exact).abs().max() < 0.02 * exact.abs().max()
    gradients = torch.autograd.grad(got.float().sum(), given)
    assert all(gradient.dtype == torch.float32 and bool(gradient.isfinite().all()) for gradient in gradients)


def test_shapes_that_do_not_fit_are_refused() -> None:
    x, offset, mask, weight, bias = draw(padding=1)
    for wrong in (
        (x[:, :4], offset, mask, weight),
        (x, offset[:, :-2], mask, weight),
        (x, offset, mask[:, :5], weight),
        (x, offset[..., 1:], mask, weight),
    ):
        with pytest.raises(ValueError, match="cannot have map, offsets, mask and kernel"):
            deform_conv2d(*wrong, bias, padding=1)


def test_the_layer_splits_its_offsets_as_the_official_code_does() -> None:
    torch.manual_seed(0)
    layer = DeformConvPack(8, 4)
    assert set(layer.state_dict()) == {"weight", "bias", "conv_offset.weight", "conv_offset.bias"}
    x, feature = torch.randn(1, 8, 5, 6), torch.randn(1, 8, 5, 6)
    first, second, last = layer.conv_offset(feature).chunk(3, dim=1)
    wanted = reference(
        x,
        torch.cat([first, second], 1).detach(),
        last.sigmoid().detach(),
        layer.weight.detach(),
        layer.bias.detach(),
        padding=1,
    )
    torch.testing.assert_close(layer(x, feature).double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [{"padding": 1}, {"stride": 2, "padding": 2, "dilation": 2}, {}])
def test_what_graphs_of_other_programs_get_is_the_same(sizes) -> None:
    parts = draw(**sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(lambda *given: deform_conv2d(*given, **sizes), parts)
    assert torch.allclose(traced(*parts), deform_conv2d(*parts, **sizes), atol=1e-5)
