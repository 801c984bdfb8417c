"""NIQE: how far a picture's statistics lie from those of pristine photographs (Mittal, Soundararajan, Bovik 2013).

The authors' MATLAB release: blocks of 96 px at full size and of 48 px at half size (MATLAB's antialiased bicubic), and
the pristine model that was released with the paper. MATLAB's own built-in ``niqe`` differs from it by design. Three
variants, whose numbers must not be compared:

- ``niqe``: of the grey picture, as the release converts colour (``rgb2gray``, rounded).
- ``niqe-y``: of the luma of YCbCr, 16 to 235; what BasicSR, and so the tables of GFP-GAN and VQFR, computed.
- ``niqe-pooled``: for pictures too small for two whole blocks, with blocks that overlap.

Flat areas: there a pixel equals its local mean, and what the release computes for their difference is the rounding
residue of its filter. The fit counts the signs of those residues, which moves the score of a picture with flat areas
by up to 6 %, and from one machine to the next. Here they have the sign that the window's correctly rounded factor
leaves when it is applied twice by fused multiply-adds, on any machine. Of all arithmetics tried this natural one is
nearest to MATLAB: at most 0.3 % from it on the calibration pictures, of which most have flat areas; with residues of
zero it is 0.6 %, and equality to five digits on the picture that has none.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache, partial
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gamma
from torch import Tensor

from facefort import assets
from facefort.errors import PictureError, WeightsError
from facefort.metrics.colour import luma
from facefort.metrics.metric import Definition, Metric

Array = NDArray[np.float64]
Plane = Callable[[Tensor], Tensor]
"""(N, 3, H, W) in [0, 1] -> (N, H, W) in 0..255."""

_BLOCK = 96
_SMALLEST = 2 * _BLOCK
_WINDOW = 7
_SIGMA = 7 / 6
_FLAT = 1e-9
_RESIDUE = 1e-14
_POOLED_STEP = 16
_POOLED_SMALLEST = _BLOCK + _POOLED_STEP
_GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""MATLAB's ``rgb2gray``: the first row of the inverse of its YIQ matrix."""
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (down, right) to the neighbours whose products with a pixel are looked at."""


@dataclass(frozen=True)
class _Pristine:
    mean: Array
    covariance: Array


def niqe(pictures: Tensor, _reference: Tensor, *, plane: Plane, step: int = _BLOCK) -> Tensor:
    """NIQE per picture, (N,) float64; about 3 for a clean photograph, above 10 for a ruined one.

    Args:
        pictures: (N, 3, H, W).
        plane: what the statistics are taken of.
        step: distance of the blocks, in pixels.

    Raises:
        PictureError: a picture has fewer than two blocks with texture.
        WeightsError: the pristine model is not fetched, or damaged.
    """
    planes = plane(pictures.detach().double()).round().cpu().numpy()
    return torch.tensor([_score(each, step) for each in planes], dtype=torch.float64, device=pictures.device)


def grey(pictures: Tensor) -> Tensor:
    """MATLAB's ``rgb2gray`` on 0..255, (N, H, W), not rounded."""
    red, green, blue = pictures.unbind(1)
    return 255 * (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)


def _luma(pictures: Tensor) -> Tensor:
    return 255 * luma(pictures).squeeze(1)


def _score(plane: Array, step: int) -> float:
    rows, columns = ((side - _BLOCK) // step * step + _BLOCK for side in plane.shape)
    plane = np.ascontiguousarray(plane[:rows, :columns])
    features = np.hstack([_features(plane, _BLOCK, step), _features(_halved(plane), _BLOCK // 2, step // 2)])
    whole = features[~np.isnan(features).any(1)]
    if len(whole) < 2:
        raise PictureError(
            f"niqe needs two blocks of {_BLOCK} px with texture, this picture has {len(whole)}; leave flat pictures out"
        )
    pristine = _pristine()
    difference = pristine.mean - np.nanmean(features, 0)
    covariance = (pristine.covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference))


def _features(plane: Array, size: int, step: int) -> Array:
    """The 18 features of each block, (blocks, 18); NaN where a block is flat."""
    normal = _normalised(plane)
    windows = np.lib.stride_tricks.sliding_window_view(normal, (size, size))[::step, ::step]
    blocks = windows.reshape(-1, size, size)
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for offset in _NEIGHBOURS:
        shape, left, right = _fit(blocks * np.roll(blocks, offset, (1, 2)))
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, mean, left, right]
    return np.stack(features, 1)


def _normalised(plane: Array) -> Array:
    """Pixels less their local mean, over their local deviation plus one (equation 1)."""
    mean = _blurred(plane)
    deviation = np.sqrt(np.abs(_blurred(plane * plane) - mean * mean))
    difference = plane - mean
    flat = np.abs(difference) < _FLAT
    difference[flat] = _RESIDUE * _residue_signs()[np.rint(plane[flat]).astype(int)]
    return difference / (deviation + 1)


@lru_cache(maxsize=1)
def _residue_signs() -> Array:
    """Sign of what rounding leaves of grey value - local mean in a flat area, per grey value, (256,)."""
    with localcontext() as context:
        context.prec = 50
        variance = 2 * (Decimal(7) / 6) ** 2
        exact = [(-Decimal((tap - _WINDOW // 2) ** 2) / variance).exp() for tap in range(_WINDOW)]
        weights = [Fraction(float(weight / sum(exact))) for weight in exact]
    return np.array([np.sign(value - _mean_of_flat(float(value), weights)) for value in range(256)])


def _mean_of_flat(value: float, weights: list[Fraction]) -> float:
    """Both passes of the filter over a flat area, each a chain of multiply-adds that are rounded once."""
    for _ in range(2):
        total = Fraction(0)
        for weight in weights:
            total = Fraction(float(weight * Fraction(value) + total))
        value = float(total)
    return value


def _blurred(plane: Array) -> Array:
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA, cv2.CV_64F)
    return cast(Array, cv2.sepFilter2D(plane, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def _halved(plane: Array) -> Array:
    """The plane at half size by MATLAB's ``imresize``: bicubic (a = -0.5) widened twofold, mirrored borders."""
    near = (0.5 + np.arange(4)) / 2  # distances of four taps on each side, in pixels of the half-size plane
    inner = (1.5 * near - 2.5) * near**2 + 1
    outer = ((-0.5 * near + 2.5) * near - 4) * near + 2
    side = np.where(near < 1, inner, outer)
    kernel = np.concatenate([side[::-1], side])
    kernel /= kernel.sum()
    blurred = cv2.sepFilter2D(plane, -1, kernel, kernel, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return cast(Array, blurred[::2, ::2])


def _fit(blocks: Array) -> tuple[Array, Array, Array]:
    """Fit an asymmetric generalised Gaussian to each block by its moments (Lasmar, Stitou, Berthoumieu 2009).

    Args:
        blocks: (blocks, H, W).

    Returns:
        Shape, left scale and right scale, each (blocks,); NaN scales where a block lacks either sign.
    """
    values = blocks.reshape(len(blocks), -1)
    negative, positive = np.minimum(values, 0), np.maximum(values, 0)
    left_squares, right_squares = _row_products(negative, negative), _row_products(positive, positive)
    absolute = (positive - negative).mean(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(left_squares / np.count_nonzero(negative, 1))
        right = np.sqrt(right_squares / np.count_nonzero(positive, 1))
        ratio = left / right
        moment = absolute**2 * values.shape[1] / (left_squares + right_squares)
        moment *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = _shape_of(moment)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def _row_products(a: Array, b: Array) -> Array:
    return cast(Array, np.einsum("ij,ij->i", a, b))


def _shape_of(moment: Array) -> Array:
    """The tabulated shape whose moment is nearest; the first one for NaN, as MATLAB's ``min`` chooses."""
    shapes, moments = _shape_table()
    after = np.clip(np.searchsorted(moments, moment), 1, len(moments) - 1)
    nearest = np.where(moment - moments[after - 1] <= moments[after] - moment, after - 1, after)
    return shapes[np.where(np.isnan(moment), 0, nearest)]


@lru_cache(maxsize=1)
def _shape_table() -> tuple[Array, Array]:
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))


@lru_cache(maxsize=1)
def _pristine() -> _Pristine:
    path = assets.path("niqe-pristine")
    try:
        with np.load(path, allow_pickle=False) as stored:
            model = _Pristine(stored["mu_pris_param"].ravel(), stored["cov_pris_param"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path.name} is damaged; run `facefort weights fetch niqe-pristine`") from error
    return model


def _metric(name: str, variant: str, reference: str, smallest: int, compute: Definition) -> Metric:
    return Metric(
        name=name,
        direction="lower",
        range=(0.0, float("inf")),
        needs_reference=False,
        variant=f"{variant}, two scales, released pristine model",
        reference=reference,
        compute=compute,
        differentiable=False,
        smallest=smallest,
    )


NIQE = _metric(
    "niqe",
    "MATLAB release of the paper: rounded grey, 96 px blocks",
    "MATLAB values of five TID2013 pictures (pyiqa's calibration), within 0.3 %",
    _SMALLEST,
    partial(niqe, plane=grey),
)

NIQE_Y = _metric(
    "niqe-y",
    "as niqe, of the rounded luma of YCbCr (16 to 235), as in the tables of GFP-GAN and VQFR",
    "BasicSR calculate_niqe(crop_border=0)",
    _SMALLEST,
    partial(niqe, plane=_luma),
)

NIQE_POOLED = _metric(
    "niqe-pooled",
    f"as niqe, with a 96 px block every {_POOLED_STEP} px, for pictures below {_SMALLEST} px; not comparable with niqe",
    "none; equal to niqe where blocks do not overlap",
    _POOLED_SMALLEST,
    partial(niqe, plane=grey, step=_POOLED_STEP),
)
