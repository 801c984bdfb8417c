from __future__ import annotations

import pytest

from facefort.audit import published
from facefort.audit.published import asfiba
from facefort.errors import UnknownNameError


@pytest.mark.parametrize("name", published.TABLES)
def test_every_table_can_be_read_and_has_a_source(name: str) -> None:
    rows = published.load(name)
    assert rows
    assert all(len(row) == len(rows[0]) for row in rows)
    assert published.TABLES[name].source
    assert published.TABLES[name].shows


def test_an_unknown_table_is_answered() -> None:
    with pytest.raises(UnknownNameError, match="did you mean asfiba-table2"):
        published.load("asfiba-table2s")


def test_table_2_is_whole() -> None:
    rows = published.load("asfiba-table2")
    assert len(rows) == 6 * 4 * 3
    assert len({(row["model"], row["attack"], row["set"]) for row in rows}) == len(rows)
    assert {(row["set"], row["n"]) for row in rows} == {("CelebChild", 180), ("WebPhoto", 407), ("LFW", 1711)}


@pytest.mark.parametrize("over", ["model", "attack"])
def test_macro_averages_are_the_printed_ones(over) -> None:
    printed = {
        row["name"]: (row["asr"], row["ba"]) for row in published.load("asfiba-table2-averages") if row["over"] == over
    }
    made = asfiba.averages(over)
    assert made.keys() == printed.keys()
    for name, each in made.items():
        for rate, value in zip(asfiba.RATES, printed[name], strict=True):
            # Four of the twenty means end in an exact 5, which may be rounded either way.
            assert abs(each[rate].macro - value) <= 0.005 + 1e-9, (name, rate)
        assert each["asr"].cells == (12 if over == "model" else 18)


def test_weighted_by_pictures_one_restorer_looks_quite_different() -> None:
    found = asfiba.averages("model")["GPEN"]["asr"]
    assert (f"{found.macro:.2f}", f"{found.weighted:.1f}", found.n) == ("7.30", "2.6", 4 * (180 + 407 + 1711))


def test_counts_behind_the_cells() -> None:
    rows = published.load("asfiba-table2")
    first = asfiba.proportion(rows[0], "asr")
    assert first is not None
    assert (first.hits, first.n) == (124, 180)
    assert first.low < 0.6889 < first.high
    assert sum(asfiba.proportion(row, rate) is not None for row in rows for rate in asfiba.RATES) == 144 - 4


def test_the_anomalies_are_found_in_the_cells() -> None:
    found = asfiba.anomalies()
    where = [place for each in found for place in each.where]
    assert {place for place in where if place.endswith((" asr", " ba"))} == {
        "HiFaceGAN AS-FIBA LFW asr",
        "GPEN WaNet WebPhoto ba",
        "GPEN AS-FIBA CelebChild asr",
        "CodeFormer WaNet LFW asr",
        "GPEN AS-FIBA WebPhoto ba",
        "CodeFormer AS-FIBA CelebChild ba",
        "CodeFormer AS-FIBA WebPhoto ba",
        "CodeFormer AS-FIBA LFW ba",
    }
    copied = [each.where for each in found if each.table == "asfiba-table1-benign"]
    assert copied == [("GFP-GAN", "CodeFormer"), ("VQFR", "RestoreFormer")]
    assert [each.where for each in found if each.table == "asfiba-table3"] == [("WaNet",)]
    assert any("398 = 97.79 %" in each.detail for each in found)
