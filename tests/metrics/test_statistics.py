from __future__ import annotations

import math

import numpy as np
import pytest

from facefort.errors import ModelError, UsageError
from facefort.metrics.statistics import mean_ci


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
