"""A mean over pictures and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facefort.errors import ModelError, UsageError

_DRAWN_AT_ONCE = 1_000_000


class Interval(NamedTuple):
    """A mean with its bootstrap confidence interval.

    Attributes:
        mean: mean of the finite values; inf where every value is.
        low: lower end of the interval; -inf where fewer than two finite values say nothing of their spread.
        high: upper end; inf likewise.
        n: finite values, which the mean is over.
        n_infinite: infinite values left out of it (the PSNR of equal pictures).
    """

    mean: float
    low: float
    high: float
    n: int
    n_infinite: int


def mean_ci(values: Iterable[float], *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """Mean and percentile bootstrap interval (Efron 1979) of the scores of pictures.

    Args:
        values: one score per picture.
        confidence: part of intervals that would hold the true mean.
        resamples: bootstrap samples.
        seed: of the resampling; equal input and seed give equal output.

    Raises:
        UsageError: no value at all, or a confidence outside (0, 1).
        ModelError: a score is NaN or -inf, so what made it has failed.
    """
    scores = np.asarray(list(values), dtype=np.float64)
    if not len(scores):
        raise UsageError("there is no score to average; the list of pictures is empty")
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence lies between 0 and 1, for instance 0.95, not {confidence}")
    broken = int(np.count_nonzero(np.isnan(scores) | np.isneginf(scores)))
    if broken:
        raise ModelError(f"{broken} of {len(scores)} scores are NaN or -inf; find and fix what made them")
    finite = scores[np.isfinite(scores)]
    infinite = len(scores) - len(finite)
    if len(finite) < 2:
        mean = float(finite[0]) if len(finite) else math.inf
        return Interval(mean, -math.inf, math.inf, len(finite), infinite)
    tail = (1 - confidence) / 2
    low, high = np.quantile(_resampled_means(finite, resamples, seed), (tail, 1 - tail))
    return Interval(float(finite.mean()), float(low), float(high), len(finite), infinite)


def _resampled_means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Means of ``resamples`` draws with replacement, in pieces that bound the memory."""
    rng = np.random.default_rng(seed)
    piece = max(1, _DRAWN_AT_ONCE // len(values))
    means = np.empty(resamples)
    for start in range(0, resamples, piece):
        count = min(piece, resamples - start)
        means[start : start + count] = values[rng.integers(len(values), size=(count, len(values)))].mean(1)
    return means
