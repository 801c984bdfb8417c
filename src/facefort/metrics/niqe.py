"""NIQE: how far a picture's statistics lie from those of pristine photographs (Mittal, Soundararajan, Bovik 2013).

The variant of the authors' MATLAB code as BasicSR ported it: the rounded luma channel, blocks of 96 px at full size and
of 48 px at half size (MATLAB's antialiased bicubic), and the pristine model that was released with the paper. MATLAB's
own built-in ``niqe`` and pyiqa's default differ from it by design.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gamma
from torch import Tensor

from facefort import assets
from facefort.errors import PictureError, WeightsError
from facefort.metrics.metric import Metric

Array = NDArray[np.float64]

_BLOCK = 96
_SMALLEST = 2 * _BLOCK
_WINDOW = 7
_SIGMA = 7 / 6
_FLAT = 1e-6
_LUMA = (65.481, 128.553, 24.966)
_LUMA_OFFSET = 16.0
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (down, right) to the neighbours whose products with a pixel are looked at."""


@dataclass(frozen=True)
class _Pristine:
    mean: Array
    covariance: Array


def niqe(pictures: Tensor, _reference: Tensor) -> Tensor:
    """NIQE per picture, (N,) float64; about 3 for a clean photograph, above 10 for a ruined one.

    Raises:
        PictureError: a picture has fewer than two blocks with texture.
        WeightsError: the pristine model is not fetched, or damaged.
    """
    red, green, blue = pictures.detach().unbind(1)
    luma = _LUMA_OFFSET + _LUMA[0] * red.double() + _LUMA[1] * green.double() + _LUMA[2] * blue.double()
    scores = [_score(plane) for plane in luma.round().cpu().numpy()]
    return torch.tensor(scores, dtype=torch.float64, device=pictures.device)


def _score(luma: Array) -> float:
    rows, columns = (side // _BLOCK * _BLOCK for side in luma.shape)
    plane = np.ascontiguousarray(luma[:rows, :columns])
    features = np.hstack([_features(plane, _BLOCK), _features(_halved(plane), _BLOCK // 2)])
    whole = features[~np.isnan(features).any(1)]
    if len(whole) < 2:
        raise PictureError(
            f"niqe needs two blocks of {_BLOCK} px with texture, this picture has {len(whole)}; leave flat pictures out"
        )
    pristine = _pristine()
    difference = pristine.mean - np.nanmean(features, 0)
    covariance = (pristine.covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference))


def _features(plane: Array, size: int) -> Array:
    """The 18 features of each block, (blocks, 18); NaN where a block is flat."""
    normal = _normalised(plane)
    rows, columns = normal.shape[0] // size, normal.shape[1] // size
    blocks = normal.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for step in _NEIGHBOURS:
        shape, left, right = _fit(blocks * np.roll(blocks, step, (1, 2)))
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, mean, left, right]
    return np.stack(features, 1)


def _normalised(plane: Array) -> Array:
    """Pixels less their local mean, over their local deviation plus one (equation 1)."""
    mean = _blurred(plane)
    deviation = np.sqrt(np.abs(_blurred(plane * plane) - mean * mean))
    difference = plane - mean
    # The fit counts signs, and the rounding noise of a flat area would be counted for one.
    difference[np.abs(difference) < _FLAT] = 0
    return difference / (deviation + 1)


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


NIQE = Metric(
    name="niqe",
    direction="lower",
    range=(0.0, float("inf")),
    needs_reference=False,
    variant="MATLAB release of the paper: rounded luma, 96 px blocks at two scales, released pristine model",
    reference="BasicSR calculate_niqe(crop_border=0), which is within 1e-4 of MATLAB R2021a",
    compute=niqe,
    differentiable=False,
    smallest=_SMALLEST,
)
