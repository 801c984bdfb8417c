"""Parts of VQFR: residual blocks, resampling, codebooks, and the texture warping module.

Gu et al., "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder", ECCV 2022. Where the
parts are built is in :mod:`facefort.models.restorers.vqfr` and :mod:`~facefort.models.restorers.vqfr_v2`; modules bear
the names of the official weights (``Level_8`` stands at an eighth of the picture's side).

A codebook look-up has no derivative. What stands in for it is a choice,
:data:`~facefort.models.blocks.vq.GradMode`; values never depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from facefort import runtime
from facefort.models.blocks.deform_conv import DeformConvPack
from facefort.models.blocks.vq import check_grad_mode, mixture, with_gradient_of
from facefort.models.spec import Options, StateDict, TrainingPass

PAPER = "Gu et al., VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder, ECCV 2022"
LICENCE = "Apache-2.0 (with exceptions for third-party parts)"
CODES_PER_SIDE = 16
"""Side of the map of codes in the published networks; no key tells the size of the picture, so it is assumed."""
BETA = 0.25


def level_name(level: int) -> str:
    """Name of a level in the weights: 0 is "Level_1", the picture's own resolution, and each next one halves it."""
    return f"Level_{2**level}"


def widths(base_channels: int, channel_multipliers: Sequence[int], out_size: int) -> list[int]:
    """Channels per level, from fine to coarse.

    Raises:
        ValueError: the side cannot be halved as often as there are levels.
    """
    factor = 2 ** (len(channel_multipliers) - 1)
    if out_size < factor or out_size % factor:
        raise ValueError(f"with {len(channel_multipliers)} levels the side is a multiple of {factor}, not {out_size}")
    return [base_channels * multiplier for multiplier in channel_multipliers]


class GroupNorm(nn.GroupNorm):
    """Group normalisation that stays exact on large maps.

    On a processor, where channels are last in memory, torch's own adds a group's numbers one after the other: of a map
    of 512 px, values are off by up to 6e-4 (torch 2.13, float32). Here they are off by 1e-6.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        large = x.shape[2] * x.shape[3] >= _LARGE and x.is_contiguous(memory_format=torch.channels_last)
        traced = runtime.is_traced()
        if not large or traced or x.dtype != torch.float32 or x.device.type != "cpu":
            return super().forward(x)
        out: Tensor = _ExactNorm.apply(x, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
        return out


_LARGE = 2**14  # pixels
_RUN = 2**10


class _ExactNorm(torch.autograd.Function):
    """Group normalisation of a map with channels last, by exact moments."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:  # noqa: ANN401
        n, channels, height, width = x.shape
        moments = [_moments(image) for image in x.permute(0, 2, 3, 1).reshape(n, height * width, channels)]
        means, variances = (torch.stack(part).view(n, groups, -1) for part in zip(*moments, strict=True))
        mean = means.mean(2)
        variance = variances.mean(2) + means.var(2, correction=0)
        inverse = (variance + eps).rsqrt()
        scale = weight.double() * inverse.repeat_interleave(channels // groups, 1)
        shift = bias.double() - mean.repeat_interleave(channels // groups, 1) * scale
        ctx.groups = groups
        ctx.save_for_backward(x, weight, mean.float(), inverse.float())
        out = torch.empty_like(x)
        return torch.addcmul(shift.float()[:, :, None, None], x, scale.float()[:, :, None, None], out=out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight, mean, inverse = ctx.saved_tensors
        n, channels, height, width = x.shape
        found = torch.ops.aten.native_group_norm_backward(
            gradient.contiguous(memory_format=torch.channels_last),
            x,
            mean,
            inverse,
            weight,
            n,
            channels,
            height * width,
            ctx.groups,
            list(ctx.needs_input_grad[:3]),
        )
        return *found, None, None


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the columns of (P, C), in float64; sums stay small around a first guess of the mean."""
    guess = pixels[:_RUN].mean(0)
    sums = torch.zeros(2, pixels.shape[1], dtype=torch.float64)
    for run in torch.split(pixels, _RUN):
        away = run - guess
        sums[0] += away.sum(0)
        sums[1] += torch.linalg.vector_norm(away, dim=0).double().square()
    first, second = sums / len(pixels)
    return guess.double() + first, second - first.square()


def normalise(channels: int, groups: int) -> GroupNorm:
    """Group normalisation as in both versions."""
    return GroupNorm(groups, channels, eps=1e-6)


def norm_swish(channels: int, groups: int) -> list[nn.Module]:
    """Normalisation and swish, as the beginning of a sequence."""
    return [normalise(channels, groups), nn.SiLU(inplace=True)]


class ResnetBlock(nn.Module):
    """Normalisation, swish, 3x3 convolution, twice, plus the input (through a 1x1 convolution to other channels).

    Args:
        inputs: input channels.
        outputs: output channels.
        groups: of the normalisations.
        shortcut: name of the 1x1 convolution: "shortcut_conv" in version 1, "residual_func" in version 2.
    """

    def __init__(self, inputs: int, outputs: int, groups: int, shortcut: str = "shortcut_conv") -> None:
        super().__init__()
        self.norm1 = normalise(inputs, groups)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.norm2 = normalise(outputs, groups)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self._shortcut = shortcut if inputs != outputs else ""
        if self._shortcut:
            self.add_module(shortcut, nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        out = self.conv1(F.silu(self.norm1(x), inplace=True))
        out = self.conv2(F.silu(self.norm2(out), inplace=True))
        return out.add_(self.get_submodule(self._shortcut)(x) if self._shortcut else x)


class Resample(nn.Module):
    """Version 1's change of resolution: bilinear, with a 3x3 convolution on the side that has fewer pixels.

    Args:
        inputs: input channels.
        outputs: output channels; where ``scale`` is 1, the input passes as it is.
        scale: of the sides.
    """

    def __init__(self, inputs: int, outputs: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        if scale != 1:
            self.conv = nn.Conv2d(inputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H * scale, W * scale)."""
        if self.scale == 1:
            return x
        if self.scale > 1:
            return resize(self.conv(x), self.scale)
        return self.conv(resize(x, self.scale))


class Shrink(nn.Module):
    """Bilinear resize without parameters."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H * scale, W * scale)."""
        return resize(x, self.scale)


def resize(x: Tensor, scale: float) -> Tensor:
    """Bilinear resize without antialiasing."""
    if scale == 1:
        return x
    # A tracer's sizes are tensors, which Python does not round; adding a half is the same for sizes.
    side = (int(x.shape[2] * scale + 0.5), int(x.shape[3] * scale + 0.5))
    return F.interpolate(x, size=side, mode="bilinear", align_corners=False)


class TextureWarping(nn.Module):
    """Move a texture feature to where the input shows it: a deformable convolution steered by both (section 3.3).

    Args:
        channels: of the texture feature.
        cond_channels: of the input's feature.
        downsample: brings the input's feature to the texture's size.
        groups: of the normalisations.
        deformable_groups: of the deformable convolution.
        previous: channels of the steering feature of the level below; 0 where there is none.
    """

    def __init__(
        self,
        channels: int,
        cond_channels: int,
        downsample: nn.Module,
        groups: int,
        deformable_groups: int,
        previous: int = 0,
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.offset_conv1 = nn.Sequential(
            nn.Conv2d(channels + cond_channels, channels, 1),
            *norm_swish(channels, groups),
            nn.Conv2d(channels, channels, 7, 1, 3, groups=channels),
            *norm_swish(channels, groups),
            nn.Conv2d(channels, channels, 1),
        )
        self.offset_conv2 = nn.Sequential(
            nn.Conv2d(channels + previous, channels, 3, 1, 1), *norm_swish(channels, groups)
        )
        self.dcn = DeformConvPack(channels, deformable_groups)

    def forward(self, texture: Tensor, condition: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Warp a texture feature.

        Args:
            texture: (N, C, H, W).
            condition: the input's feature at full resolution.
            previous: what this module returned as the second one at half the resolution.

        Returns:
            The warped feature, and the feature that steered it: (N, C, H, W) both.
        """
        steering = self.offset_conv1(torch.cat([self.downsample(condition), texture], 1))
        if previous is not None:
            # Offsets are in pixels: at twice the side they are twice as long.
            steering = torch.cat([steering, resize(previous, 2).mul_(2)], 1)
        steering = self.offset_conv2(steering)
        return self.dcn(texture, steering), steering


class Codebook(nn.Module):
    """Vectors that stand for the nearest features.

    Args:
        num_code: how many, K.
        code_dim: their width, D.
        grad_mode: "official" is "ste" here; also an attribute.
    """

    def __init__(self, num_code: int, code_dim: int, grad_mode: str = "official") -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_code, code_dim)
        nn.init.uniform_(self.embedding.weight, -1 / num_code, 1 / num_code)
        self.grad_mode = check_grad_mode(grad_mode)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, D, H, W) -> nearest codes (N, D, H, W), codebook loss (scalar), their indices (N, H W).

        In the loss the smaller weight is on the term that moves the codes, as in the official code; van den Oord et
        al. have it on the other one.
        """
        with torch.autocast(z.device.type, enabled=False):
            z, codes = at_least_float32(z), at_least_float32(self.embedding.weight)
            vectors = z.permute(0, 2, 3, 1)
            # |z|^2 is the same for every code; left out, it cannot drown their differences in rounding.
            scores = 2 * vectors @ codes.t() - codes.square().sum(1)
            indices = scores.argmax(-1)
            nearest = self.codes(indices)
            loss = (nearest.detach() - z).square().mean() + BETA * (nearest - z.detach()).square().mean()
            path = mixture(scores, codes).permute(0, 3, 1, 2) if self.grad_mode == "soft" else z
        return with_gradient_of(nearest, path), loss, indices.flatten(1)

    def codes(self, indices: Tensor) -> Tensor:
        """Codes of indices, (N, H, W) -> (N, D, H, W)."""
        return self.embedding(indices).permute(0, 3, 1, 2)


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision widened, double kept."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def initialise(network: nn.Module) -> None:
    """The official initial weights: normal, deviation 0.02; deformable kernels and codes keep their own."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def freeze(network: nn.Module, keys: Sequence[str]) -> None:
    """Fix the parameters whose name holds one of the keys."""
    for name, parameter in network.named_parameters():
        if any(key in name for key in keys):
            parameter.requires_grad_(False)


def base_and_multipliers(channels: Sequence[int]) -> dict[str, int | tuple[int, ...]]:
    """Options that stand for channels per level."""
    base = math.gcd(*channels)
    return {"base_channels": base, "channel_multipliers": tuple(width // base for width in channels)}


def count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many different numbers or names follow a prefix in the keys."""
    return len({key.removeprefix(prefix).split(".", 1)[0] for key in state if key.startswith(prefix)})


def check_sides(x: Tensor, levels: int) -> None:
    """Raise ValueError unless the sides of (N, 3, H, W) can be halved between that many levels."""
    factor = 2 ** (levels - 1)
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(f"VQFR takes pictures whose sides are multiples of {factor} px, not {tuple(x.shape[2:])}")


def alone(state: StateDict, detect: Callable[[StateDict], Options | None]) -> Options | None:
    """What ``detect`` says of an auto-encoder's state dict; None of one that only contains it."""
    if any(not key.startswith(("encoder.", "decoder.", "quantizer.")) for key in state):
        return None
    return detect(state)


def decoded(network: nn.Module, faces: Tensor) -> Tensor:
    """The picture of a network that returns it by the name "dec"."""
    picture: Tensor = network(faces)[0]["dec"]
    return picture


def reproduce(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """The training pass of an auto-encoder: it reproduces the clean face, and what is degraded is not looked at."""
    found, codebook = network(clean)
    return TrainingPass(found["dec"], own={"codebook": codebook})
