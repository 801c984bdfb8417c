"""Statistics of natural scenes: what NIQE and BRISQUE share of the authors' MATLAB."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma
from torch import Tensor

Array = NDArray[np.float64]

_WINDOW = 7
_SIGMA = 7 / 6
_FLAT = 1e-9
_RESIDUE = 1e-14
# In hexadecimal, because here the last bit counts: correctly rounded, but for tap 1 of the one and tap 2 of the other.
_COLUMN = tuple(
    float.fromhex(f"0x1.{tap}")
    for tap in (
        "9b92991f24881p-7",
        "42e11ca517a5fp-4",
        "e5fb7c557fad1p-3",
        "5edacbc602378p-2",
        "e5fb7c557fad1p-3",
        "42e11ca517a60p-4",
        "9b92991f24881p-7",
    )
)
_ROW = tuple(
    float.fromhex(f"0x1.{tap}")
    for tap in (
        "9b92991f24881p-7",
        "42e11ca517a60p-4",
        "e5fb7c557fad0p-3",
        "5edacbc602378p-2",
        "e5fb7c557fad1p-3",
        "42e11ca517a60p-4",
        "9b92991f24881p-7",
    )
)
_GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""MATLAB's ``rgb2gray``: the first row of the inverse of its YIQ matrix."""


def grey(pictures: Tensor) -> Tensor:
    """MATLAB's ``rgb2gray`` on 0..255, not rounded, (N, 3, H, W) in [0, 1] -> (N, H, W)."""
    red, green, blue = pictures.unbind(1)
    return 255 * (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)


def normalised(plane: Array, border: int) -> Array:
    """Pixels less their local mean, over their local deviation plus one (NIQE, equation 1).

    In a flat area the difference is nothing but the rounding residue of the filter, but the fits count its sign, which
    moves the score of a picture with flat areas by several per cent, in MATLAB too. So that the scores are MATLAB's,
    and the same on every machine, a residue is given the sign that MATLAB's arithmetic seems to leave
    (:func:`_residue_signs`).

    Args:
        plane: (H, W), in flat areas a whole number of 0..255.
        border: OpenCV's flag for what lies beyond the border.
    """
    mean = _blurred(plane, border)
    deviation = np.sqrt(np.abs(_blurred(plane * plane, border) - mean * mean))
    difference = plane - mean
    flat = np.abs(difference) < _FLAT
    difference[flat] = _RESIDUE * _residue_signs()[np.rint(plane[flat]).astype(int)]
    return cast(Array, difference / (deviation + 1))


def _blurred(plane: Array, border: int) -> Array:
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA, cv2.CV_64F)
    return cast(Array, cv2.sepFilter2D(plane, -1, kernel, kernel, borderType=border))


@lru_cache(maxsize=1)
def _residue_signs() -> Array:
    """Sign of grey value - local mean in a flat area as MATLAB computes it, per grey value, (256,).

    MATLAB's filters split the window into a column and a row by its singular vectors; that the row, then the column,
    are applied by fused multiply-adds is inferred from its published scores. Each is emulated exactly. The last bits of
    two taps are fitted to the NIQE and BRISQUE of the five calibration pictures, of which four have flat areas: so
    fitted, NIQE is MATLAB's to 0.006 % and BRISQUE to 0.05 %; correctly rounded, to 0.6 % and 2.8 %; with residues of
    zero, to 0.6 % and 10 %. See docs/metric-definitions.md.
    """
    return np.array([np.sign(grey - _mean_of_flat(float(grey))) for grey in range(256)])


def _mean_of_flat(value: float) -> float:
    for factor in (_ROW, _COLUMN):
        total = Fraction(0)
        for tap in factor:
            total = Fraction(float(Fraction(tap) * Fraction(value) + total))
        value = float(total)
    return value


def halved(plane: Array) -> Array:
    """The plane at half size by MATLAB's ``imresize``: bicubic (a = -0.5) widened twofold, mirrored borders."""
    near = (0.5 + np.arange(4)) / 2  # distances of four taps on each side, in pixels of the half-size plane
    inner = (1.5 * near - 2.5) * near**2 + 1
    outer = ((-0.5 * near + 2.5) * near - 4) * near + 2
    side = np.where(near < 1, inner, outer)
    kernel = np.concatenate([side[::-1], side])
    kernel /= kernel.sum()
    blurred = cv2.sepFilter2D(plane, -1, kernel, kernel, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return cast(Array, blurred[::2, ::2])


def fit_asymmetric(samples: Array) -> tuple[Array, Array, Array]:
    """Fit asymmetric generalised Gaussians by their moments (Lasmar, Stitou, Berthoumieu 2009).

    Args:
        samples: (blocks, values).

    Returns:
        Shape, deviation below and above zero, each (blocks,); NaN deviations where a block lacks either sign.
    """
    negative, positive = np.minimum(samples, 0), np.maximum(samples, 0)
    left_squares, right_squares = _row_products(negative, negative), _row_products(positive, positive)
    absolute = (positive - negative).mean(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(left_squares / np.count_nonzero(negative, 1))
        right = np.sqrt(right_squares / np.count_nonzero(positive, 1))
        ratio = left / right
        moment = absolute**2 * samples.shape[1] / (left_squares + right_squares)
        moment *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    return _shape_of(moment), left, right


def fit_symmetric(samples: Array) -> tuple[float, float]:
    """Shape and deviation of a generalised Gaussian by its moments (Sharifi, Leon-Garcia 1995); not for zeros only."""
    shapes, moments = _shape_table()
    square = float(np.mean(samples**2))
    kurtosis = square / float(np.mean(np.abs(samples))) ** 2
    return float(shapes[np.argmin(np.abs(1 / moments - kurtosis))]), float(np.sqrt(square))


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
