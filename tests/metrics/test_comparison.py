from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from facefort.errors import ModelError, UsageError
from facefort.metrics.comparison import PairedScore, compare, compare_metrics, difference_ci, holm, pair_scores


def scores(values, suffix: str = ".png") -> dict[str, float]:
    return {f"{i:03d}{suffix}": float(value) for i, value in enumerate(values)}


def test_pictures_are_paired_by_stem_not_by_place() -> None:
    rows = pair_scores({"b.png": 1.0, "a.png": 2.0}, {"a.webp": 20.0, "b.jpg": 10.0})
    assert rows == [PairedScore("b", 1.0, 10.0), PairedScore("a", 2.0, 20.0)]


def test_a_missing_partner_is_a_row_that_says_so() -> None:
    rows = pair_scores({"a.png": 1.0, "b.png": 2.0}, {"b.png": 3.0, "c.png": 4.0})
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert (rows[0].b, rows[2].a) == (None, None)
    assert "a.png has no partner in the second" in rows[0].note
    assert "c.png has no partner in the first" in rows[2].note
    found = compare(rows, "higher")
    assert (found.unpaired, found.difference.n, found.difference.mean) == (2, 1, -1.0)


def test_a_shifted_list_is_never_paired_by_position() -> None:
    """VQFR's scripts zip two sorted lists: one missing file shifts every later pair."""
    rng = np.random.default_rng(0)
    values = rng.normal(30, 3, 50)
    a = scores(values)
    b = {name: value for name, value in a.items() if name != "000.png"}
    found = compare(pair_scores(a, b), "higher")
    assert found.difference.mean == 0
    assert (found.ties, found.unpaired) == (49, 1)


def test_ambiguous_names_and_broken_scores_are_refused() -> None:
    with pytest.raises(UsageError, match="same name"):
        pair_scores({"a.png": 1.0, "a.jpg": 2.0}, {"a.png": 1.0})
    with pytest.raises(ModelError, match=r"a\.png is NaN \(1 in all\)"):
        pair_scores({"a.png": math.nan}, {"a.png": 1.0})
    with pytest.raises(UsageError, match="share no picture"):
        compare(pair_scores({"a.png": 1.0}, {"b.png": 1.0}), "higher")


def test_the_p_value_is_scipys_and_the_interval_that_of_theory() -> None:
    rng = np.random.default_rng(1)
    b = rng.normal(25, 3, 200)
    a = b + rng.normal(0.3, 1, 200)
    found = compare(pair_scores(scores(a), scores(b)), "higher", resamples=4000)
    assert found.p_value == pytest.approx(stats.wilcoxon(a, b).pvalue)
    half = 1.96 * (a - b).std() / math.sqrt(200)
    assert found.difference.mean == pytest.approx((a - b).mean())
    assert found.difference.low == pytest.approx((a - b).mean() - half, abs=0.02)
    assert found.better() == "a"
    # Pairing is what makes it see so little among pictures that differ by so much more.
    assert difference_ci(list(a), list(b)).low < 0 < found.difference.low


def test_the_direction_decides_who_wins() -> None:
    rows = pair_scores(scores(np.arange(10) + 1), scores(np.arange(10)))
    up, down = compare(rows, "higher"), compare(rows, "lower")
    assert (up.wins, up.losses, up.effect) == (10, 0, 1.0)
    assert (down.wins, down.losses, down.effect) == (0, 10, -1.0)
    assert up.difference == down.difference
    assert up.p_value == down.p_value
    assert (up.better(), down.better()) == ("a", "b")


def test_rank_biserial_by_hand() -> None:
    # |d| = 1, 2, 3, 4 with signs + + - +: (1 + 2 + 4 - 3) / 10
    rows = pair_scores(scores([1, 2, -3, 4]), scores([0, 0, 0, 0]))
    assert compare(rows, "higher").effect == pytest.approx(0.4)


def test_equal_models_are_neither_better() -> None:
    rows = pair_scores(scores([1, 2, math.inf]), scores([1, 2, math.inf]))
    found = compare(rows, "higher")
    assert (found.wins, found.losses, found.ties) == (0, 0, 3)
    assert (found.p_value, found.effect, found.better()) == (1.0, 0.0, "neither")
    assert found.difference.mean == 0


def test_an_infinite_score_is_a_win_but_has_no_place_in_the_mean() -> None:
    rows = pair_scores(scores([math.inf, 31, 32]), scores([30, 30, 30]))
    found = compare(rows, "higher")
    assert (found.wins, found.difference.n, found.difference.n_infinite) == (3, 2, 1)
    assert found.difference.mean == 1.5
    # Its rank is the largest one: against two small losses it still carries half of the rank sum.
    mixed = compare(pair_scores(scores([math.inf, 29, 28]), scores([30, 30, 30])), "higher")
    assert mixed.effect == pytest.approx((3 - 1 - 2) / 6)


def test_holm_as_r_computes_it() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(found) == ["a", "b", "c", "d"]
    assert holm({}) == {}
    with pytest.raises(ModelError, match="no probability"):
        holm({"a": math.nan})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_the_value_and_bonferroni(values: list[float]) -> None:
    found = list(holm({str(i): value for i, value in enumerate(values)}).values())
    for value, adjusted in zip(values, found, strict=True):
        assert value <= adjusted <= min(1.0, value * len(values)) + 1e-12
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [found[i] for i in order] == sorted(found)


def test_many_metrics_of_noise_seldom_show_a_difference() -> None:
    rng = np.random.default_rng(2)
    single = corrected = 0
    for _ in range(40):
        tables = {str(m): pair_scores(scores(rng.normal(size=20)), scores(rng.normal(size=20))) for m in range(8)}
        found = compare_metrics(tables, dict.fromkeys(tables, "higher"), resamples=10)
        single += any(each.p_value < 0.05 for each in found.values())
        corrected += any(each.better() != "neither" for each in found.values())
    assert single > 8
    assert corrected <= 6


def test_the_difference_of_two_sets_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for i in range(150):
        a, b = rng.normal(1, 1, 40), rng.normal(0, 2, 60)
        low, high = difference_ci(list(a), list(b), confidence=0.9, resamples=200, seed=i)[1:3]
        covered += low <= 1 <= high
    assert 0.82 < covered / 150 < 0.97
