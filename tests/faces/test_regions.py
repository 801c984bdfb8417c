from __future__ import annotations

import numpy as np
import pytest

from facefort.errors import UnknownNameError
from facefort.faces.align import template
from facefort.faces.landmarks import five_points, mesh
from facefort.faces.regions import PARTS, REGIONS, part_labels, region_masks

pytestmark = pytest.mark.weights("facemesh")


@pytest.mark.parametrize("size", [128, 256])
def test_the_mesh_agrees_with_the_template(portraits: list[np.ndarray], size: int) -> None:
    import cv2

    errors = [
        np.linalg.norm(
            five_points(mesh(cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA))) - template(size), axis=1
        )
        for face in portraits
    ]
    assert np.mean(errors) < 0.025 * size


def test_regions_lie_where_their_names_say(portraits: list[np.ndarray]) -> None:
    masks = region_masks(portraits[0])
    assert set(masks) == set(REGIONS)
    points = template(256).astype(int)

    def at(name: str, index: int) -> float:
        return float(masks[name][points[index, 1], points[index, 0]])

    assert at("eyes", 0) == at("eyes", 1) == 1
    assert at("nose", 2) == 1
    rows = {name: np.nonzero(masks[name])[0].mean() for name in ("hair", "brows", "eyes", "nose", "mouth")}
    assert rows["hair"] < rows["brows"] < rows["eyes"] < rows["nose"] < rows["mouth"]
    assert masks["background"][2, 2] + masks["hair"][2, 2] == 1


def test_regions_are_consistent_sets(portraits: list[np.ndarray]) -> None:
    for face in portraits[:4]:
        masks = region_masks(face)
        for mask in masks.values():
            assert set(np.unique(mask)) <= {0.0, 1.0}
        parts = sum(masks[name] for name in ("eyes", "nose", "mouth"))
        assert (masks["skin"] * np.minimum(parts, 1)).sum() == 0
        assert ((masks["face"] + masks["hair"] + masks["background"]) == 1).all()
        assert (masks["full"] == 1).all()
        shares = {name: mask.mean() for name, mask in masks.items()}
        assert 0.005 < shares["mouth"] < 0.06
        assert 0.005 < shares["eyes"] < 0.06
        assert 0.15 < shares["face"] < 0.45


def test_the_same_crop_gives_the_same_masks(portraits: list[np.ndarray]) -> None:
    first, second = region_masks(portraits[5], ("hair", "mouth")), region_masks(portraits[5], ("hair", "mouth"))
    assert list(first) == ["hair", "mouth"]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_an_unknown_region() -> None:
    with pytest.raises(UnknownNameError, match="unknown region 'eye'; did you mean eyes"):
        region_masks(np.zeros((128, 128, 3), np.float32), ("eye",))


def test_part_labels_tell_left_from_right_and_lip_from_mouth(portraits: list[np.ndarray]) -> None:
    labels = part_labels(portraits[0])
    assert labels.dtype == np.uint8
    points = template(256).astype(int)
    assert PARTS[labels[points[0, 1], points[0, 0]]] == "l_eye"
    assert PARTS[labels[points[1, 1], points[1, 0]]] == "r_eye"
    middle = {
        name: np.argwhere(labels == PARTS.index(name)).mean(0) for name in PARTS if (labels == PARTS.index(name)).any()
    }
    assert middle["u_lip"][0] < middle["l_lip"][0]
    assert middle["l_brow"][1] < middle["nose"][1] < middle["r_brow"][1]
    assert middle["hair"][0] < middle["skin"][0]
