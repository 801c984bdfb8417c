"""Pages: well-formed, alone in the world, true to the rows."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.report.conftest import add_attacks, add_quality, open_run, units

from facefort.errors import PictureError, UsageError
from facefort.metrics import METRICS
from facefort.metrics.statistics import mean_ci
from facefort.report import write_page
from facefort.report.audit_page import quality_table
from facefort.report.inline import Album
from facefort.report.measures import MEASURES
from facefort.runs import Row, RunFolder

VOID = {"meta", "link", "img", "input", "br"}
HOSTILE = "<script>alert(1)</script>\"'.png"


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag and wanted.items() <= attrs.items()]


def page_of(path: Path) -> Page:
    written = write_page(path)
    assert written == path / "report.html"
    return Page(written.read_text(encoding="utf-8"))


@pytest.fixture(params=["audit_run", "restore_run"])
def any_run(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_a_page_needs_nothing_but_itself(any_run: Path) -> None:
    page = page_of(any_run)
    html = (any_run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//cdn|@import|url\(", html)
    for tag, attrs in page.tags:
        for key in ("src", "href"):
            if key in attrs:
                assert (attrs[key] or "").startswith(("data:", "#")), (tag, attrs)
    assert len(html) < 6_000_000


def test_a_page_is_usable_without_eyes_and_mouse(any_run: Path) -> None:
    page = page_of(any_run)
    assert len(page.all("h1")) == 1
    assert all(attrs.get("alt") for attrs in page.all("img"))
    sliders = page.all("input", type="range")
    assert sliders
    assert all(attrs.get("aria-label") for attrs in sliders)
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for attrs in page.all("svg"))
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))


def test_the_same_run_gives_the_same_page(any_run: Path) -> None:
    first = write_page(any_run).read_bytes()
    assert write_page(any_run).read_bytes() == first


def test_every_number_of_the_quality_table_is_the_mean_of_the_rows(audit_run: Path) -> None:
    rows = list(RunFolder.read(audit_run).rows("quality"))
    page = page_of(audit_run)
    for name in ("psnr-rgb", "ssim-rgb", "lpips-alex", "lpips-vgg", "identity-dlib"):
        after = np.array([row.values[name] for row in rows])
        before = np.array([row.values[f"input.{name}"] for row in rows])
        digits = MEASURES[name].digits
        low, high = (f"{value:.{digits}f}" for value in mean_ci(after)[1:3])
        change = (after - before).mean()
        assert f"{before.mean():.{digits}f}" in page.text
        assert f"{after.mean():.{digits}f} {low} to {high}" in page.text
        assert f"{change:+.{digits}f}".replace("-", "−") in page.text


def test_robustness_numbers_come_from_the_rows(audit_run: Path) -> None:
    rows = list(RunFolder.read(audit_run).rows("pix_self eyes eps=4/255"))
    mean = np.mean([row.values["psnr-cc"] for row in rows])
    assert f"pix_self, eyes, ε = 4/255 {mean:.2f}" in page_of(audit_run).text


def test_measures_judge_like_the_metrics_themselves() -> None:
    for name in set(MEASURES) & set(METRICS.names()):
        assert MEASURES[name].better == METRICS.get(name).direction
        assert MEASURES[name].unit == METRICS.get(name).unit
    assert {"psnr-rgb", "identity-dlib", "niqe"} <= set(MEASURES) & set(METRICS.names())


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "audit", model=HOSTILE.replace("/", "")) as run:
        add_quality(run, [HOSTILE])
        add_attacks(run, [HOSTILE])
        run.add("quality", f"{HOSTILE}2", {}, status="failed", reason=HOSTILE)
    page = page_of(run.path)
    assert len(page.all("script")) == 1
    assert HOSTILE in page.text
    assert any(HOSTILE in (attrs["alt"] or "") for attrs in page.all("img"))


def test_faces_come_worst_first(audit_run: Path) -> None:
    rows = {row.unit: row.values["lpips-alex"] for row in RunFolder.read(audit_run).rows("quality")}
    alts = [attrs["alt"] or "" for attrs in page_of(audit_run).all("img", **{"class": "before"})]
    shown = [alt.removesuffix(": input") for alt in alts]
    assert shown == sorted(rows, key=lambda unit: -rows[unit])


def test_attacks_show_each_face_once_and_never_the_control(audit_run: Path) -> None:
    page = page_of(audit_run)
    alts = [attrs["alt"] for attrs in page.all("img") if (attrs["alt"] or "").endswith(": difference × 10")]
    assert sorted(alts) == [f"{unit}: difference × 10" for unit in units(2)]
    gallery = page.text[page.text.index("Under attack") :]
    assert "random noise" not in gallery


def test_an_empty_run_says_so(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "audit", model="tiny") as run:
        run.expect(4)
    page = page_of(run.path)
    assert "This run was interrupted." in page.text
    assert "0 of 4 units" in page.text
    assert "Nothing was measured yet." in page.text
    assert not page.all("table")


def test_an_interrupted_run_says_how_far_it_came(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "audit", model="tiny") as run:
        run.expect(10)
        add_quality(run, units(3))
        run.finish("interrupted", "ctrl-C")
    assert "This run was interrupted. ctrl-C. 3 of 10 units" in page_of(run.path).text


def test_failures_are_listed_and_counted(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "audit", model="tiny") as run:
        run.add("quality", "a.png", {}, status="failed", reason="no face in it")
    text = page_of(run.path).text
    assert "Not everything worked. 1 unit of 1 failed" in text
    assert "a.png quality no face in it" in text


def test_one_face_with_equal_pictures_has_no_interval_and_no_curve_into_infinity(tmp_path: Path) -> None:
    facts = {"objective": "pix_self", "region": "full", "eps": 1 / 255, "eps_text": "1/255"}
    with open_run(tmp_path / "run", "audit", model="tiny") as run:
        run.add("quality", "a", {"psnr-rgb": float("inf"), "input.psnr-rgb": 30.0})
        run.add("pix_self", "a", {**facts, "psnr-cc": float("inf"), "identity-cc": 0.25})
    page = page_of(run.path)
    assert "∞" in page.text
    assert "n/a" not in page.text
    assert [attrs["aria-label"] for attrs in page.all("svg", **{"class": "chart curve"})] == [
        "Identity distance of the restoration: pix_self 0.250 at 1/255"
    ]


def test_without_reference_the_table_says_so() -> None:
    table = quality_table([Row("quality", "a", "done", values={"niqe": 4.0, "input.niqe": 6.0, "identity-io": 0.2})])
    assert table.title.startswith("Without reference")
    assert [(key, one.mean) for key, one in table.cells.items()] == [
        (("Degraded input", "niqe"), 6.0),
        (("Restored", "niqe"), 4.0),
        (("Restored", "identity-io"), 0.2),
        (("Change", "niqe"), -2.0),
    ]


def test_a_restoration_tells_of_every_face_the_doubtful_first(restore_run: Path) -> None:
    page = page_of(restore_run)
    assert "3 faces restored in 1 photo" in page.text
    assert "the same person in 1 of 3 restored faces, too little to tell in 1 and somebody else in 1" in page.text
    answers = re.findall(r"Same person: (\w+)", page.text)
    assert answers == ["no", "unsure", "yes"]
    assert "96 × 96 px → 192 × 192 px" in page.text
    assert "drawn coarsely" in page.text
    assert "broken.jpg photo is not a picture" in page.text


def test_a_column_without_values_is_left_out(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "restore", model="tiny") as run:
        run.add("skipped", "a.jpg#0", {"photo": "a.jpg", "index": 0, "size": 40.0, "score": 0.8}, reason="left out")
    page = page_of(run.path)
    assert "a.jpg, face 0 left out 40 0.80" in page.text
    assert "Sharpness" not in page.text
    assert "No face was restored." in page.text


def test_a_missing_picture_is_an_error_that_names_it(restore_run: Path) -> None:
    (restore_run / "restored_imgs" / "after.png").unlink()
    with pytest.raises(PictureError, match=r"cannot show after\.png"):
        write_page(restore_run)
    assert not (restore_run / "report.html").exists()


def test_a_verb_without_page_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "train") as run:
        pass
    with pytest.raises(UsageError, match="'train' has no page; pages exist for: audit, restore"):
        write_page(run.path)


def test_an_album_takes_all_pictures_of_a_group_or_none(restore_run: Path) -> None:
    paths = [restore_run / "pictures" / "before.png", restore_run / "restored_imgs" / "after.png"]
    cost = sum(len(one.uri) for one in Album().together(paths, 64) or ())
    assert Album(cost).together(paths, 64) is not None
    small = Album(cost - 1)
    assert small.together(paths, 64) is None
    assert small.used == 0


def test_pictures_are_shrunk_and_never_enlarged(restore_run: Path) -> None:
    path = restore_run / "pictures" / "before.png"
    (shrunk,), (kept,) = Album().together([path], 48) or (), Album().together([path], 400) or ()
    assert (shrunk.width, shrunk.height) == (48, 48)
    assert (kept.width, kept.height) == (96, 96)
