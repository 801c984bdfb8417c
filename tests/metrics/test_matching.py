from __future__ import annotations

import numpy as np
import pytest

from facefort.errors import ModelError, UsageError
from facefort.metrics.matching import matching


def test_the_rate_at_a_threshold_that_one_in_a_hundred_strangers_passes() -> None:
    found = matching([0.5, 1.5, 2.0, 9.0], np.arange(1, 201), far=0.01)
    assert found.threshold == 2.0
    assert found.far == 0.01
    assert (found.accepted.hits, found.accepted.n) == (3, 4)
    assert found.accepted.low < 0.75 < found.accepted.high


def test_the_rate_of_false_matches_is_never_above_what_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    for count in (37, 101, 640):
        others = rng.integers(0, 20, count) / 7.0  # with ties
        for far in (0.03, 0.1, 0.5):
            found = matching([1.0], others, far)
            assert found.far == (others <= found.threshold).mean() <= far
            above = others[others > found.threshold]
            assert (others <= above.min()).mean() > far


def test_separate_clouds_match_wholly_and_equal_ones_as_often_as_strangers() -> None:
    rng = np.random.default_rng(1)
    strangers = rng.normal(5, 1, 20_000)
    assert matching(rng.normal(0, 0.5, 100), strangers).accepted.share == 1.0
    assert matching(rng.normal(5, 1, 20_000), strangers).accepted.share == pytest.approx(0.01, abs=0.003)


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="it takes 100"):
        matching([1.0], np.arange(50))
    with pytest.raises(UsageError, match="no pairs of one person"):
        matching([], np.arange(200))
    with pytest.raises(UsageError, match="between 0 and 1"):
        matching([1.0], np.arange(200), far=1.0)
    with pytest.raises(ModelError, match="no number"):
        matching([1.0], [np.nan, *range(200)])
