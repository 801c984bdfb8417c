"""Group normalisation, swish and convolution as one operation that remembers its input and nothing else.

Taken one by one, the three keep three maps for the backward pass, and the two after the input are cheap to compute
again. A residual block so keeps two maps instead of six, and no convolution is computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_aten = torch.ops.aten


def norm_swish_conv(x: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
    """``conv(silu(norm(x)))`` of a map (N, C, H, W), for a convolution without dilation or groups."""
    if not torch.is_grad_enabled():
        return conv(F.silu(norm(x), inplace=True))
    out: Tensor = _NormSwishConv.apply(x, norm.weight, norm.bias, conv.weight, conv.bias, norm, conv)  # type: ignore[no-untyped-call]
    return out


class _NormSwishConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        norm: nn.GroupNorm,
        conv: nn.Conv2d,
    ) -> Tensor:
        normed, mean, deviation = _normalise(x, scale, shift, norm)
        ctx.norm, ctx.conv = norm, conv
        ctx.save_for_backward(x, scale, shift, weight, mean, deviation)
        return F.conv2d(F.silu(normed, inplace=True), weight, bias, conv.stride, conv.padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, scale, shift, weight, mean, deviation = ctx.saved_tensors
        to_x, to_scale, to_shift, to_weight, to_bias = ctx.needs_input_grad[:5]
        norm, conv = ctx.norm, ctx.conv
        normed = _normalise(x, scale, shift, norm)[0]
        inner = to_x or to_scale or to_shift
        # Only the gradient of the weights looks at the values of the convolution's input.
        active = F.silu(normed) if to_weight else normed
        passed, weights, biases = _aten.convolution_backward(
            gradient,
            active.to(gradient.dtype),
            weight.to(gradient.dtype),
            [len(weight)],
            conv.stride,
            conv.padding,
            conv.dilation,
            False,
            [0, 0],
            conv.groups,
            [inner, to_weight, to_bias],
        )
        weights = weights.to(weight.dtype) if to_weight else None
        biases = biases.to(weight.dtype) if to_bias else None
        if not inner:
            return None, None, None, weights, biases, None, None
        passed = _aten.silu_backward(passed.to(normed.dtype), normed)
        n, channels = x.shape[:2]
        mask = [to_x, to_scale, to_shift]
        area = x.shape[2] * x.shape[3]
        to = _aten.native_group_norm_backward(
            passed, x, mean, deviation, scale, n, channels, area, norm.num_groups, mask
        )
        return to[0], to[1], to[2], weights, biases, None, None


def _normalise(x: Tensor, scale: Tensor, shift: Tensor, norm: nn.GroupNorm) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised map, and the mean and inverse deviation of its groups."""
    n, channels, height, width = x.shape
    out: tuple[Tensor, Tensor, Tensor] = torch.native_group_norm(
        x, scale, shift, n, channels, height * width, norm.num_groups, norm.eps
    )
    return out
