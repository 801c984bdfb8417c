from __future__ import annotations

import numpy as np
import pytest

from facefort.faces.landmarks import SEEN, mesh, presence

pytestmark = pytest.mark.weights("facemesh")


def test_a_face_is_present_in_every_portrait(portraits: list[np.ndarray]) -> None:
    assert all(presence(portrait) > 0.99 for portrait in portraits)


@pytest.mark.parametrize("size", [64, 256, 512])
@pytest.mark.parametrize("what", ["noise", "black", "white", "gradient"])
def test_no_face_is_present_where_there_is_none(rng: np.random.Generator, what: str, size: int) -> None:
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    picture = {
        "noise": rng.random((size, size, 3), np.float32),
        "black": np.zeros((size, size, 3), np.float32),
        "white": np.ones((size, size, 3), np.float32),
        "gradient": np.stack(
            [np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.tile(ramp, (size, 1))], 2
        ),
    }[what]
    assert presence(picture) < SEEN


def test_the_parts_of_a_face_in_disorder_are_no_face(portraits: list[np.ndarray], rng: np.random.Generator) -> None:
    for portrait in portraits[:4]:
        side = len(portrait) // 8
        blocks = portrait.reshape(8, side, 8, side, 3).swapaxes(1, 2).reshape(64, side, side, 3)
        mixed = rng.permutation(blocks).reshape(8, 8, side, side, 3).swapaxes(1, 2).reshape(portrait.shape)
        assert presence(np.ascontiguousarray(mixed)) < SEEN


def test_asking_for_the_face_does_not_disturb_the_points(portraits: list[np.ndarray]) -> None:
    first, other = portraits[:2]
    points, seen = mesh(first), presence(first)
    mesh(other)
    presence(other)
    assert np.array_equal(mesh(first), points)
    assert presence(first) == seen
