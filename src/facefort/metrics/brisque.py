"""BRISQUE: quality from a picture's statistics, learnt from people's opinions (Mittal, Moorthy, Bovik 2012).

The authors' MATLAB release: the grey picture (``rgb2gray``), two scales, and a support vector regression that was
trained on the LIVE database; from 0 (best) to 100, with some room on either side. Its features pass through text files
on their way to LIBSVM, six decimals in the first and six digits in the second, and are rounded here likewise.
Of flat areas, see :func:`facefort.metrics.scenes.normalised`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.special import gamma
from torch import Tensor

from facefort import assets
from facefort.errors import PictureError, WeightsError
from facefort.metrics.metric import Metric
from facefort.metrics.scenes import Array, fit_asymmetric, fit_symmetric, grey, halved, normalised

_SMALLEST = 14
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (-1, 1))
"""Steps (down, right) to the neighbours whose products with a pixel are looked at."""
_HEAD = {"svm_type": "epsilon_svr", "kernel_type": "rbf", "gamma": "0.05", "rho": "-153.591"}
"""The lines of the model file that the code below relies on."""

# Smallest and largest value of each feature in training, to which the model's inputs are scaled: the release's file
# "allrange". Rows: the first scale, the second.
_LOWEST = (
    0.338,
    0.017204,
    0.236,
    -0.123884,
    0.000155,
    0.001122,
    0.244,
    -0.123586,
    0.000152,
    0.000975,
    0.249,
    -0.135687,
    0.000174,
    0.000913,
    0.258,
    -0.143408,
    0.000179,
    0.000888,
    0.471,
    0.012809,
    0.218,
    -0.094876,
    1.5e-05,
    0.001272,
    0.222,
    -0.115772,
    1.6e-05,
    0.001374,
    0.227,
    -0.117188,
    3e-05,
    0.001122,
    0.228,
    -0.12243,
    2.8e-05,
    0.001118,
)
_HIGHEST = (
    10.0,
    0.806612,
    1.642,
    0.20293,
    0.712298,
    0.470257,
    1.641,
    0.179083,
    0.710456,
    0.470984,
    1.555,
    0.100858,
    0.684173,
    0.534174,
    1.561,
    0.100486,
    0.685696,
    0.536508,
    3.264,
    0.703171,
    1.046,
    0.187459,
    0.442057,
    0.40803,
    1.042,
    0.162604,
    0.444362,
    0.40243,
    0.996,
    0.098323,
    0.531903,
    0.369589,
    0.99,
    0.098658,
    0.530092,
    0.370399,
)


class _Machine(NamedTuple):
    """A support vector regression with a radial kernel."""

    coefficients: Array
    vectors: Array
    gamma: float
    bias: float


def brisque(pictures: Tensor, _reference: Tensor) -> Tensor:
    """BRISQUE per picture, (N,) float64.

    Raises:
        PictureError: a picture is constant.
        WeightsError: the model is not fetched, or damaged.
    """
    planes = (grey(picture.double()).round()[0].numpy() for picture in torch.split(pictures.detach().cpu(), 1))
    return torch.tensor([_score(plane) for plane in planes], dtype=torch.float64, device=pictures.device)


def _score(plane: Array) -> float:
    if plane.max() == plane.min():
        raise PictureError("brisque was given a picture of one grey, which has no statistics; leave flat pictures out")
    features = np.array([*_features(plane), *_features(halved(plane))]).round(6)
    low, high = np.array(_LOWEST), np.array(_HIGHEST)
    scaled = np.array([float(f"{value:.6g}") for value in 2 * (features - low) / (high - low) - 1])
    machine = _machine()
    distances = np.square(machine.vectors - scaled).sum(1)
    return float(machine.coefficients @ np.exp(-machine.gamma * distances) - machine.bias)


def _features(plane: Array) -> list[float]:
    """The 18 features of one scale."""
    normal = normalised(plane, cv2.BORDER_CONSTANT)
    shape, deviation = fit_symmetric(normal)
    features = [shape, deviation**2]
    for offset in _NEIGHBOURS:
        products = (normal * np.roll(normal, offset, (0, 1))).reshape(1, -1)
        shape, left, right = (float(value[0]) for value in fit_asymmetric(products))
        mean = (right - left) * gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
        features += [shape, mean, left**2, right**2]
    return features


@lru_cache(maxsize=1)
def _machine() -> _Machine:
    return _read(assets.path("brisque"))


def _read(path: Path) -> _Machine:
    """Read LIBSVM's text format, which holds nothing but numbers."""
    head, found, body = path.read_text(encoding="ascii", errors="replace").partition("\nSV\n")
    settings = dict(re.findall(r"^(\w+) (\S+)$", head, re.MULTILINE))
    try:
        if not found or any(settings.get(key) != value for key, value in _HEAD.items()):
            raise ValueError("another head")
        rows = [line.split() for line in body.splitlines()]
        coefficients = np.array([float(row[0]) for row in rows])
        vectors = np.zeros((len(rows), len(_LOWEST)))
        for vector, row in zip(vectors, rows, strict=True):
            for item in row[1:]:
                place, value = item.split(":")
                vector[int(place) - 1] = float(value)
    except (ValueError, IndexError) as error:
        raise WeightsError(f"{path.name} is damaged; run `facefort weights fetch brisque`") from error
    return _Machine(coefficients, vectors, float(settings["gamma"]), float(settings["rho"]))


BRISQUE = Metric(
    name="brisque",
    direction="lower",
    range=(float("-inf"), float("inf")),
    needs_reference=False,
    variant="authors' MATLAB release: rounded grey, two scales, regression trained on LIVE",
    reference="MATLAB values of five TID2013 pictures (pyiqa's calibration)",
    compute=brisque,
    differentiable=False,
    smallest=_SMALLEST,
)
