"""Discriminators that the published restorers were trained against, under their published names of parameters.

StyleGAN2's (GPEN and GFP-GAN), the multi-scale patch discriminator of pix2pixHD with spectral and instance
normalisation (HiFaceGAN), and VQGAN's patch discriminator (CodeFormer, VQFR).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.spade import PictureNorm
from facefort.models.blocks.spectral import SpectralConv2d
from facefort.models.blocks.stylegan2 import ConvLayer, EqualLinear, ResBlock, checked_log_size, stylegan2_channels
from facefort.models.blocks.upfirdn import DEFAULT_TAPS

_DEVIATION_GROUP = 4


class StyleGAN2Discriminator(nn.Module):
    """StyleGAN2's residual discriminator, as GPEN trains against it.

    Args:
        size: side of the picture, a power of two from 8 to 2048.
        channel_multiplier: width from 64 px on.
        blur_kernel: taps of the filter before each halving.
        narrow: width of everything.
    """

    def __init__(
        self,
        size: int = 512,
        channel_multiplier: float = 2,
        blur_kernel: Sequence[float] = DEFAULT_TAPS,
        narrow: float = 1,
    ) -> None:
        super().__init__()
        width = stylegan2_channels(channel_multiplier, narrow)
        layers: list[nn.Module] = [ConvLayer(3, width[size], 1)]
        for level in range(checked_log_size(size), 2, -1):
            layers.append(ResBlock(width[2**level], width[2 ** (level - 1)], blur_kernel))
        self.convs = nn.Sequential(*layers)
        self.final_conv = ConvLayer(width[4] + 1, width[4], 3)
        self.final_linear = nn.Sequential(
            EqualLinear(width[4] * 16, width[4], activation=True), EqualLinear(width[4], 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> scores (N, 1), higher for pictures that look real."""
        out = self.convs(x)
        out = self.final_conv(torch.cat([out, _deviation(out)], 1))
        score: Tensor = self.final_linear(out.flatten(1))
        return score


def _deviation(x: Tensor) -> Tensor:
    """How much the pictures of a group differ, as one more channel (N, 1, H, W).

    A group has four pictures, or the largest number below that divides the batch; in the official code a batch that
    four does not divide is an error.
    """
    n = len(x)
    size = max(number for number in range(1, _DEVIATION_GROUP + 1) if n % number == 0)
    grouped = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(size, n // size, *x.shape[1:])
    deviation = (grouped.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(size).to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])


class PatchDiscriminator(nn.Module):
    """One scale of HiFaceGAN's discriminator: a score per patch, and the features that lead to it.

    Args:
        inputs: input channels.
        width: channels of the first layer.
        layers: layers before the score; all but the last of them halve the resolution.
    """

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        widths = [min(width * 2**level, 512) for level in range(layers)]
        self.add_module("model0", nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2), nn.LeakyReLU(0.2)))
        for level in range(1, layers):
            stride = 1 if level == layers - 1 else 2
            convolution = SpectralConv2d(widths[level - 1], widths[level], 4, stride, 2, bias=False)
            normalised = nn.Sequential(convolution, PictureNorm(widths[level]))
            self.add_module(f"model{level}", nn.Sequential(normalised, nn.LeakyReLU(0.2)))
        self.add_module(f"model{layers}", nn.Sequential(nn.Conv2d(widths[-1], 1, 4, 1, 2)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> features from first to last; the last is the score (N, 1, H', W')."""
        features: list[Tensor] = []
        for model in self.children():
            x = model(x)
            features.append(x)
        return features


class MultiscaleDiscriminator(nn.Module):
    """HiFaceGAN's discriminator, after pix2pixHD: the same network for the picture and for its halves.

    Args:
        inputs: input channels: the degraded picture and the restored one, beside each other.
        width: channels of the first layer.
        scales: how many sizes are looked at.
        layers: layers of each scale before its score.
    """

    def __init__(self, inputs: int = 6, width: int = 64, scales: int = 2, layers: int = 4) -> None:
        super().__init__()
        for scale in range(scales):
            self.add_module(f"discriminator_{scale}", PatchDiscriminator(inputs, width, layers))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """(N, C, H, W) -> for each scale its features and, last, its score."""
        results: list[list[Tensor]] = []
        for discriminator in self.children():
            results.append(discriminator(x))
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return results


class VQGANDiscriminator(nn.Module):
    """VQGAN's patch discriminator (Esser et al., CVPR 2021), as CodeFormer trains against it.

    Args:
        inputs: input channels.
        width: channels of the first layer.
        layers: layers that halve the resolution.
    """

    def __init__(self, inputs: int = 3, width: int = 64, layers: int = 4) -> None:
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        widths = [width * min(2**level, 8) for level in range(layers + 1)]
        for level in range(1, layers + 1):
            stride = 2 if level < layers else 1
            body += [
                nn.Conv2d(widths[level - 1], widths[level], 4, stride, 1, bias=False),
                nn.BatchNorm2d(widths[level]),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.main = nn.Sequential(*body, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> scores of patches (N, 1, H', W')."""
        scores: Tensor = self.main(x)
        return scores


__all__ = ["MultiscaleDiscriminator", "PatchDiscriminator", "StyleGAN2Discriminator", "VQGANDiscriminator"]
