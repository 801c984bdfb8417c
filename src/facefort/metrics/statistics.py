"""A mean or a share over pictures and how far to trust it; averages of a table's cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
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
    scores = _checked(values)
    _check_confidence(confidence)
    finite = scores[np.isfinite(scores)]
    infinite = len(scores) - len(finite)
    if len(finite) < 2:
        mean = float(finite[0]) if len(finite) else math.inf
        return Interval(mean, -math.inf, math.inf, len(finite), infinite)
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled_means(finite, resamples, seed), (tail, 1 - tail))
    return Interval(float(finite.mean()), float(low), float(high), len(finite), infinite)


class Proportion(NamedTuple):
    """A share of pictures with its Wilson interval.

    Attributes:
        share: hits / n; NaN where n is 0.
        low: lower end of the interval.
        high: upper end.
        hits: pictures that count.
        n: pictures judged.
        left_out: pictures that could not be judged and are in none of the numbers (no face found, masked away).
    """

    share: float
    low: float
    high: float
    hits: int
    n: int
    left_out: int = 0


def wilson(hits: int, n: int, *, confidence: float = 0.95, left_out: int = 0) -> Proportion:
    """Share of ``hits`` in ``n`` with the score interval of Wilson (1927), which is honest near 0 and 1.

    Args:
        hits: pictures that count.
        n: pictures judged.
        confidence: part of intervals that would hold the true share.
        left_out: pictures that could not be judged; carried along to be reported.

    Raises:
        UsageError: no picture was judged, more hits than pictures, or a confidence outside (0, 1).
    """
    _check_confidence(confidence)
    if n < 1:
        extra = f"; all {left_out} were left out" if left_out else "; the list is empty"
        raise UsageError(f"there is no picture to take a share of{extra}")
    if not 0 <= hits <= n:
        raise UsageError(f"{hits} of {n} pictures is no share; hits lie between 0 and {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding must not leave [0, 1], nor the share its own interval.
    return Proportion(
        share, min(max(0.0, middle - half), share), max(min(1.0, middle + half), share), hits, n, left_out
    )


class Average(NamedTuple):
    """The average of a table's cells.

    Attributes:
        macro: unweighted mean over cells, which papers print.
        weighted: mean over pictures: each cell counts as often as it has pictures.
        cells: finite cells, which both are over.
        n: pictures in them.
        n_infinite: infinite cells left out.
    """

    macro: float
    weighted: float
    cells: int
    n: int
    n_infinite: int


def average_cells(values: Sequence[float], counts: Sequence[int]) -> Average:
    """Average the cells of a table in both ways.

    Args:
        values: mean or share of each cell.
        counts: pictures of each cell.

    Raises:
        UsageError: no cell, as many counts as values are not given, or a cell without pictures.
        ModelError: a cell is NaN or -inf, so what made it has failed.
    """
    if len(values) != len(counts):
        raise UsageError(f"{len(values)} cells and {len(counts)} counts do not go together; give one count per cell")
    if min(counts, default=1) < 1:
        raise UsageError("a cell has no pictures; leave it out of the table")
    cells, weights = _checked(values, "cells"), np.asarray(counts, dtype=np.float64)
    finite = np.isfinite(cells)
    infinite = int(np.count_nonzero(~finite))
    if infinite == len(cells):
        return Average(math.inf, math.inf, 0, 0, infinite)
    cells, weights = cells[finite], weights[finite]
    macro, weighted = float(cells.mean()), float(cells @ weights / weights.sum())
    return Average(macro, weighted, len(cells), int(weights.sum()), infinite)


def _checked(values: Iterable[float], what: str = "scores") -> NDArray[np.float64]:
    """The values as an array, none of them broken."""
    scores = np.asarray(list(values), dtype=np.float64)
    if not len(scores):
        raise UsageError(f"there is no {what.removesuffix('s')} to average; the list of pictures is empty")
    broken = int(np.count_nonzero(np.isnan(scores) | np.isneginf(scores)))
    if broken:
        raise ModelError(f"{broken} of {len(scores)} {what} are NaN or -inf; find and fix what made them")
    return scores


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence lies between 0 and 1, for instance 0.95, not {confidence}")


def resampled_means(
    values: NDArray[np.float64], resamples: int, seed: int | np.random.SeedSequence
) -> NDArray[np.float64]:
    """Means of ``resamples`` draws with replacement, in pieces that bound the memory."""
    rng = np.random.default_rng(seed)
    piece = max(1, _DRAWN_AT_ONCE // len(values))
    means = np.empty(resamples)
    for start in range(0, resamples, piece):
        count = min(piece, resamples - start)
        means[start : start + count] = values[rng.integers(len(values), size=(count, len(values)))].mean(1)
    return means
