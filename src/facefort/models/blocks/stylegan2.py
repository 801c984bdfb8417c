"""StyleGAN2 as published: equalised rates, FIR resampling, modulated convolutions.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020. Names of parameters are those of
the PyTorch port that the field's checkpoints come from (rosinality/stylegan2-pytorch).

Two things make it quick on a processor. The gain of the activation is positive, so it moves through the leaky ReLU
into the filter or the weights before it. And a modulated convolution scales whichever is smaller: the weights where
one picture has many pixels, the activations elsewhere, which also lets one convolution serve a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.upfirdn import DEFAULT_TAPS, Blur, Upsample

GAIN = math.sqrt(2)
SLOPE = 0.2
_DEMODULATION_EPSILON = 1e-8


def stylegan2_channels(multiplier: float = 2, narrow: float = 1) -> dict[int, int]:
    """Channels per resolution, 4 to 2048 px: 512 up to 32 px, then 256 x multiplier at 64 px and half at each doubling.

    Fractions are dropped, as in the official code; the epsilon keeps a product such as 63.999999 at its 64.
    """
    channels = dict.fromkeys((4, 8, 16, 32), int(512 * narrow + 1e-6))
    channels.update({2**i: int(256 * 64 / 2**i * multiplier * narrow + 1e-6) for i in range(6, 12)})
    return channels


def checked_log_size(size: int) -> int:
    """The power of two that ``size`` is.

    Raises:
        ValueError: no power of two from 8 to 2048.
    """
    log_size = int(math.log2(size)) if size > 0 else 0
    if 2**log_size != size or not 3 <= log_size <= 11:
        raise ValueError(f"the size must be a power of two from 8 to 2048, not {size}")
    return log_size


class PixelNorm(nn.Module):
    """Scale a vector to unit root-mean-square."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class FusedLeakyReLU(nn.Module):
    """Bias, leaky ReLU of slope 0.2, gain sqrt(2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape."""
        shape = (-1, *[1] * (x.ndim - 2))
        return F.leaky_relu(x + self.bias.to(x.dtype).view(shape), SLOPE) * GAIN


class EqualLinear(nn.Module):
    """Linear layer whose weights are scaled by their fan-in at run time, so that all layers learn at the same rate.

    Args:
        inputs: width of the input.
        outputs: width of the output.
        bias_init: what the bias begins with.
        lr_mul: learning rate of this layer relative to the others.
        activation: finish with the fused leaky ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, bias_init: float = 0.0, lr_mul: float = 1.0, activation: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias_init)))
        self.scale = lr_mul / math.sqrt(inputs)
        self.lr_mul = lr_mul
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D')."""
        out = F.linear(x * self.scale, self.weight, self.bias * self.lr_mul)
        return F.leaky_relu(out, SLOPE) * GAIN if self.activation else out


class EqualConv2d(nn.Module):
    """Convolution whose weights are scaled by their fan-in at run time."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel_size**2)
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor, gain: float = 1.0, bias: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> the convolution times ``gain``, plus ``bias`` (C',) in place of the layer's own."""
        bias = self.bias if bias is None else bias
        return F.conv2d(x, self.weight * (self.scale * gain), bias, self.stride, self.padding)


class ConvLayer(nn.Sequential):
    """Convolution, halved after a blur where ``downsample`` is set, with the fused leaky ReLU where ``activate`` is.

    Its layers are numbered as in the official state dict: the blur, the convolution, the activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        downsample: bool = False,
        taps: Sequence[float] = DEFAULT_TAPS,
        bias: bool = True,
        activate: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        if downsample:
            spare = len(taps) - 2 + kernel_size - 1
            layers.append(Blur(taps, ((spare + 1) // 2, spare // 2)))
        stride, padding = (2, 0) if downsample else (1, kernel_size // 2)
        layers.append(EqualConv2d(inputs, outputs, kernel_size, stride, padding, bias=bias and not activate))
        if activate:
            layers.append(FusedLeakyReLU(outputs))
        super().__init__(*layers)
        self.place, self.activate = int(downsample), activate

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W), or half of that with ``downsample``."""
        if self.place:
            x = self[0](x)
        convolution = self[self.place]
        if not self.activate:
            plain: Tensor = convolution(x)
            return plain
        activation = self[self.place + 1]
        assert isinstance(activation, FusedLeakyReLU)
        return F.leaky_relu(convolution(x, GAIN, activation.bias * GAIN), SLOPE, inplace=True)


class ModulatedConv2d(nn.Module):
    """Convolution whose weights are scaled per picture and input channel by a style.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel_size: odd.
        style_dim: width of the style.
        demodulate: scale each output channel back to unit weight norm.
        upsample: double the resolution: a transposed convolution, then a blur.
        taps: the blur along one side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        style_dim: int,
        demodulate: bool = True,
        upsample: bool = False,
        taps: Sequence[float] = DEFAULT_TAPS,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel_size, kernel_size))
        self.modulation = EqualLinear(style_dim, inputs, bias_init=1)
        self.scale = 1 / math.sqrt(inputs * kernel_size**2)
        self.padding = kernel_size // 2
        self.demodulate = demodulate
        spare = len(taps) - 2 - (kernel_size - 1)
        self.blur = Blur(taps, ((spare + 1) // 2 + 1, spare // 2 + 1), upsample_factor=2) if upsample else None

    def forward(self, x: Tensor, style: Tensor, gain: float = 1.0, bias: Tensor | None = None) -> Tensor:
        """Convolve.

        Args:
            x: (N, C, H, W).
            style: (N, D).
            gain: factor of the result.
            bias: (C',), added at the end.

        Returns:
            (N, C', H, W), doubled with ``upsample``.
        """
        modulation, demodulation = self._scales(style)
        alone = len(x) == 1 and x[0, 0].numel() > self.weight[0, 0, 0].numel() * self.weight.shape[1]
        weight = self.weight[0]
        if alone:
            weight = weight * modulation[0, :, None, None]
            if demodulation is not None:
                weight = weight * demodulation[0, :, None, None, None]
            return self._convolve(x, weight, gain, bias)
        x = x * modulation[:, :, None, None].to(x.dtype)
        if demodulation is None:
            return self._convolve(x, weight, gain, bias)
        out = self._convolve(x, weight, gain, None) * demodulation[:, :, None, None].to(x.dtype)
        return out if bias is None else out + bias.to(out.dtype)[:, None, None]

    def _scales(self, style: Tensor) -> tuple[Tensor, Tensor | None]:
        """Factors of the input channels (N, C) and of the output channels (N, C'), in the weights' own precision."""
        with torch.autocast(style.device.type, enabled=False):
            modulation = self.modulation(style.to(self.weight.dtype)) * self.scale
            if not self.demodulate:
                return modulation, None
            # One product of matrices: the squared weights, input channel by input channel with all of its taps.
            squares = modulation.square().repeat_interleave(self.weight[0, 0, 0].numel(), 1)
            norm = squares @ self.weight[0].square().flatten(1).t()
            return modulation, torch.rsqrt(norm + _DEMODULATION_EPSILON)

    def _convolve(self, x: Tensor, weight: Tensor, gain: float, bias: Tensor | None) -> Tensor:
        if self.blur is None:
            return F.conv2d(x, weight * gain if gain != 1 else weight, bias, padding=self.padding)
        # The transposed weights, channels last, by way of one transposed matrix: three times as fast as by permuting.
        outputs, inputs, rows, columns = weight.shape
        turned = weight.flatten(1).t().contiguous().view(inputs, rows, columns, outputs).permute(0, 3, 1, 2)
        out = F.conv_transpose2d(x, turned, stride=2)
        blurred: Tensor = self.blur(out, gain, bias)
        return blurred


class NoiseInjection(nn.Module):
    """The weight of the noise that enters after a convolution; :class:`StyledConv` applies it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias and activation.

    Args:
        inputs: input channels.
        outputs: channels of the convolution; the result has twice as many with ``isconcat``.
        kernel_size: odd.
        style_dim: width of the style.
        upsample: double the resolution.
        taps: the blur of up-sampling, along one side.
        isconcat: put the noise beside the activations (GPEN) rather than add it to them (StyleGAN2).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        style_dim: int,
        upsample: bool = False,
        taps: Sequence[float] = DEFAULT_TAPS,
        isconcat: bool = False,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, kernel_size, style_dim, upsample=upsample, taps=taps)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(outputs * 2 if isconcat else outputs)
        self.isconcat = isconcat

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """``noise`` has the size of the result, and its channels or one."""
        bias = self.activate.bias * GAIN
        weight = (self.noise.weight * GAIN).to(noise.dtype)
        if not self.isconcat:
            out = self.conv(x, style, GAIN, bias)
            return F.leaky_relu(out + weight * noise, SLOPE)
        half = len(bias) // 2
        out = self.conv(x, style, GAIN, bias[:half])
        shift = bias[half:, None, None].to(noise.dtype)
        return F.leaky_relu(_beside(out, noise.to(out.dtype), weight, shift), SLOPE, inplace=True)


def _beside(out: Tensor, noise: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
    """``out`` and ``noise`` * ``weight`` + ``shift`` along the channels; in one go where no gradient is asked."""
    if torch.is_grad_enabled():
        return torch.cat([out, torch.addcmul(shift, noise, weight)], 1)
    n, channels, height, width = out.shape
    layout = torch.channels_last if out.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    both = torch.empty((n, 2 * channels, height, width), dtype=out.dtype, device=out.device, memory_format=layout)
    both[:, :channels].copy_(out)
    torch.addcmul(shift, noise, weight, out=both[:, channels:])
    return both


class ToRGB(nn.Module):
    """Features to a picture, added to the doubled picture of the level below."""

    def __init__(
        self, inputs: int, style_dim: int, upsample: bool = True, taps: Sequence[float] = DEFAULT_TAPS
    ) -> None:
        super().__init__()
        self.upsample = Upsample(taps) if upsample else None
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, 3, H, W); ``skip`` has half that size."""
        out: Tensor = self.conv(x, style, bias=self.bias.flatten())
        if skip is None or self.upsample is None:
            return out
        doubled: Tensor = self.upsample(skip)
        return out + doubled


class ConstantInput(nn.Module):
    """The learned 4x4 picture that generation starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        """(batch, C, 4, 4)."""
        return self.input.expand(batch, -1, -1, -1)


class ResBlock(nn.Module):
    """Residual block of the discriminator: halves the resolution."""

    def __init__(self, inputs: int, outputs: int, taps: Sequence[float] = DEFAULT_TAPS) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3)
        self.conv2 = ConvLayer(inputs, outputs, 3, downsample=True, taps=taps)
        self.skip = ConvLayer(inputs, outputs, 1, downsample=True, taps=taps, bias=False, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / 2, W / 2)."""
        out: Tensor = self.conv2(self.conv1(x)) + self.skip(x)
        return out / GAIN
