from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefort.faces.align import alignment, crop, template
from facefort.faces.paste import feather_mask, keep_colour, paste


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.clip(cv2.resize(rng.random((14, 18, 3), np.float32), (640, 480), interpolation=cv2.INTER_CUBIC), 0, 1)


def matrix_for(size: int, scale: float, degrees: float = 0) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (size - 1) / 2
    points = (template(size) - centre) @ turn.T + (300, 240)
    return alignment(points.astype(np.float32), size)


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0), (1.0, 30), (0.4, 0), (2.5, -15)])
def test_the_unmodified_crop_leaves_the_photo_as_it_was(photo: np.ndarray, scale: float, degrees: float) -> None:
    matrix = matrix_for(128, scale, degrees)
    seen = crop(photo, matrix, 128)
    after = photo.copy()
    paste(after, seen, matrix)
    assert np.abs(after - photo).mean() < 1 / 255
    assert np.abs(after - photo).max() < 0.06


def test_detail_finer_than_the_crop_stays_the_photos(photo: np.ndarray) -> None:
    matrix = matrix_for(128, 3.0)
    rng = np.random.default_rng(3)
    grain = photo + 0.1 * rng.standard_normal(photo.shape).astype(np.float32)
    seen = crop(grain, matrix, 128)
    after, laid_over = grain.copy(), grain.copy()
    paste(after, seen + np.float32(0.05), matrix, before=seen)
    paste(laid_over, seen + np.float32(0.05), matrix)
    share = cv2.warpAffine(feather_mask(128), cv2.invertAffineTransform(matrix), (640, 480))
    inside = (share > 0.999) & (grain.min(2) > 0) & (grain.max(2) < 0.94)
    assert inside.sum() > 1000
    np.testing.assert_allclose((after - grain)[inside], 0.05, atol=2e-3)
    assert np.abs(laid_over - grain)[inside].mean() > 0.06


def test_pixels_outside_the_mask_keep_their_exact_value(photo: np.ndarray) -> None:
    matrix = matrix_for(128, 1.0, 10)
    after = photo.copy()
    paste(after, np.zeros((128, 128, 3), np.float32), matrix)
    share = cv2.warpAffine(feather_mask(128), cv2.invertAffineTransform(matrix), (640, 480))
    assert np.array_equal(after[share == 0], photo[share == 0])
    assert (after[share > 0.99] < 0.02).all()


def test_there_is_no_seam(photo: np.ndarray) -> None:
    flat = np.full_like(photo, 0.5)
    paste(flat, np.full((128, 128, 3), 0.9, np.float32), matrix_for(128, 1.0))
    steps = max(np.abs(np.diff(flat, axis=axis)).max() for axis in (0, 1))
    assert flat.max() == pytest.approx(0.9, abs=1e-3)
    assert steps < 0.04


def test_the_mask_ends_inside_the_crop() -> None:
    mask = feather_mask(128)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert border.max() < 0.02
    assert mask[64, 64] == 1
    assert mask[template(128)[:, 1].astype(int), template(128)[:, 0].astype(int)].min() == 1


def test_colour_and_light_are_the_photos() -> None:
    rng = np.random.default_rng(0)
    original = np.clip(0.5 + 0.1 * rng.standard_normal((128, 128, 3)), 0, 1).astype(np.float32)
    tinted = original * np.float32([1.2, 0.9, 0.7]) + np.float32(0.05)
    kept = keep_colour(tinted, original)
    assert np.abs(kept.mean((0, 1)) - original.mean((0, 1))).max() < 0.003
    detail = kept - cv2.GaussianBlur(kept, (0, 0), 3)
    assert detail[..., 0].std() == pytest.approx(
        1.2 * (original - cv2.GaussianBlur(original, (0, 0), 3))[..., 0].std(), rel=0.1
    )


def test_a_face_that_leaves_the_photo_is_pasted_where_it_is(photo: np.ndarray) -> None:
    points = template(128) + np.array([-60, 400])
    matrix = alignment(points.astype(np.float32), 128)
    after = photo.copy()
    paste(after, np.ones((128, 128, 3), np.float32), matrix)
    assert (after[460, 10] > photo[460, 10]).all()
    assert np.array_equal(after[:, 100:], photo[:, 100:])
    paste(after, np.ones((128, 128, 3), np.float32), alignment((template(128) + 9000).astype(np.float32), 128))
