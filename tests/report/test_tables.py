"""Tables: one result object in five forms, with the same numbers."""

import csv
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from facefort.errors import UnknownNameError
from facefort.metrics.statistics import mean_ci
from facefort.report import Condition, render, tabulate
from facefort.report.measures import MEASURES

PSNR, LPIPS = MEASURES["psnr-rgb"], MEASURES["lpips-alex"]
OURS, THEIRS = Condition("ours_<b>|&"), Condition("theirs")
SAMPLES = {
    OURS: {PSNR: [27.0, 28.0, 29.5], LPIPS: [0.2, 0.3]},
    THEIRS: {PSNR: [24.0, 25.0, 26.0], LPIPS: [0.1, 0.15]},
    Condition("gain", compared=False, signed=True): {PSNR: [3.0, 3.0, 3.5]},
}


def test_the_best_mean_depends_on_the_direction_and_a_difference_does_not_compete() -> None:
    table = tabulate("t", SAMPLES)
    best = {(one.name, m.name) for one in table.conditions for m in table.measures if table.is_best(one, m)}
    assert best == {(OURS.name, "psnr-rgb"), ("theirs", "lpips-alex")}


def test_one_condition_alone_is_not_best() -> None:
    assert not tabulate("t", {OURS: {PSNR: [1.0]}}).is_best(OURS, PSNR)


def test_markdown_has_arrows_intervals_bold_and_n() -> None:
    text = render(tabulate("t", SAMPLES), "md")
    low, high = mean_ci([27.0, 28.0, 29.5])[1:3]
    assert "| PSNR (dB) ↑ | LPIPS, AlexNet ↓ | n |" in text
    assert f"| ours\\_\\<b\\>\\|& | **28.17 [{low:.2f}, {high:.2f}]** | 0.250" in text
    assert "| gain | +3.17" in text
    assert text.rstrip().endswith("| – | 3 |")


def test_latex_escapes_names() -> None:
    text = render(tabulate("t", SAMPLES), "latex")
    assert r"ours\_<b>|\& & \textbf{28.17" in text
    assert r"PSNR (dB) $\uparrow$" in text
    assert text.count(r"\\") == 4


def test_csv_keeps_full_precision() -> None:
    lines = list(csv.DictReader(io.StringIO(render(tabulate("t", SAMPLES), "csv"))))
    assert len(lines) == 5
    assert float(lines[0]["mean"]) == np.mean([27.0, 28.0, 29.5])
    assert lines[0]["condition"] == OURS.name
    assert lines[0]["n"] == "3"


def test_json_is_strict_where_a_mean_is_infinite() -> None:
    text = render(tabulate("t", {OURS: {PSNR: [float("inf")]}}), "json")
    (cell,) = json.loads(text, parse_constant=pytest.fail)["cells"]
    assert cell["mean"] == "inf"
    assert (cell["n"], cell["n_infinite"]) == (0, 1)


def test_infinite_values_left_out_of_a_mean_are_told() -> None:
    table = tabulate("t", {OURS: {PSNR: [25.0, 25.0, float("inf")]}})
    assert "| 25.00 [25.00, 25.00], 1 at ∞ left out | 2 |" in render(table, "md")
    assert "1 at ∞ left out" in render(table, "html")
    assert "| ∞ | 2 |" in render(tabulate("t", {OURS: {PSNR: [float("inf")] * 2}}), "md")


def test_html_escapes_names_and_marks_the_best() -> None:
    text = render(tabulate("<i>", SAMPLES), "html")
    HTMLParser().feed(text)
    assert "ours_&lt;b&gt;|&amp;" in text
    assert "<caption>&lt;i&gt;</caption>" in text
    assert text.count('class="best"') == 2


def test_a_single_value_has_no_interval() -> None:
    table = tabulate("t", {OURS: {PSNR: [25.0]}})
    assert "| 25.00 | 1 |" in render(table, "md")
    assert "25.00</td>" in render(table, "html")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="xml"):
        render(tabulate("t", SAMPLES), "xml")
