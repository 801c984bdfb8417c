"""Spatially adaptive normalisation (SPADE) as HiFaceGAN has it, and local importance pooling.

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019; Gao et al., "LIP: Local
Importance-Based Pooling", ICCV 2019. Unlike in the first paper, the modulated signal is x * gamma + beta rather than
x * (1 + gamma) + beta, and the two convolutions that make gamma and beta have no bias.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.spectral import SpectralConv2d

NormKind = Literal["batch", "instance"]
_EPSILON = 1e-5
_SLOPE = 0.2
_GATE = 12.0


def picture_norm(x: Tensor, epsilon: float = _EPSILON) -> Tensor:
    """Each channel of each picture to mean 0 and variance 1 over its own pixels, in float32 or better."""
    x = _at_least_float32(x)
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon)


class PictureNorm(nn.Module):
    """Instance norm, with a scale and shift per channel where ``affine`` is set."""

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, in the type of ``x``."""
        out = picture_norm(x)
        if self.weight is not None and self.bias is not None:
            out = torch.addcmul(self.bias[:, None, None], out, self.weight[:, None, None])
        return out.to(x.dtype)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm without parameters that never mixes the pictures of a batch in evaluation.

    In training it is the ordinary batch norm and gathers running statistics. In evaluation it uses these; while there
    are none (``calibrated`` is False), each picture is normalised by its own statistics, which is what the network
    does in training mode with a batch of one.
    """

    num_batches_tracked: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self._was_calibrated = False

    @property
    def calibrated(self) -> bool:
        """Whether any batch has been seen."""
        if not torch.compiler.is_compiling():  # while a graph is recorded, the number is a symbol
            self._was_calibrated = bool(self.num_batches_tracked > 0)
        return self._was_calibrated

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        if self.training or self.calibrated:
            return super().forward(x)
        return picture_norm(x, self.eps).to(x.dtype)


class SPADE(nn.Module):
    """Normalise, then scale and shift every pixel as a condition says.

    Args:
        channels: of the signal.
        condition: channels of the condition.
        norm: "batch" as published, or "instance" as in BasicSR's port.
    """

    def __init__(self, channels: int, condition: int, norm: NormKind) -> None:
        super().__init__()
        hidden = min(channels, 128)
        self.param_free_norm = BatchNorm(channels) if norm == "batch" else PictureNorm(channels)
        self.mlp_shared = nn.Sequential(nn.Conv2d(condition, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1, bias=False)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``condition`` has any size; it is brought to that of ``x`` (N, C, H, W) by nearest neighbours."""
        if condition.shape[2:] != x.shape[2:]:
            condition = F.interpolate(condition, size=x.shape[2:], mode="nearest")
        hidden = self.mlp_shared(condition)
        gamma, beta = self.mlp_gamma(hidden), self.mlp_beta(hidden)
        return torch.addcmul(beta, self.param_free_norm(x).to(gamma.dtype), gamma)


class SPADEResBlock(nn.Module):
    """Two spectrally normalised convolutions, each after a SPADE, and a shortcut that has its own where widths differ.

    Args:
        inputs: input channels.
        outputs: output channels.
        condition: channels of the condition.
        norm: kind of normalisation.
    """

    def __init__(self, inputs: int, outputs: int, condition: int, norm: NormKind) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = SpectralConv2d(inputs, middle, 3, padding=1)
        self.conv_1 = SpectralConv2d(middle, outputs, 3, padding=1)
        self.norm_0 = SPADE(inputs, condition, norm)
        self.norm_1 = SPADE(middle, condition, norm)
        self.learned_shortcut = inputs != outputs
        if self.learned_shortcut:
            self.conv_s = SpectralConv2d(inputs, outputs, 1, bias=False)
            self.norm_s = SPADE(inputs, condition, norm)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        out = self.conv_0(F.leaky_relu(self.norm_0(x, condition), _SLOPE))
        out = self.conv_1(F.leaky_relu(self.norm_1(out, condition), _SLOPE))
        shortcut: Tensor = self.conv_s(self.norm_s(x, condition)) if self.learned_shortcut else x
        return shortcut + out


class SoftGate(nn.Module):
    """12 * sigmoid(x): bounds the logit of an importance."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return torch.sigmoid(x) * _GATE


class SimplifiedLIP(nn.Module):
    """Halve the resolution by an average of 3x3 pixels that weighs each by a learned importance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logit = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), PictureNorm(channels, affine=True), SoftGate()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / 2, W / 2)."""
        # In float32: the weights span five decades.
        with torch.autocast(x.device.type, enabled=False):
            wide = _at_least_float32(x)
            weight = self.logit(wide).exp()
            total = F.avg_pool2d(wide * weight, 3, 2, 1)
            return (total / F.avg_pool2d(weight, 3, 2, 1)).to(x.dtype)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
