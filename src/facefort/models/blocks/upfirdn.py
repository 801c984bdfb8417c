"""FIR resampling as StyleGAN2 does it: insert zeros, pad, filter, drop samples ("upfirdn").

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020. Every filter here is a depthwise
convolution, which runs at the speed of memory where channels lie last; any filter a checkpoint brings is applied as
it stands, separable or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEFAULT_TAPS = (1.0, 3.0, 3.0, 1.0)


def make_kernel(taps: Sequence[float], gain: float = 1.0) -> Tensor:
    """The square filter of one-dimensional ``taps``, of sum ``gain``."""
    line = torch.tensor(tuple(taps), dtype=torch.float32)
    kernel = torch.outer(line, line)
    return kernel / kernel.sum() * gain


def upfirdn2d(
    x: Tensor,
    kernel: Tensor,
    up: int = 1,
    down: int = 1,
    pad: tuple[int, int] = (0, 0),
    bias: Tensor | None = None,
) -> Tensor:
    """Insert ``up`` - 1 zeros after each sample, pad, convolve with ``kernel``, keep each ``down``-th sample.

    Args:
        x: (N, C, H, W).
        kernel: (K, L), the same for every channel. A true convolution: the kernel is turned by half a turn.
        up: factor of up-sampling.
        down: factor of down-sampling.
        pad: zeros before and after, along both sides; a negative number crops.
        bias: (C,), added to the result.

    Returns:
        (N, C, H', W') with H' = (H * up + before + after - K) // down + 1.
    """
    before, after = pad
    rows, columns = kernel.shape
    channels = x.shape[1]
    if up == 1:
        filters = kernel.flip(0, 1).to(x.dtype).expand(channels, 1, rows, columns)
        even = before == after and before >= 0
        if not even:
            x = F.pad(x, (before, after, before, after))
        return F.conv2d(x, filters, bias, stride=down, padding=before if even else 0, groups=channels)
    filters = kernel.to(x.dtype).expand(channels, 1, rows, columns)
    full = F.conv_transpose2d(x, filters, stride=up, groups=channels)
    # `full` begins where a single sample lies under the kernel; the pads move that beginning and the end.
    left, top = before - columns + 1, before - rows + 1
    right, bottom = up + after - columns, up + after - rows
    out = F.pad(full, (left, right, top, bottom))[:, :, ::down, ::down]
    return out if bias is None else out + bias.to(out.dtype)[:, None, None]


class Blur(nn.Module):
    """A filter that keeps the sampling rate; it goes before a strided convolution or after a transposed one.

    Args:
        taps: the filter along one side.
        pad: zeros before and after.
        upsample_factor: the filter's gain is this squared: it makes good for inserted zeros.
    """

    kernel: Tensor

    def __init__(self, taps: Sequence[float], pad: tuple[int, int], upsample_factor: int = 1) -> None:
        super().__init__()
        self.register_buffer("kernel", make_kernel(taps, upsample_factor**2))
        self.pad = pad

    def forward(self, x: Tensor, gain: float = 1.0, bias: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> the filtered signal times ``gain`` plus ``bias`` (C,)."""
        return upfirdn2d(x, self.kernel * gain, pad=self.pad, bias=bias)


class Upsample(nn.Module):
    """Doubling with a filter."""

    kernel: Tensor

    def __init__(self, taps: Sequence[float], factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("kernel", make_kernel(taps, factor**2))
        spare = len(taps) - factor
        self.pad = ((spare + 1) // 2 + factor - 1, spare // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H * factor, W * factor)."""
        return upfirdn2d(x, self.kernel, up=self.factor, pad=self.pad)
