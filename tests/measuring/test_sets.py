"""Metrics of sets: features batch by batch, references that are named, nothing compared in silence."""

from __future__ import annotations

import numpy as np
import pytest

import facefort
from facefort.metrics.sets import SET_METRICS
from facefort.pictures.photo import Photo


def colours(folder):
    return np.array([Photo.read(path).pixels.mean((0, 1)) for path in sorted(folder.iterdir())])


def test_the_number_is_that_of_all_pictures_against_the_reference(folders, toy_set):
    seen = toy_set("colour-distance")
    found = facefort.measure(*folders, metrics=["colour-distance"], batch=2)
    expected = np.abs(colours(folders[0]).mean(0) - colours(folders[1]).mean(0)).max()
    one = found["colour-distance"]
    assert one.mean == pytest.approx(expected, abs=1e-6)
    assert one.low <= one.high
    assert (one.n, one.failed) == (5, 0)
    assert one.note.startswith("against r (5 pictures), sha256 ")
    assert seen == [2, 2, 1, 5]


def test_another_set_can_be_named(folders, toy_set, tmp_path, write, picture):
    toy_set("colour-distance")
    for i in range(3):
        write(tmp_path / "set" / f"x{i}.png", picture(30 + i))
    found = facefort.measure(folders[0], metrics=["colour-distance"], set_reference=str(tmp_path / "set"))
    expected = np.abs(colours(folders[0]).mean(0) - colours(tmp_path / "set").mean(0)).max()
    assert found["colour-distance"].mean == pytest.approx(expected, abs=1e-6)
    assert "against set (3 pictures)" in found["colour-distance"].note


def test_without_any_set_it_says_what_to_name(folders, toy_set, toy):
    toy_set("colour-distance")
    toy("level", lambda pictures, _: pictures.mean((1, 2, 3)))
    found = facefort.measure(folders[0], metrics=["colour-distance", "level"])
    assert found.unmeasured == {"colour-distance": "compares with a set of pictures; name it with --set-reference"}
    assert found["level"].n == 5


def test_a_metric_of_one_statistics_file_asks_for_it(folders, toy_set, toy):
    toy_set("colour-known", reference_sha256="f7b384ab")
    toy("level", lambda pictures, _: pictures.mean((1, 2, 3)))
    found = facefort.measure(*folders, metrics=["colour-known", "level"])
    assert "SHA-256 f7b384ab..." in found.unmeasured["colour-known"]
    wrong = facefort.measure(*folders, metrics=["colour-known", "level"], set_reference=str(folders[1]))
    assert wrong["colour-known"].mean is None
    assert "stands for one file" in wrong["colour-known"].note
    assert wrong.exit_code() == 1


def test_failed_pictures_are_counted_as_missing_from_the_set(folders, toy_set, write):
    toy_set("colour-distance")
    write(folders[0] / "a1.png", np.zeros((48, 48, 3)))
    (folders[0] / "a2.png").unlink()
    found = facefort.measure(*folders, metrics=["colour-distance"])
    assert (found["colour-distance"].n, found["colour-distance"].failed) == (3, 2)
    assert found.exit_code() == 1


def test_sets_of_several_sizes_have_no_number(folders, toy_set, write, picture):
    toy_set("colour-distance")
    write(folders[0] / "a1.png", picture(1, 40, 40))
    found = facefort.measure(*folders, metrics=["colour-distance", "psnr-rgb"])
    assert found["colour-distance"].mean is None
    assert found["colour-distance"].note == "needs pictures of one size, not 40 x 40, 48 x 48"
    assert found["psnr-rgb"].n == 4


def test_features_that_break_do_not_stop_the_rest(folders, toy_set):
    def broken(pictures):
        raise RuntimeError("no memory")

    toy_set("colour-distance", features=broken)
    found = facefort.measure(*folders, metrics=["colour-distance", "psnr-rgb"])
    assert found["colour-distance"].note == "broke: RuntimeError: no memory"
    assert found["psnr-rgb"].n == 5


def test_metrics_that_share_features_compute_them_once(folders, toy_set):
    seen = toy_set("colour-distance")
    toy_set("colour-other", features=SET_METRICS.get("colour-distance").features)
    found = facefort.measure(*folders, metrics=["colour-*"], batch=5)
    assert seen == [5, 5]
    assert found["colour-other"].mean == found["colour-distance"].mean


@pytest.mark.weights("inception-fid")
def test_fid_of_a_folder_with_itself_is_nothing(folders):
    found = facefort.measure(folders[1], folders[1], metrics=["fid"])
    assert found["fid"].mean == pytest.approx(0, abs=1e-3)
