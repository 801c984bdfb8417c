"""Who somebody is cannot be measured where nobody is."""

from __future__ import annotations

import pytest

import facefort
from facefort import samples

pytestmark = pytest.mark.weights("facemesh")


@pytest.fixture
def people(tmp_path, write, picture):
    """Two faces, one of them with a picture of waves in its place on the test side."""
    from facefort.pictures.photo import Photo

    for path in samples.faces()[:2]:
        pixels = Photo.read(path).pixels
        write(tmp_path / "r" / f"{path.stem}.png", pixels)
        write(tmp_path / "t" / f"{path.stem}.png", (pixels * 0.8 + 0.1))
    first, second = (path.stem for path in samples.faces()[:2])
    write(tmp_path / "t" / f"{second}.png", picture(1, 256, 256))
    return tmp_path / "t", tmp_path / "r", first, second


@pytest.fixture
def who(toy):
    toy(
        "who",
        lambda pictures, reference: (pictures - reference).abs().mean((1, 2, 3)),
        needs_reference=True,
        needs_face=True,
    )


def test_a_picture_without_a_face_is_a_row_that_says_so(people, who):
    test, reference, first, second = people
    found = facefort.measure(test, reference, metrics=["who", "psnr-rgb"])
    rows = {row.name: row for row in found.rows}
    assert list(rows[first].values) == ["who", "psnr-rgb"]
    assert list(rows[second].values) == ["psnr-rgb"]
    assert rows[second].reason == "no face found in the picture"
    assert found.exit_code() == 1


def test_a_reference_without_a_face_is_said_too(people, who):
    test, reference, _, second = people
    rows = {row.name: row for row in facefort.measure(reference, test, metrics=["who"]).rows}
    assert rows[second].reason == "no face found in the reference"


def test_the_check_can_be_left_out(people, who):
    test, reference, *_ = people
    assert facefort.measure(test, reference, metrics=["who"], face_check=False).complete


def test_metrics_of_any_picture_look_for_no_face(people):
    test, reference, *_ = people
    assert facefort.measure(test, reference, metrics=["psnr-rgb"]).complete
