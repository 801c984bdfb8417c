"""Modulated deformable convolution (DCNv2) in plain torch, with its gradients.

Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019. Channels of the offsets are ordered as
in torchvision and mmcv: for every deformable group, for every tap of the kernel, the shift down and then the shift to
the right.

A sample is a sum of four pixels, and a bag of an embedding table is a weighted sum of rows: with the map as the table,
``embedding_bag`` gathers, weights and adds in one pass. What it yields is multiplied with the kernel while it is still
in the cache, part by part, so that memory does not grow with the kernel; the backward pass samples again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from facefort import runtime

# Sampled values per part: few enough for a processor's cache, enough for a GPU to be busy.
_CPU_PART, _GPU_PART = 2**20, 2**26


class _Geometry(NamedTuple):
    """Sizes of one convolution; all else follows from them."""

    height: int
    width: int
    kernel: tuple[int, int]
    stride: int
    padding: int
    dilation: int
    groups: int

    @property
    def outputs(self) -> tuple[int, int]:
        """Height and width of the result."""
        return tuple(  # type: ignore[return-value]
            (side + 2 * self.padding - self.dilation * (taps - 1) - 1) // self.stride + 1
            for side, taps in zip((self.height, self.width), self.kernel, strict=True)
        )


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Convolve where the offsets point, weighted by the mask; pixels outside of the map are zero.

    Under autocast the samples are taken in float32 and multiplied with the kernel in the lower precision.

    Args:
        x: (N, C, H, W).
        offset: (N, 2 G K, H', W') in pixels, for G deformable groups (C / G channels each) and a kernel of K taps.
        mask: (N, G K, H', W').
        weight: (C', C, h, w) with h w = K.
        bias: (C',).
        stride: between outputs, in pixels.
        padding: on every side, in pixels.
        dilation: between taps, in pixels.

    Returns:
        (N, C', H', W'), stored channels last.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    taps = weight.shape[2] * weight.shape[3]
    groups = mask.shape[1] // taps
    geometry = _Geometry(
        x.shape[2], x.shape[3], (weight.shape[2], weight.shape[3]), stride, padding, dilation, max(groups, 1)
    )
    fits = (
        weight.shape[1] == x.shape[1]
        and groups > 0
        and x.shape[1] % groups == 0
        and mask.shape == (len(x), groups * taps, *geometry.outputs)
        and offset.shape == (len(x), 2 * groups * taps, *geometry.outputs)
    )
    if not fits:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (x, offset, mask, weight))
        raise ValueError(f"a deformable convolution cannot have map, offsets, mask and kernel of shapes {shapes}")
    if runtime.is_traced():
        return _in_plain_operations(x, offset, mask, weight, bias, geometry)
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        out: Tensor = _DeformConv.apply(x, offset, mask, weight, bias, geometry, dtype)  # type: ignore[no-untyped-call]
    return out


def _in_plain_operations(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry
) -> Tensor:
    """The same from operations that graphs of other programs have; it holds all samples at once."""
    # A tracer's sizes are tensors; a graph is of one size.
    geometry = _Geometry(int(geometry.height), int(geometry.width), *geometry[2:-1], int(geometry.groups))
    n, groups = int(x.shape[0]), geometry.groups
    height, width = geometry.outputs
    down, right = (
        torch.arange(taps, device=x.device) * geometry.dilation - geometry.padding for taps in geometry.kernel
    )
    taps = math.prod(geometry.kernel)
    rows = (torch.arange(height, device=x.device) * geometry.stride).view(1, height, 1)
    columns = (torch.arange(width, device=x.device) * geometry.stride).view(1, 1, width)
    shift = offset.float().view(n * groups, taps, 2, height, width)
    places_down = shift[:, :, 0] + (rows + down.repeat_interleave(geometry.kernel[1]).view(taps, 1, 1))
    places_right = shift[:, :, 1] + (columns + right.repeat(geometry.kernel[0]).view(taps, 1, 1))
    # From pixels to [-1, 1], whose ends are the centres of the outermost pixels.
    grid = torch.stack(
        [2 * places_right / max(geometry.width - 1, 1) - 1, 2 * places_down / max(geometry.height - 1, 1) - 1], -1
    )
    maps = x.float().reshape(n * groups, -1, geometry.height, geometry.width)
    sampled = F.grid_sample(maps, grid.view(n * groups, taps * height, width, 2), align_corners=True)
    sampled = sampled.view(n * groups, -1, taps, height * width) * mask.float().view(n * groups, 1, taps, -1)
    kernel = weight.float().flatten(1)
    out = (kernel @ sampled.view(n, kernel.shape[1], height * width)).view(n, -1, height, width)
    return out if bias is None else out + bias.float().view(-1, 1, 1)


class DeformConvPack(nn.Module):
    """Deformable 3x3 convolution of one map whose offsets and mask are computed from another.

    Args:
        channels: of both maps and of the result.
        groups: deformable groups.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        bound = 1 / math.sqrt(channels * 9)
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.conv_offset = nn.Conv2d(channels, 3 * groups * 9, 3, 1, 1)

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, H, W) -> (N, C, H, W)."""
        out = self.conv_offset(feature)
        third = out.shape[1] // 3
        offset, mask = out.split([2 * third, third], dim=1)
        return deform_conv2d(x, offset, mask.sigmoid(), self.weight, self.bias, padding=1)


class _DeformConv(torch.autograd.Function):
    """The operation and its first derivatives; ``dtype`` is that of the multiplication with the kernel."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        offset: Tensor,
        mask: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        geometry: _Geometry,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(x, offset, mask, weight)
        ctx.geometry, ctx.dtype = geometry, dtype  # type: ignore[attr-defined]
        kernel, stride = _line_kernel(weight, geometry.groups).to(dtype), (1, geometry.kernel[1])
        bias = None if bias is None else bias.to(dtype)
        height, width = geometry.outputs
        out = torch.empty(len(x), height * width, len(weight), dtype=dtype, device=x.device)
        offsets, masks = _by_pixel(offset), _by_pixel(mask)
        for n in range(len(x)):
            table = _table(x[n], geometry.groups, weight.dtype)
            for part, place in _parts(geometry, x):
                samples = _sample(table, *_corners(offsets[n, part], masks[n, part], place, geometry))
                out[n, part] = F.conv2d(_line(samples.to(dtype), kernel), kernel, bias, stride=stride)[0, :, 0].t()
        return out.view(len(x), height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, offset, mask, weight = ctx.saved_tensors
        geometry, dtype = ctx.geometry, ctx.dtype
        for_x, for_offset, for_mask, for_weight, for_bias = ctx.needs_input_grad[:5]
        kernel, stride = _line_kernel(weight, geometry.groups).to(dtype), (1, geometry.kernel[1])
        given = _by_pixel(gradient).to(dtype)
        offsets, masks = _by_pixel(offset), _by_pixel(mask)
        of_offsets = torch.zeros(offsets.shape, dtype=weight.dtype, device=x.device)
        of_masks = torch.zeros(masks.shape, dtype=weight.dtype, device=x.device)
        of_kernel = torch.zeros(kernel[0].numel(), len(weight), dtype=weight.dtype, device=x.device)
        of_x = torch.empty(len(x), *x.shape[2:], x.shape[1], dtype=weight.dtype, device=x.device)
        for n in range(len(x)):
            table = _table(x[n], geometry.groups, weight.dtype)
            patches = table.new_zeros(len(table) if for_x else 0, 4 * table.shape[1])
            for part, place in _parts(geometry, x):
                with torch.enable_grad():
                    shift = offsets[n, part].detach().requires_grad_()
                    factor = masks[n, part].detach().requires_grad_()
                    rows, weights = _corners(shift, factor, place, geometry)
                    samples = _sample(table, rows, weights)
                line = _line(samples.detach().to(dtype), kernel)
                if for_weight:
                    of_kernel += line.permute(0, 2, 3, 1).reshape(len(place), -1).t() @ given[n, part]
                of_line = conv2d_input(  # type: ignore[no-untyped-call]
                    line.shape, kernel, given[n, part].t()[None, :, None], stride
                )
                of_samples = of_line.permute(0, 2, 3, 1).reshape(samples.shape).to(weight.dtype)
                if for_offset or for_mask:
                    found = torch.autograd.grad(samples, (shift, factor), of_samples)
                    of_offsets[n, part], of_masks[n, part] = found
                if for_x:
                    values = of_samples[:, None] * weights.detach()[:, :, None].to(of_samples.dtype)
                    patches.index_add_(0, rows[:, 0], values.flatten(1))
            if for_x:
                _fold(patches, of_x[n], geometry)
        height, width = geometry.outputs
        return (
            of_x.permute(0, 3, 1, 2).to(x.dtype) if for_x else None,
            of_offsets.view(len(x), height, width, -1).permute(0, 3, 1, 2).to(offset.dtype) if for_offset else None,
            of_masks.view(len(x), height, width, -1).permute(0, 3, 1, 2).to(mask.dtype) if for_mask else None,
            _square_kernel(of_kernel, weight, geometry.groups) if for_weight else None,
            gradient.sum((0, 2, 3), dtype=weight.dtype) if for_bias else None,
            None,
            None,
        )


def _by_pixel(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H W, C); a view where the channels are last in memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _line_kernel(weight: Tensor, groups: int) -> Tensor:
    """(C', C, h, w) -> (C', C h, 1, w): the same numbers in the order of the samples of a pixel, see :func:`_line`."""
    outputs, inputs, _, width = weight.shape
    samples = weight.view(outputs, groups, inputs // groups, -1).transpose(2, 3)
    line = samples.reshape(outputs, 1, width, -1).permute(0, 3, 1, 2)
    return line.contiguous(memory_format=torch.channels_last)


def _square_kernel(matrix: Tensor, like: Tensor, groups: int) -> Tensor:
    """(G K C/G, C'), rows in the order of the samples of a pixel -> (C', C, h, w)."""
    outputs, inputs = like.shape[:2]
    return matrix.view(groups, -1, inputs // groups, outputs).permute(3, 0, 2, 1).reshape(like.shape)


def _line(values: Tensor, kernel: Tensor) -> Tensor:
    """Rows of numbers, in memory order, as a picture one pixel high: (1, C h, 1, P w) for a kernel (C', C h, 1, w).

    Multiplying rows with a matrix is a convolution whose stride is its kernel's width. As such it goes to oneDNN,
    which is twice as fast as the matrix product on processors that torch's own library does not favour.
    """
    return values.reshape(1, 1, -1, kernel.shape[1]).permute(0, 3, 1, 2)


def _table(x: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """(C, H, W) -> the padded map as rows (H+3, W+3, G) of C/G channels.

    A border of zeros, one pixel before and two after, holds whatever a sample outside of the map may touch.
    """
    channels, height, width = x.shape
    table = torch.zeros(height + 3, width + 3, channels, dtype=dtype, device=x.device)
    table[1 : height + 1, 1 : width + 1] = x.permute(1, 2, 0)
    return table.view(-1, channels // groups)


def _parts(geometry: _Geometry, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Runs of output pixels, and for each run the place of its pixels' first tap, (P, 2)."""
    height, width = geometry.outputs
    samples = x.shape[1] * math.prod(geometry.kernel)
    step = max(1, (_CPU_PART if x.device.type == "cpu" else _GPU_PART) // samples)
    pixels = torch.arange(height * width, device=x.device)
    places = torch.stack([pixels // width, pixels % width], 1) * geometry.stride - geometry.padding
    for start in range(0, height * width, step):
        part = slice(start, min(start + step, height * width))
        yield part, places[part]


def _corners(offset: Tensor, mask: Tensor, place: Tensor, geometry: _Geometry) -> tuple[Tensor, Tensor]:
    """The four pixels of every sample: their rows in the table (B, 4) int32, and their weights (B, 4).

    ``offset`` is (P, 2 G K) and ``mask`` (P, G K); B = P G K.
    """
    dtype = offset.dtype if offset.dtype == torch.float64 else torch.float32
    taps = [torch.arange(n, device=place.device) * geometry.dilation for n in geometry.kernel]
    down, right = (tap.flatten().repeat(geometry.groups) for tap in torch.meshgrid(*taps, indexing="ij"))
    # Whatever lies beyond the border is zero, and so is the border.
    y = (offset[:, 0::2] + (place[:, :1] + down).to(dtype)).clamp(-1, geometry.height)
    x = (offset[:, 1::2] + (place[:, 1:] + right).to(dtype)).clamp(-1, geometry.width)
    top, left = y.detach().floor(), x.detach().floor()
    lower, righter = y - top, x - left
    line = (geometry.width + 3) * geometry.groups
    group = torch.arange(geometry.groups, device=place.device, dtype=torch.int32)
    first = group.repeat_interleave(len(down) // geometry.groups) + (line + geometry.groups)
    row = torch.add(first + top.int() * line, left.int(), alpha=geometry.groups)
    rows = torch.stack([row, row + geometry.groups, row + line, row + (line + geometry.groups)], -1)
    lower, upper = lower * mask, (1 - lower) * mask
    lefter = 1 - righter
    weights = torch.stack([upper * lefter, upper * righter, lower * lefter, lower * righter], -1)
    return rows.view(-1, 4), weights.view(-1, 4)


def _sample(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums (B, C/G) of four rows each."""
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights.to(table.dtype))


def _fold(patches: Tensor, out: Tensor, geometry: _Geometry) -> None:
    """Add up what the four pixels of every patch of the padded map were given, (H, W, C).

    One row of four pixels for every place is scattered to, rather than four rows: a scattered row costs as much for
    its address as for its numbers.
    """
    height, width = geometry.height, geometry.width
    corners = patches.view(height + 3, width + 3, geometry.groups, 4, -1)
    shifted = [
        corners[1 - down : height + 1 - down, 1 - right : width + 1 - right, :, 2 * down + right]
        for down in (0, 1)
        for right in (0, 1)
    ]
    grouped = out.view(height, width, geometry.groups, -1)
    torch.add(shifted[0], shifted[1], out=grouped)
    grouped.add_(shifted[2]).add_(shifted[3])


__all__ = ["DeformConvPack", "deform_conv2d"]
