"""Group normalisation, swish and convolution as one operation that remembers its input and nothing else.

Taken one by one, the three keep three maps for the backward pass, and the two after the input are cheap to compute
again. A residual block so keeps two maps instead of six, and no convolution is computed twice. The normalisation's own
backward pass is written out because torch's takes longer than the convolution's on a processor (five times in
bfloat16).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_aten = torch.ops.aten


class GroupNorm(nn.GroupNorm):
    """Group normalisation with a lean backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if not torch.is_grad_enabled():
            return super().forward(x)
        out: Tensor = _Norm.apply(x, self.weight, self.bias, self)  # type: ignore[no-untyped-call]
        return out


def norm_swish_conv(x: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
    """``conv(silu(norm(x)))`` of a map (N, C, H, W)."""
    if not torch.is_grad_enabled():
        return conv(F.silu(norm(x), inplace=True))
    out: Tensor = _NormSwishConv.apply(x, norm.weight, norm.bias, conv.weight, conv.bias, norm, conv)  # type: ignore[no-untyped-call]
    return out


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, norm: nn.GroupNorm) -> Tensor:  # noqa: ANN401
        normed, mean, deviation = _normalise(x, scale, shift, norm)
        ctx.groups = norm.num_groups
        ctx.save_for_backward(x, scale, mean, deviation)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, scale, mean, deviation = ctx.saved_tensors
        return *_backward(gradient, x, scale, mean, deviation, ctx.groups), None


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
        return F.conv2d(F.silu(normed, inplace=True), weight, bias, conv.stride, conv.padding, 1, conv.groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, scale, shift, weight, mean, deviation = ctx.saved_tensors
        to_x, to_scale, to_shift, to_weight, to_bias = ctx.needs_input_grad[:5]
        conv = ctx.conv
        normed = _normalise(x, scale, shift, ctx.norm)[0]
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
            [1, 1],
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
        back = _backward(passed, x, scale, mean, deviation, ctx.norm.num_groups)
        return *back, weights, biases, None, None


def _normalise(x: Tensor, scale: Tensor, shift: Tensor, norm: nn.GroupNorm) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised map, and the mean and inverse deviation of its groups (N, G)."""
    n, channels, height, width = x.shape
    # Only the processor's kernel takes a bfloat16 map and float32 parameters.
    given = x if x.device.type == "cpu" else x.to(scale.dtype)
    normed, mean, deviation = torch.native_group_norm(
        given, scale, shift, n, channels, height * width, norm.num_groups, norm.eps
    )
    return normed.to(x.dtype), mean, deviation


def _backward(
    gradient: Tensor, x: Tensor, scale: Tensor, mean: Tensor, deviation: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input, the scale and the shift of a group normalisation; ``deviation`` is the inverse one.

    With a the gradient of the normalised and scaled map, the input's is linear in a and in x, with coefficients that
    depend on the sums of a and of a * x alone.
    """
    n, channels, height, width = x.shape
    precise = torch.promote_types(x.dtype, torch.float32)
    mean, deviation = mean.to(precise), deviation.to(precise)
    product = gradient * x
    # Added up in float32 and rounded once, as the maps are: to widen the maps first takes six times as long.
    sums = gradient.sum((2, 3)).to(precise)
    moments = product.sum((2, 3)).to(precise)

    def over_group(values: Tensor) -> Tensor:
        return (values * scale).view(n, groups, -1).sum(2) / (channels // groups * height * width)

    def per_channel(values: Tensor) -> Tensor:
        return values.repeat_interleave(channels // groups, 1)

    slope = (over_group(sums) * mean - over_group(moments)) * deviation**3
    offset = -slope * mean - over_group(sums) * deviation
    factors = (per_channel(deviation) * scale, per_channel(slope), per_channel(offset))
    of_gradient, of_x, constant = (value[:, :, None, None].to(x.dtype) for value in factors)
    back = torch.addcmul(constant, x, of_x, out=product).addcmul_(gradient, of_gradient)
    to_scale = ((moments - per_channel(mean) * sums) * per_channel(deviation)).sum(0)
    return back, to_scale.to(scale.dtype), sums.sum(0).to(scale.dtype)
