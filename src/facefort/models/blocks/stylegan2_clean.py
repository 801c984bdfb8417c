"""StyleGAN2 without custom kernels, as GFP-GAN's clean decoder uses it: bilinear resampling, plain convolutions.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020; modulation by SFT conditions as in
Wang et al., CVPR 2021. The modulated convolution scales activations rather than weights, which is the same sum in
another order: one convolution serves a whole batch, and memory does not grow with it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_DEMODULATION_EPSILON = 1e-8


def stylegan_channels(narrow: float, multiplier: float) -> dict[int, int]:
    """Channels per resolution: 512 up to 32 px, then 256 x multiplier at 64 px and half of it at each doubling."""
    channels = dict.fromkeys((4, 8, 16, 32), int(512 * narrow))
    channels.update({2**i: int(256 * multiplier * narrow * 64 / 2**i) for i in range(6, 11)})
    return channels


class NormStyleCode(nn.Module):
    """Scale a style code to unit root-mean-square."""

    def forward(self, code: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return code * torch.rsqrt(code.square().mean(-1, keepdim=True) + 1e-8)


class ModulatedConv2d(nn.Module):
    """Convolution whose weights are scaled per picture and input channel by a style.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel_size: odd.
        num_style_feat: width of the style.
        demodulate: scale each output channel back to unit weight norm.
        upsample: double the resolution (bilinear) before the convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        num_style_feat: int,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.modulation = nn.Linear(num_style_feat, inputs)
        nn.init.kaiming_normal_(self.modulation.weight, nonlinearity="linear")
        nn.init.ones_(self.modulation.bias)
        scale = 1 / math.sqrt(inputs * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel_size, kernel_size) * scale)
        self.padding = kernel_size // 2
        self.demodulate = demodulate
        self.upsample = upsample

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, C, H, W) and (N, D) -> (N, C', H, W), doubled with ``upsample``."""
        out, norm = self.convolve(x, style)
        return out if norm is None else out * norm.to(out.dtype)

    def convolve(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor | None]:
        """The convolution before demodulation, and the factor (N, C', 1, 1) that demodulates it.

        They are apart so that a caller can merge the factor with its own scale and shift in one pass over memory.
        """
        scale = self.modulation(style)
        x = x * scale[:, :, None, None].to(x.dtype)
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        out = F.conv2d(x, self.weight[0], padding=self.padding)
        if not self.demodulate:
            return out, None
        with torch.autocast(x.device.type, enabled=False):
            power = self.weight[0].float().square().sum((2, 3))
            norm = torch.rsqrt(scale.float().square() @ power.t() + _DEMODULATION_EPSILON)
        return out, norm[:, :, None, None]


class StyleConv(nn.Module):
    """Modulated convolution, noise, bias and activation."""

    def __init__(self, inputs: int, outputs: int, num_style_feat: int, upsample: bool = False) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, outputs, 3, num_style_feat, upsample=upsample)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """``noise`` is (1 or N, 1, H, W), or None to draw it anew."""
        out, norm = self.modulated_conv.convolve(x, style)
        assert norm is not None
        if noise is None:
            noise = torch.randn(out.shape[0], 1, *out.shape[2:], device=out.device)
        # In the layout of `out`: an elementwise result takes the layout of its first operand.
        layout = (
            torch.channels_last if out.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        )
        offset = (self.weight * noise + self.bias).to(out.dtype).contiguous(memory_format=layout)
        return F.leaky_relu(torch.addcmul(offset, out, (norm * math.sqrt(2)).to(out.dtype)), 0.2)


class ToRGB(nn.Module):
    """Features to a picture, added to the doubled picture of the level below."""

    def __init__(self, inputs: int, num_style_feat: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, 3, 1, num_style_feat, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, 3, H, W); ``skip`` has half that size."""
        out = self.modulated_conv(x, style) + self.bias.to(x.dtype)
        if skip is None:
            return out
        return out + F.interpolate(skip, scale_factor=2.0, mode="bilinear", align_corners=False)


class ConstantInput(nn.Module):
    """The learned 4x4 picture that generation starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        """(batch, C, 4, 4)."""
        return self.weight.expand(batch, -1, -1, -1)


class StyleGAN2Decoder(nn.Module):
    """StyleGAN2 generator with spatial feature transform (SFT) conditions.

    Args:
        out_size: side of the picture, a power of two.
        num_style_feat: width of a latent vector.
        num_mlp: layers of the style network.
        channel_multiplier: width from 64 px on.
        narrow: width of everything.
        sft_half: conditions act on the second half of the channels only (channel-split SFT).
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int,
        num_mlp: int,
        channel_multiplier: float,
        narrow: float,
        sft_half: bool = True,
    ) -> None:
        super().__init__()
        self.sft_half = sft_half
        mlp: list[nn.Module] = [NormStyleCode()]
        for _ in range(num_mlp):
            mlp += [nn.Linear(num_style_feat, num_style_feat), nn.LeakyReLU(0.2)]
        self.style_mlp = nn.Sequential(*mlp)
        width = stylegan_channels(narrow, channel_multiplier)
        self.constant_input = ConstantInput(width[4])
        self.style_conv1 = StyleConv(width[4], width[4], num_style_feat)
        self.to_rgb1 = ToRGB(width[4], num_style_feat)
        log_size = int(math.log2(out_size))
        self.num_latent = 2 * log_size - 2
        self.noises = nn.Module()
        for layer in range(2 * (log_size - 2) + 1):
            side = 2 ** ((layer + 5) // 2)
            self.noises.register_buffer(f"noise{layer}", torch.randn(1, 1, side, side))
        convs: list[StyleConv] = []
        rgbs: list[ToRGB] = []
        for level in range(3, log_size + 1):
            inputs, outputs = width[2 ** (level - 1)], width[2**level]
            convs.append(StyleConv(inputs, outputs, num_style_feat, upsample=True))
            convs.append(StyleConv(outputs, outputs, num_style_feat))
            rgbs.append(ToRGB(outputs, num_style_feat))
        self.style_convs = nn.ModuleList(convs)
        self.to_rgbs = nn.ModuleList(rgbs)

    def forward(
        self,
        style: Tensor,
        conditions: list[Tensor],
        *,
        input_is_latent: bool,
        randomize_noise: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Generate a picture.

        Args:
            style: (N, D), one code for all layers, or (N, L, D), one per layer.
            conditions: scale and shift of 8 px, scale and shift of 16 px ...: (N, C, H, W) each.
            input_is_latent: skip the style network.
            randomize_noise: draw noise anew instead of using the stored one.

        Returns:
            Picture (N, 3, S, S) and the latents used (N, L, D).
        """
        latent = style if input_is_latent else self.style_mlp(style)
        if latent.ndim == 2:
            latent = latent[:, None].expand(-1, self.num_latent, -1)
        noise = [None if randomize_noise else value for value in self.noises.buffers()]
        out = self.constant_input(latent.shape[0])
        out = self.style_conv1(out, latent[:, 0], noise[0])
        picture = self.to_rgb1(out, latent[:, 1])
        for level, to_rgb in enumerate(self.to_rgbs):
            i = 2 * level + 1
            out = self.style_convs[i - 1](out, latent[:, i], noise[i])
            out = self._modulate(out, conditions[i - 1], conditions[i])
            out = self.style_convs[i](out, latent[:, i + 1], noise[i + 1])
            picture = to_rgb(out, latent[:, i + 2], picture)
        return picture, latent

    def _modulate(self, out: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        if not self.sft_half:
            return torch.addcmul(shift, out, scale)
        kept, changed = out.chunk(2, dim=1)
        return torch.cat([kept, torch.addcmul(shift, changed, scale)], dim=1)
