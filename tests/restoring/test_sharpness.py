from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefort import samples
from facefort.pictures.photo import Photo
from facefort.restoring.sharpness import ENOUGH_PIXELS, sharpness, tells_who


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    faces = samples.faces()
    assert faces, "the package ships sample faces"
    return Photo.read(faces[0]).pixels


def blurred(face: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(face, (0, 0), sigma * face.shape[0] / 128)


def test_falls_with_every_blur(face: np.ndarray) -> None:
    values = [sharpness(face), *(sharpness(blurred(face, sigma)) for sigma in (1, 2, 3, 4, 6))]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.22
    assert values[-1] < 0.12


def test_does_not_change_with_contrast_or_size(face: np.ndarray) -> None:
    assert sharpness(face * np.float32(0.4) + np.float32(0.3)) == pytest.approx(sharpness(face), rel=0.01)
    small = cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA)
    assert sharpness(small) == pytest.approx(sharpness(face), rel=0.1)


def test_a_flat_picture_has_none() -> None:
    assert sharpness(np.full((64, 64, 3), 0.5, np.float32)) == 0


def test_who_it_is_needs_pixels_and_sharpness(face: np.ndarray) -> None:
    assert tells_who(face, 200)
    assert not tells_who(blurred(face, 5), 200)
    assert not tells_who(face, ENOUGH_PIXELS - 1)
