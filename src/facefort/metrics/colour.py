"""What is done to the colours of pictures before they are compared."""

from __future__ import annotations

from torch import Tensor

from facefort.errors import PictureError

_LUMA = (65.481, 128.553, 24.966)
_LUMA_OFFSET = 16.0


def luma(pictures: Tensor) -> Tensor:
    """Luma of ITU-R BT.601 as MATLAB's ``rgb2ycbcr`` has it, (N, 3, H, W) -> (N, 1, H, W) in [16, 235] / 255."""
    red, green, blue = pictures[:, :1], pictures[:, 1:2], pictures[:, 2:]
    a, b, c = (weight / 255 for weight in _LUMA)
    return a * red + b * green + c * blue + _LUMA_OFFSET / 255


def corrected(pictures: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pictures whose channels have the reference's means and deviations, not clipped, float64.

    VQFR's ``metric_paper/calculate_psnr_ssim.py``, and so presumably the tables of GFP-GAN: twice, it sets the mean and
    then scales from zero; the second time mends the mean that the first has scaled. Here that is one step. With a mask
    (N, 1, H, W) in [0, 1], means and deviations are those under it, and so is what the correction is meant for.

    Raises:
        PictureError: a channel is constant, so it has no deviation to divide by.
    """
    centred, _, deviation = _standard(pictures.double(), mask)
    _, mean, goal = _standard(reference.double(), mask)
    return centred * (goal / deviation) + mean


def _standard(signal: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Signal less its mean, mean and deviation of each channel."""
    low, high = signal.detach().amin((2, 3)), signal.detach().amax((2, 3))
    if not bool((high > low).all()):
        raise PictureError("a mean/variance-corrected metric needs three channels that vary; one is constant")
    mean = mean_under(signal, mask)
    centred = signal - mean
    deviation = mean_under(centred.square(), mask).sqrt()
    if mask is not None and not bool((deviation > 0).all()):
        raise PictureError("a mean/variance-corrected metric needs three channels that vary under the mask")
    return centred, mean, deviation


def mean_under(signal: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of each channel (N, C, 1, 1), weighted by a mask (N, 1, H, W) where there is one."""
    if mask is None:
        return signal.mean((2, 3), keepdim=True)
    weight = mask.to(signal)
    return (signal * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
