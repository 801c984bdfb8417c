"""Pairing: by name, explicit suffixes, nothing left out in silence."""

from __future__ import annotations

import pytest

from facefort.errors import UsageError
from facefort.measuring.settings import MeasureSettings
from facefort.measuring.units import find_units
from facefort.runs import RunFolder


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return str(folder)


def units_of(tmp_path, tests, references=None, **settings):
    given = {"test": touch(tmp_path / "t", *tests)}
    if references is not None:
        given["reference"] = touch(tmp_path / "r", *references)
    units, _ = find_units(MeasureSettings(**given, **settings))
    return units


def named(units):
    return {unit.name: (unit.test and unit.test.name, unit.reference and unit.reference.name) for unit in units}


def test_pairs_are_made_by_name_whatever_the_ending_and_the_order(tmp_path):
    units = units_of(tmp_path, ["img10.png", "img2.png"], ["img2.jpg", "img10.webp"])
    assert [unit.name for unit in units] == ["img2", "img10"]
    assert named(units) == {"img2": ("img2.png", "img2.jpg"), "img10": ("img10.png", "img10.webp")}
    assert not any(unit.problem or unit.reference_problem for unit in units)


def test_a_missing_file_shifts_nothing_and_is_a_unit_of_its_own(tmp_path):
    units = units_of(tmp_path, ["a.png", "c.png", "x.png"], ["a.png", "b.png", "c.png"])
    assert named(units) == {
        "a": ("a.png", "a.png"),
        "b": (None, "b.png"),
        "c": ("c.png", "c.png"),
        "x": ("x.png", None),
    }
    by_name = {unit.name: unit for unit in units}
    assert by_name["b"].problem == "no test picture for the reference b.png"
    assert by_name["x"].reference_problem == "no reference picture called x"


def test_a_subset_on_purpose_is_no_failure(tmp_path):
    units = units_of(tmp_path, ["b.png"], ["a.png", "b.png", "c.png"], subset=True)
    assert named(units) == {"b": ("b.png", "b.png")}


def test_suffixes_are_taken_off_where_the_user_says_so(tmp_path):
    units = units_of(
        tmp_path, ["a_00.png", "b_00.png"], ["a_gt.png", "b_gt.png"], pair_suffix="_00", reference_suffix="_gt"
    )
    assert named(units) == {"a": ("a_00.png", "a_gt.png"), "b": ("b_00.png", "b_gt.png")}


@pytest.mark.parametrize(
    ("tests", "references", "hint"),
    [
        (["a_00.png"], ["a.png"], "if a_00 belongs to a, add --pair-suffix=_00"),
        (["a.png"], ["a_gt.png"], "if a belongs to a_gt, add --reference-suffix=_gt"),
        (["a.png"], ["b.png"], "--pair-suffix and --reference-suffix name endings"),
    ],
)
def test_where_nothing_pairs_the_reason_says_what_to_add(tmp_path, tests, references, hint):
    units = units_of(tmp_path, tests, references)
    assert any(hint in unit.reference_problem for unit in units)


def test_two_files_that_would_be_one_picture_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a\.jpg and .*a\.png would both be 'a'"):
        units_of(tmp_path, ["a.png", "a.jpg"])
    with pytest.raises(UsageError, match="would both be 'a'"):
        units_of(tmp_path / "more", ["a.png", "a_00.png"], pair_suffix="_00")


def test_a_name_that_is_nothing_but_the_suffix_stays(tmp_path):
    assert [unit.name for unit in units_of(tmp_path, ["_00.png", "a_00.png"], pair_suffix="_00")] == ["_00", "a"]


def test_a_limit_keeps_the_first_in_natural_order(tmp_path):
    units = units_of(tmp_path, [f"{i}.png" for i in range(12)], [f"{i}.png" for i in range(12)], limit=3)
    assert [unit.name for unit in units] == ["0", "1", "2"]


def test_no_pictures_named(tmp_path):
    with pytest.raises(UsageError, match="name the pictures to measure"):
        find_units(MeasureSettings(test=""))


@pytest.fixture
def restored(tmp_path):
    """A restore run: two faces restored, one failed, one skipped, and a photo that could not be read."""
    out = tmp_path / "out"
    with RunFolder.open(out, verb="restore", settings={"suffix": "new"}, provenance={}) as folder:
        for index in (0, 1):
            values = {"photo": "p.jpg", "index": index, "restored": f"restored_faces/p_{index:02d}_new.png"}
            folder.add("face", f"p.jpg#{index}", values)
        folder.add("face", "q.jpg#0", {"photo": "q.jpg", "index": 0}, status="failed", reason="gave NaN")
        folder.add("skipped", "q.jpg#1", {"photo": "q.jpg", "index": 1})
        folder.add("photo", "p.jpg", {"faces": 2, "output": "restored_imgs/p_new.jpg"})
        values = {"faces": 2, "output": "restored_imgs/q_new.jpg"}
        folder.add("photo", "q.jpg", values, status="failed", reason="1 of 2 faces failed")
        folder.add("photo", "z.jpg", {"faces": 0}, status="failed", reason="z.jpg is empty")
    return out


@pytest.mark.parametrize("part", ["", "restored_faces"])
def test_a_restore_run_counts_what_it_did_not_restore(restored, part):
    units, notes = find_units(MeasureSettings(test=str(restored / part)))
    assert {unit.name: unit.problem for unit in units} == {
        "p_00": "",
        "p_01": "",
        "q_00": "not restored: gave NaN",
        "z": "not restored: z.jpg is empty",
    }
    assert units[0].test == restored / "restored_faces" / "p_00_new.png"
    assert part or "restored_faces of the restore run" in notes[0]


def test_the_photos_of_a_restore_run(restored):
    units, _ = find_units(MeasureSettings(test=str(restored / "restored_imgs")))
    assert {unit.name: unit.problem or unit.test.name for unit in units} == {
        "p": "p_new.jpg",
        "q": "q_new.jpg",
        "z": "not restored: z.jpg is empty",
    }


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    left, right = touch(tmp_path / "t", "a.png"), touch(tmp_path / "r", "b.png")
    units, _ = find_units(MeasureSettings(test=f"{left}/a.png", reference=f"{right}/b.png"))
    assert named(units) == {"a": ("a.png", "b.png")}


def test_a_restore_run_pairs_with_photos_by_the_pair_suffix(restored, tmp_path):
    reference = touch(tmp_path / "r", "q.png", "p_01.png")
    units, _ = find_units(MeasureSettings(test=str(restored), reference=reference, pair_suffix="_00"))
    assert named(units) == {
        "p": ("p_00_new.png", None),
        "p_01": ("p_01_new.png", "p_01.png"),
        "q": (None, "q.png"),
        "z": (None, None),
    }
