from __future__ import annotations

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from facefort.errors import UnknownNameError, UsageError
from facefort.faces.align import template
from facefort.faces.detect import detector
from facefort.faces.face import Face, share_outside
from facefort.pictures.photo import Photo

needs = pytest.mark.weights("centerface", "facemesh")

COUNTS = Path(__file__).resolve().parents[2] / "benchmarks" / "lq_photos_counts.csv"


def placed(face: np.ndarray, side: int, width: int, height: int, x: int, y: int) -> np.ndarray:
    """A face of ``side`` pixels on a plain, slightly shaded ground."""
    ground = np.tile(np.linspace(0.45, 0.6, width, dtype=np.float32)[None, :, None], (height, 1, 3))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    ground[y : y + side, x : x + side] = small
    return ground


@needs
@pytest.mark.parametrize("side", [48, 128, 500])
def test_a_face_is_found_where_it_stands(portraits: list[np.ndarray], side: int) -> None:
    photo = placed(portraits[0], side, 640, 560, 60, 30)
    faces = detector(min_size=10)(photo)
    assert len(faces) == 1
    error = np.linalg.norm(faces[0].landmarks - (template(side) + np.array([60, 30])), axis=1).mean()
    assert error < 0.06 * side
    assert faces[0].notes == (("tiny",) if faces[0].size < 24 else ())


@needs
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_on_its_side_gives_the_same_faces(portraits: list[np.ndarray], turns: int) -> None:
    photo = placed(portraits[1], 160, 480, 360, 100, 80)
    (upright,) = detector()(photo)
    (turned,) = detector()(np.ascontiguousarray(np.rot90(photo, turns)))
    expected = {1: -90, 2: 180, 3: 90}[turns]
    assert math.cos(math.radians(turned.roll - upright.roll - expected)) > 0.99
    assert turned.size == pytest.approx(upright.size, rel=0.1)
    assert turned.notes == ("upside down" if turns == 2 else "sideways",)


@needs
def test_twelve_faces(portraits: list[np.ndarray]) -> None:
    rows = [np.concatenate(portraits[i : i + 4], 1) for i in (0, 4, 8)]
    photo = cv2.resize(np.concatenate(rows), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    faces = detector()(photo)
    assert len(faces) == 12
    cells = {(int(f.centre[0] // 128), int(f.centre[1] // 128)) for f in faces}
    assert len(cells) == 12


@needs
@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (40, 40), (300, 300)])
def test_no_face(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random((*shape, 3), np.float32)
    assert detector()(noise) == []


@needs
def test_a_cut_off_face_says_so(portraits: list[np.ndarray]) -> None:
    photo = placed(portraits[2], 256, 400, 300, 20, 20)[:, 125:]
    faces = detector(threshold=0.3)(np.ascontiguousarray(photo))
    assert all("cut off" in face.notes for face in faces if face.outside > 0.1)
    assert faces


@needs
def test_a_small_face_in_a_large_photo_needs_the_fine_detector(portraits: list[np.ndarray]) -> None:
    photo = placed(portraits[3], 44, 3600, 2400, 3000, 1500)
    assert detector("centerface")(photo) == []
    (face,) = detector("centerface-fine")(photo)
    assert abs(face.centre[0] - 3022) < 10
    assert abs(face.centre[1] - 1525) < 10


@needs
def test_min_size_and_threshold(portraits: list[np.ndarray]) -> None:
    photo = placed(portraits[0], 128, 400, 300, 60, 30)
    assert detector(min_size=200)(photo) == []
    assert detector(threshold=0.999)(photo) == []
    with pytest.raises(UnknownNameError, match="did you mean centerface"):
        detector("centreface")


@needs
@pytest.mark.shared
def test_every_face_of_24_px_in_the_collection_of_bad_photos(shared: Path) -> None:
    with COUNTS.open(newline="") as lines:
        expected = {row["photo"]: int(row["faces"]) for row in csv.DictReader(lines)}
    find = detector(min_size=24)
    found = {path.name: len(find(Photo.read(path).pixels)) for path in sorted((shared / "lq-photos").iterdir())}
    assert found == expected


def test_a_face_survives_the_list_that_people_edit() -> None:
    face = Face((10.0, 20.0, 60.0, 90.0), 0.9, template(128), 0.25)
    again = Face.from_dict(face.to_dict())
    assert again.box == face.box
    assert np.allclose(again.landmarks, face.landmarks, atol=0.01)
    assert again.size == 70
    for broken in (
        {},
        {"box": [0, 0, 1], "landmarks": []},
        {"box": [5, 5, 1, 9], "landmarks": face.to_dict()["landmarks"]},
    ):
        with pytest.raises(UsageError, match="a face needs box"):
            Face.from_dict(broken)


def test_share_outside() -> None:
    assert share_outside((0, 0, 10, 10), 100, 100) == 0
    assert share_outside((-5, 0, 5, 10), 100, 100) == pytest.approx(0.5)
    assert share_outside((200, 0, 210, 10), 100, 100) == 1
