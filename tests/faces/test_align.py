from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefort.errors import FaceError
from facefort.faces.align import TEMPLATE_512, alignment, crop, from_box, landmarks_in_box, template, window


def similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@pytest.mark.parametrize("size", [128, 256, 512])
@pytest.mark.parametrize("pose", [(1, 0, 0, 0), (0.2, 20, 300, 40), (4, -95, 900, 1200), (1.3, 178, 700, 700)])
def test_alignment_undoes_any_similarity(size: int, pose: tuple[float, float, float, float]) -> None:
    matrix = similarity(*pose)
    found = alignment(moved(template(size), matrix), size)
    both = np.vstack([matrix, [0, 0, 1]]) @ np.vstack([found, [0, 0, 1]])
    assert np.allclose(both, np.eye(3), atol=2e-3 * max(1, pose[0]))


def test_one_bad_landmark_does_not_turn_the_face() -> None:
    points = template(512)
    points[3] += (60, -45)
    corners = np.array([[0, 0], [511, 0], [0, 511], [511, 511]], np.float32)
    assert np.abs(moved(corners, alignment(points, 512)) - corners).max() < 12


def test_the_template_keeps_the_centre_at_every_size() -> None:
    assert np.allclose(template(512), TEMPLATE_512)
    assert np.allclose((template(128) + 0.5) * 4, TEMPLATE_512 + 0.5)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2))])
def test_landmarks_that_make_no_sense(points: np.ndarray) -> None:
    with pytest.raises(FaceError, match="make no sense"):
        alignment(points, 128)


def test_a_large_face_is_averaged_not_sampled() -> None:
    # A fine checkerboard: sampled it stays black and white or beats, averaged it is grey.
    board = np.indices((1024, 1024)).sum(0) % 2
    photo = np.repeat(board[..., None], 3, 2).astype(np.float32)
    matrix = alignment(template(1024), 128)
    inner = crop(photo, matrix, 128)[8:-8, 8:-8]
    assert np.abs(inner - 0.5).max() < 0.05


def test_crop_shows_what_a_plain_resize_shows() -> None:
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.random((12, 12, 3), np.float32), (512, 512), interpolation=cv2.INTER_CUBIC)
    seen = crop(photo, alignment(template(512), 128), 128)
    assert np.abs(seen - cv2.resize(photo, (128, 128), interpolation=cv2.INTER_AREA))[4:-4, 4:-4].max() < 0.02


def test_outside_the_photo_is_grey() -> None:
    photo = np.ones((100, 100, 3), np.float32)
    far = crop(photo, alignment(template(128) + 5000, 128), 128)
    assert np.ptp(far.reshape(-1, 3), axis=0).max() == 0
    assert 0.4 < far.mean() < 0.6
    cut = crop(photo, alignment(template(128) + np.array([64, 0]), 128), 128)
    assert cut[:90, :30].min() > 0.99
    assert 0.4 < cut[:, 40:].mean() < 0.6


def test_a_box_stands_for_an_upright_face() -> None:
    box = (100.0, 120.0, 200.0, 250.0)
    points = landmarks_in_box(box)
    assert points[0, 0] < points[1, 0]
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()
    assert ((points > (100, 120)) & (points < (200, 250))).all()
    assert np.allclose(from_box(box, 256), alignment(points, 256))


def test_the_window_is_cut_to_the_photo() -> None:
    matrix = alignment(template(128) + np.array([1000, -30]), 128)
    assert window(matrix, 128, 1050, 400) == (1000, 0, 1050, 100)
