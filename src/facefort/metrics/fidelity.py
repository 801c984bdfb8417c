"""How near a picture is to the clean one, pixel by pixel: PSNR and SSIM."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from facefort.metrics.metric import Metric

_WINDOW = 11
_SIGMA = 1.5
_RIM = _WINDOW - 1
_STRIP = 48
_BAND = 48
_C1 = 0.01**2
_C2 = 0.03**2


def psnr(pictures: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over all channels and pixels, in dB, (N,) float64.

    Equal pictures give inf, with gradient 0 where the true slope has no direction.
    """
    difference = pictures - reference
    # Short float32 means of rows are exact enough; the long mean over them is not left to float32.
    error = (difference * difference).mean(3).double().mean((1, 2))
    equal = error == 0
    return (-10 * error.masked_fill(equal, 1).log10()).masked_fill(equal, torch.inf)


def ssim(pictures: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), mean over pixels and channels, (N,) float32.

    The window is only placed where it fits whole. Strips of rows are done one after the other, so that a strip's maps
    stay in the processor's cache.
    """
    x, y = pictures.float().contiguous(), reference.float().contiguous()
    height, width = x.shape[2] - _RIM, x.shape[3] - _RIM
    total = x.new_zeros(len(x))
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP + _RIM)
        total = total + _ssim_map(x[:, :, rows], y[:, :, rows]).sum((1, 2, 3))
    return total / (3 * height * width)


def _ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """SSIM where the window fits, (N, 3, H, W) -> (N, 3, H - 10, W - 10).

    With s = x + y and d = x - y, squared means A of s and B of d, and variances P of s and Q of d, the formula's
    2 mx my is (A - B) / 2, mx^2 + my^2 is (A + B) / 2, and likewise for the (co)variances: four blurs instead of five,
    and no loss of digits where x and y are nearly equal.
    """
    combined = torch.cat((x + y, x - y), 1)
    means = _blur(combined)
    squared_means = means * means
    a, b = torch.split(squared_means, 3, 1)
    p, q = torch.split(_blur(combined * combined) - squared_means, 3, 1)
    a, p = a + 2 * _C1, p + 2 * _C2
    return (a - b) * (p - q) / ((a + b) * (p + q))


def _blur(maps: Tensor) -> Tensor:
    """Gaussian blur where the window fits whole, (N, C, H, W) -> (N, C, H - 10, W - 10).

    Products with small banded matrices: several times faster on a CPU than a depthwise convolution.
    """
    height, width = maps.shape[2] - _RIM, maps.shape[3] - _RIM
    down = _band(height).to(maps) @ maps
    parts = []
    for left in range(0, width, _BAND):
        count = min(_BAND, width - left)
        parts.append(down[..., left : left + count + _RIM] @ _band(count).T.to(maps))
    return torch.cat(parts, 3)


@lru_cache(maxsize=2 * _BAND)
def _band(count: int) -> Tensor:
    """Matrix that blurs ``count`` + 10 pixels to ``count``, float32."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    weights /= weights.sum()
    matrix = torch.zeros(count, count + _RIM, dtype=torch.float64)
    for row in range(count):
        matrix[row, row : row + _WINDOW] = weights
    return matrix.float()


PSNR_RGB = Metric(
    name="psnr-rgb",
    direction="higher",
    range=(0.0, float("inf")),
    needs_reference=True,
    variant="10 log10(1 / MSE) over R, G, B, no border cropped, float64; equal pictures: inf",
    reference="scikit-image peak_signal_noise_ratio; BasicSR calculate_psnr(crop_border=0)",
    compute=psnr,
    unit="dB",
)

SSIM_RGB = Metric(
    name="ssim-rgb",
    direction="higher",
    range=(-1.0, 1.0),
    needs_reference=True,
    variant="Gaussian 11 x 11, sigma 1.5, K1 0.01, K2 0.03, window inside the picture, mean of R, G, B",
    reference="BasicSR calculate_ssim(crop_border=0); scikit-image structural_similarity on the same region",
    compute=ssim,
    smallest=_WINDOW,
)
