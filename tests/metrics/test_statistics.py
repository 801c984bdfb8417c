from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from facefort.errors import ModelError, UsageError
from facefort.metrics.statistics import average_cells, mean_ci, wilson


def test_the_interval_of_normal_scores_is_that_of_theory() -> None:
    scores = np.random.default_rng(0).normal(30, 2, 400)
    found = mean_ci(scores)
    half = 1.96 * scores.std() / math.sqrt(400)
    assert found.mean == pytest.approx(scores.mean())
    assert found.low == pytest.approx(scores.mean() - half, abs=0.03)
    assert found.high == pytest.approx(scores.mean() + half, abs=0.03)
    assert (found.n, found.n_infinite) == (400, 0)


def test_it_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [mean_ci(rng.exponential(1, 60), confidence=0.8, resamples=300) for _ in range(300)]
    assert 0.72 < np.mean([low <= 1 <= high for _, low, high, _, _ in intervals]) < 0.86


def test_equal_seeds_give_equal_intervals_however_the_draws_are_split(monkeypatch) -> None:
    scores = np.random.default_rng(2).random(50).tolist()
    whole = mean_ci(scores, seed=3)
    assert mean_ci(iter(scores), seed=3) == whole
    assert mean_ci(scores, seed=4) != whole
    monkeypatch.setattr("facefort.metrics.statistics._DRAWN_AT_ONCE", 120)
    assert mean_ci(scores, seed=3) == whole


def test_infinite_scores_are_counted_and_left_out() -> None:
    found = mean_ci([30.0, math.inf, 32.0, math.inf])
    assert (found.mean, found.n, found.n_infinite) == (31.0, 2, 2)
    assert 30 <= found.low <= found.high <= 32


def test_equal_pictures_only_give_an_infinite_mean() -> None:
    assert mean_ci([math.inf, math.inf]) == (math.inf, -math.inf, math.inf, 0, 2)


def test_one_score_says_nothing_of_its_spread() -> None:
    assert mean_ci([4.0]) == (4.0, -math.inf, math.inf, 1, 0)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_broken_score_is_never_averaged(bad: float) -> None:
    with pytest.raises(ModelError, match="1 of 3 scores"):
        mean_ci([1.0, bad, 2.0])


def test_nothing_to_average_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="no score"):
        mean_ci([])
    with pytest.raises(UsageError, match="confidence"):
        mean_ci([1.0, 2.0], confidence=95)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits: int, n: int, low: float, high: float) -> None:
    found = wilson(hits, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert (found.share, found.hits, found.n) == (hits / n, hits, n)


def test_wilson_is_scipys() -> None:
    for hits, n in ((3, 7), (180, 180), (1711, 1711), (1, 407)):
        theirs = binomtest(hits, n).proportion_ci(0.9, "wilson")
        ours = wilson(hits, n, confidence=0.9)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_a_share_of_nothing_is_refused_and_says_what_was_left_out() -> None:
    assert wilson(1, 2, left_out=3).left_out == 3
    with pytest.raises(UsageError, match="all 4 were left out"):
        wilson(0, 0, left_out=4)
    with pytest.raises(UsageError, match="no share"):
        wilson(3, 2)


def test_averages_of_cells() -> None:
    found = average_cells([10.0, 20.0, 60.0], [1, 1, 8])
    assert found == (30.0, 51.0, 3, 10, 0)
    assert average_cells([10.0, math.inf], [1, 5]) == (10.0, 10.0, 1, 1, 1)
    assert average_cells([math.inf], [5]) == (math.inf, math.inf, 0, 0, 1)
    with pytest.raises(ModelError, match="1 of 2 cells are NaN"):
        average_cells([1.0, math.nan], [1, 1])
    with pytest.raises(UsageError, match="one count per cell"):
        average_cells([1.0], [1, 2])
    with pytest.raises(UsageError, match="no pictures"):
        average_cells([1.0], [0])
