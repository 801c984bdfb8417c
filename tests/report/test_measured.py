"""A measurement in five forms: the same numbers in each, and what is in no mean beside them."""

from __future__ import annotations

import csv
import io
import json
import math
from html.parser import HTMLParser

import pytest

from facefort.errors import UnknownNameError
from facefort.measuring.result import Facts, Measurement, PictureRow, summarise
from facefort.report import comparison, per_picture, render, render_measurement
from facefort.report.measured import FORMS

PSNR = Facts("psnr-rgb", "higher", (0.0, math.inf), "dB", "10 log10(1 / MSE)", "scikit-image", "picture")
ODD = Facts("odd_<b>|&", "lower", (0.0, 1.0), "", "a & b < c_d", "nothing", "picture")
ROWS = (
    PictureRow("a", "a.png", "a.png", 8, 8, {"psnr-rgb": 25.123456, "odd_<b>|&": 0.25}),
    PictureRow("b", "b.png", "b.png", 8, 8, {"psnr-rgb": math.inf, "odd_<b>|&": 0.75}, excluded={"odd_<b>|&": "why"}),
    PictureRow("c,\"x\"<script>", "c.png", "", 8, 8, {}, {"picture": "is | flat"}),
    PictureRow("d", "d.png", "d.png", 8, 8, {"psnr-rgb": 27.0}, {"odd_<b>|&": "no face"}),
)  # fmt: skip
INFO = {
    "facefort": "0",
    "verb": "measure",
    "status": "failed",
    "reason": "",
    "started": "2026-03-03T14:05:00+00:00",
    "ended": "2026-03-03T14:05:09+00:00",
    "seconds": 9.0,
    "command": "facefort measure out -r clean",
    "expected": 4,
    "counts": {"done": 2, "failed": 2, "left": 0},
    "provenance": {"seed": 0},
    "settings": {"test": "some/out", "reference": "clean/", "seed": 0},
}
FOUND = Measurement(ROWS, summarise((PSNR, ODD), ROWS, {}), {"deg": "bring it"}, ("a_note",), INFO)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_mean_and_what_is_in_no_mean(form):
    text = render_measurement(FOUND, form)
    assert "26.06" in text
    assert "deg" in text
    assert "bring it" in text


def test_markdown_is_a_table_that_lines_up():
    lines = render_measurement(FOUND, "markdown").splitlines()
    assert lines[0] == "**out against clean: 4 pictures, 2 with failures**"
    table = [line for line in lines if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table[:3]}) == 1
    assert len({len(line) for line in table}) == 1
    cells = [cell.strip() for cell in table[2].strip("|").split("|")]
    assert cells == ["psnr-rgb ↑", "26.06 dB", "25.12 to 27.00", "2", "1", "0", "1"]
    assert "odd\\_\\<b\\>\\|& ↓" in table[3]
    assert [cell.strip() for cell in table[3].split("|")[-5:-1]] == ["1", "0", "1", "2"]
    assert "- deg was not measured: bring it" in lines
    assert "- a_note" in lines


def test_latex_escapes_and_comments():
    text = render_measurement(FOUND, "latex")
    assert r"psnr-rgb $\uparrow$ & 26.06 dB & 25.12 to 27.00 & 2 & 1 & 0 & 1 \\" in text
    assert r"odd\_<b>|\& $\downarrow$" in text
    assert "% deg was not measured: bring it" in text
    assert text.count(r"\\") == 3


def test_csv_has_full_precision_and_the_unmeasured():
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(render_measurement(FOUND, "csv")))}
    assert float(rows["psnr-rgb"]["mean"]) == (25.123456 + 27) / 2
    assert [rows["psnr-rgb"][key] for key in ("n", "infinite", "excluded", "failed")] == ["2", "1", "0", "1"]
    assert rows["deg"]["mean"] == ""
    assert rows["deg"]["note"] == "not measured: bring it"


def test_json_is_strict_and_whole():
    def refuse(name):
        raise AssertionError(name)

    found = json.loads(render_measurement(FOUND, "json"), parse_constant=refuse)
    assert [one["metric"] for one in found["summary"]] == ["psnr-rgb", "odd_<b>|&"]
    assert found["summary"][0]["range"] == [0.0, "inf"]
    assert found["rows"][1]["values"]["psnr-rgb"] == "inf"
    assert found["rows"][2] | {"values": {}} == found["rows"][2]
    assert found["rows"][2]["reason"] == "is | flat"
    assert found["unmeasured"] == {"deg": "bring it"}
    assert found["info"]["settings"]["test"] == "some/out"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_one_page_and_hostile_names_are_text():
    page = render_measurement(FOUND, "html")
    assert page.lower().startswith("<!doctype html>")
    assert "<script>" not in page.replace("<script>" + page.split("<script>")[-1], "")
    parsed = Tags()
    parsed.feed(page)
    assert parsed.tags.count("table") == 4  # means, definitions, every picture, failures
    text = " ".join(parsed.text)
    for part in ('c,"x"<script>', "is | flat", "26.06 dB", "a & b < c_d", "deg", "facefort measure out -r clean"):
        assert part in text
    assert render_measurement(FOUND, "html") == page


def test_an_unknown_form():
    with pytest.raises(UnknownNameError, match="unknown format 'markdwon'; did you mean markdown"):
        render_measurement(FOUND, "markdwon")


def test_rows_as_csv_never_have_a_number_where_there_is_none():
    rows = list(csv.DictReader(io.StringIO(per_picture(FOUND))))
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "failed"]
    assert [row["psnr-rgb"] for row in rows] == ["25.123456", "inf", "", "27.0"]
    assert rows[1]["excluded"] == "odd_<b>|&"
    assert rows[2]["name"] == 'c,"x"<script>'
    assert rows[2]["reason"] == "is | flat"
    assert rows[3]["reason"] == "no face"


def test_measurements_side_by_side_are_a_table_of_methods():
    better = [PictureRow(row.name, values={"psnr-rgb": 30.0 + i}) for i, row in enumerate(ROWS)]
    other = Measurement(tuple(better), summarise((PSNR,), better, {}), info=INFO)
    text = render(comparison("Methods", {"ours": other, "theirs": FOUND}), "md")
    assert "| ours | **31.50 [" in text
    assert "1 at ∞ left out" in text
    assert "| PSNR (dB) ↑ | " in text


def test_a_set_says_against_what():
    from facefort.measuring.result import SetResult

    fid = Facts("fid", "lower", (0.0, math.inf), "", "v", "r", "set")
    sets = {"fid": SetResult(42.617, 3000, 0, 41.0, 44.0, "against FFHQ (50000 pictures)")}
    found = Measurement(ROWS[:1], summarise((PSNR, fid), ROWS[:1], sets), info=INFO)
    text = render_measurement(found, "markdown")
    assert "| fid ↓ " in text
    assert "42.62" in text
    assert "41.00 to 44.00" in text
    assert "- fid: against FFHQ (50000 pictures)" in text
    assert "fid" not in per_picture(found)
