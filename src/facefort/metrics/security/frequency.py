"""How far a trigger moves a picture in low and in high frequencies."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from facefort.errors import UsageError
from facefort.metrics.security.checks import check_pictures

Window = Literal["square", "gaussian"]

_LEVELS = 255.0


class FrequencyDistance(NamedTuple):
    """Mean squared error per picture on the scale 0-255, (N,) each; with a square window they add up to the MSE."""

    low: Tensor
    high: Tensor


def frequency_distance(
    pictures: Tensor, reference: Tensor, beta: float = 0.1, window: Window = "square"
) -> FrequencyDistance:
    """Split both pictures into low and high frequencies and compare each part; differentiable.

    The split is FIBA's (Feng et al., CVPR 2022; HazardFY/FIBA): a window of (2b + 1) x (2b + 1) around the zero of the
    shifted spectrum, b = floor(beta * min(H, W)), is low, the rest is high. The paper of AS-FIBA (arXiv 2403.06430,
    table IV) prints such a distance without its definition; here both parts go back to pictures, and their mean squared
    error is taken over pixels and channels. By Parseval's theorem that is a sum over the spectrum of the difference, so
    nothing is transformed back.

    Args:
        pictures: (N, 3, H, W) in [0, 1].
        reference: the same shape.
        beta: size of the window as a share of the shorter side.
        window: "square", or "gaussian" for a low-pass exp(-d^2 / (2 b^2)), d in cycles per picture, and its complement,
            which share their edge and do not add up to the MSE.

    Raises:
        UsageError: beta outside (0, 0.5], or an unknown window.
        PictureError: not two such batches of one size.
    """
    check_pictures("freq-low/freq-high", pictures, reference)
    low = low_pass(pictures.shape[2], pictures.shape[3], beta, window).to(pictures)
    spectrum = torch.fft.fft2((pictures - reference.to(pictures)) * _LEVELS).abs().square()
    # Twice 1 / HW: one of Parseval's theorem, one of the mean.
    scale = 1.0 / (pictures.shape[2] * pictures.shape[3]) ** 2
    return FrequencyDistance(*((spectrum * part.square()).sum((2, 3)).mean(1) * scale for part in (low, 1 - low)))


def low_pass(height: int, width: int, beta: float, window: Window = "square") -> Tensor:
    """Weight of every frequency in the low part, (H, W) float32, laid out as ``torch.fft.fft2`` does."""
    if not 0 < beta <= 0.5:
        raise UsageError(f"beta is a share of the shorter side between 0 and 0.5, not {beta:g}")
    b = math.floor(min(height, width) * beta)
    rows = (torch.fft.fftfreq(height, 1 / height).round()).abs()
    columns = (torch.fft.fftfreq(width, 1 / width).round()).abs()
    if window == "square":
        return ((rows[:, None] <= b) & (columns <= b)).float()
    if window == "gaussian":
        return torch.exp(-(rows[:, None].square() + columns.square()) / (2 * max(b, 1) ** 2))
    raise UsageError(f"unknown window '{window}'; known: gaussian, square")
