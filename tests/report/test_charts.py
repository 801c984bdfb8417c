"""Charts: marks where the numbers say, words for who cannot see them."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest

from facefort.report.charts import HEIGHT, WIDTH, Dots, Point, Series, Threshold, curve, nice_ticks, strip
from facefort.report.numbers import duration, plain, typeset

POINTS = tuple(Point(eps / 255, f"{eps}/255", 40 - eps, 39 - eps, 41 - eps, 8) for eps in (2, 4, 8))


def elements(svg: str, css: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(svg).iter() if one.get("class") == css]


def test_a_curve_falls_where_its_means_fall_and_keeps_its_scale() -> None:
    svg = curve("PSNR", "ε", "dB", [Series("a", POINTS)], [Threshold(20.0, "limit")])
    (line,) = [one for one in ElementTree.fromstring(svg).iter() if one.tag == "polyline"]
    places = [tuple(map(float, pair.split(","))) for pair in (line.get("points") or "").split()]
    xs, ys = zip(*places, strict=True)
    assert (xs[2] - xs[1]) / (xs[1] - xs[0]) == pytest.approx(2, abs=0.02)
    assert (ys[2] - ys[1]) / (ys[1] - ys[0]) == pytest.approx(2, abs=0.05)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places)
    (rule,) = [next(iter(one)) for one in elements(svg, "threshold")]
    assert float(rule.get("y1") or 0) > max(ys)


def test_a_chart_says_its_numbers_in_words() -> None:
    svg = curve("PSNR", "ε", "dB", [Series("a<b", POINTS)])
    assert ElementTree.fromstring(svg).get("aria-label") == (
        "PSNR: a<b 38.000 at 2/255, 36.000 at 4/255, 32.000 at 8/255"
    )


def test_a_curve_of_one_flat_point_at_zero_can_be_drawn() -> None:
    svg = curve("t", "x", "y", [Series("a", (Point(0.0, "0", 0.0, 0.0, 0.0, 1),))])
    assert not re.search("nan|inf", svg)


def test_a_strip_has_one_dot_per_value() -> None:
    svg = strip("t", [Dots("a", (1.0, 2.0, 4.0), 7 / 3), Dots("b", (2.0,), 2.0)], 2)
    root = ElementTree.fromstring(svg)
    assert [float(one.get("cx") or 0) for one in root.iter("circle")] == pytest.approx([8, 102.7, 292, 102.7], abs=0.06)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (19.3, 52.7), (-0.31, 0.002), (5.0, 5.0), (0.0, 0.0)])
def test_ticks_enclose_the_values_evenly(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(ticks)}
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert len(steps) == 1
    assert 2 <= len(ticks) <= 8


def test_numbers_read_well() -> None:
    assert plain(-0.0004, 3) == "0.000"
    assert plain(float("inf"), 2) == "∞"
    assert typeset(-1.5, 1) == "−1.5"
    assert typeset(0.25, 2, signed=True) == "+0.25"
    assert [duration(s) for s in (0.42, 38.2, 725, 12000)] == ["0.42 s", "38 s", "12 min 05 s", "3 h 20 min"]
