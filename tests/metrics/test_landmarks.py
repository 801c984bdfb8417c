from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facefort.errors import FaceError
from facefort.metrics import metric
from facefort.models.sources import faces as faces_of

pytestmark = pytest.mark.weights("facemesh")


@pytest.fixture(scope="module")
def people() -> Tensor:
    return next(faces_of("samples", 256, limit=3).batches(3)).faces


def shifted(faces: Tensor, pixels: int) -> Tensor:
    """The faces, moved to the right, the border repeated."""
    return F.pad(faces, (pixels, 0, 0, 0), mode="replicate")[..., : faces.shape[-1]]


def test_equal_faces_have_distance_zero(people: Tensor) -> None:
    found = metric("lmd-468")(people, people)
    assert found.dtype == torch.float64
    assert found.abs().max() == 0


def test_a_moved_face_is_as_far_as_it_was_moved_in_pixels_of_512(people: Tensor) -> None:
    found = metric("lmd-468")(shifted(people, 6), people)
    assert found.tolist() == pytest.approx([12.0] * 3, abs=2.0)


def test_the_unit_is_the_same_at_any_size(people: Tensor) -> None:
    large = F.interpolate(people, 512, mode="bicubic").clamp(0, 1)
    found = metric("lmd-468")(shifted(large, 12), large)
    assert found.tolist() == pytest.approx([12.0] * 3, abs=2.0)


def test_other_faces_are_farther_than_blurred_ones(people: Tensor) -> None:
    blurred = F.avg_pool2d(people, 9, 1, 4)
    measure = metric("lmd-468")
    assert measure(blurred, people).max() < measure(people.roll(1, 0), people).min()


def test_a_picture_without_a_face_has_no_landmarks(people: Tensor) -> None:
    with pytest.raises(FaceError, match="lmd-468 sees no aligned face in pictures 2 of 3"):
        metric("lmd-468")(torch.stack([people[0], 0 * people[1], people[2]]), people)
