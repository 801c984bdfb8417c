"""NIQE: how far a picture's statistics lie from those of pristine photographs (Mittal, Soundararajan, Bovik 2013).

The authors' MATLAB release: blocks of 96 px at full size and of 48 px at half size (MATLAB's antialiased bicubic), and
the pristine model that was released with the paper. MATLAB's own built-in ``niqe`` differs from it by design. Three
variants, whose numbers must not be compared:

- ``niqe``: of the grey picture, as the release converts colour (``rgb2gray``, rounded).
- ``niqe-y``: of the luma of YCbCr, 16 to 235; what BasicSR, and so the tables of GFP-GAN and VQFR, computed.
- ``niqe-pooled``: for pictures too small for two whole blocks, with blocks that overlap.

Of flat areas, see :func:`facefort.metrics.scenes.normalised`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
from scipy.special import gamma
from torch import Tensor

from facefort import assets
from facefort.errors import PictureError, WeightsError
from facefort.metrics.colour import luma
from facefort.metrics.metric import Definition, Metric
from facefort.metrics.scenes import Array, fit_asymmetric, grey, halved, normalised

Plane = Callable[[Tensor], Tensor]
"""(N, 3, H, W) in [0, 1] -> (N, H, W) in 0..255."""

_BLOCK = 96
_SMALLEST = 2 * _BLOCK
_POOLED_STEP = 16
_POOLED_SMALLEST = _BLOCK + _POOLED_STEP
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
    planes = (plane(picture.double()).round()[0].numpy() for picture in torch.split(pictures.detach().cpu(), 1))
    return torch.tensor([_score(each, step) for each in planes], dtype=torch.float64, device=pictures.device)


def _luma(pictures: Tensor) -> Tensor:
    return 255 * luma(pictures).squeeze(1)


def _score(plane: Array, step: int) -> float:
    rows, columns = ((side - _BLOCK) // step * step + _BLOCK for side in plane.shape)
    plane = np.ascontiguousarray(plane[:rows, :columns])
    features = np.hstack([_features(plane, _BLOCK, step), _features(halved(plane), _BLOCK // 2, step // 2)])
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
    normal = normalised(plane, cv2.BORDER_REPLICATE)
    windows = np.lib.stride_tricks.sliding_window_view(normal, (size, size))[::step, ::step]
    blocks = windows.reshape(-1, size, size)
    shape, left, right = _scales(blocks)
    features = [shape, (left + right) / 2]
    for offset in _NEIGHBOURS:
        shape, left, right = _scales(blocks * np.roll(blocks, offset, (1, 2)))
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, mean, left, right]
    return np.stack(features, 1)


def _scales(blocks: Array) -> tuple[Array, Array, Array]:
    """Shape and both scales of each block."""
    shape, left, right = fit_asymmetric(blocks.reshape(len(blocks), -1))
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


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
    "MATLAB values of five TID2013 pictures (pyiqa's calibration), within 0.01 %; flat areas fitted to them",
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
