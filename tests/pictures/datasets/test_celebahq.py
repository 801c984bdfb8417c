from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facefort.errors import PictureError, UnknownNameError, UsageError
from facefort.pictures.datasets import recognise
from facefort.pictures.datasets.celebahq import CelebAHQ, CelebAMaskHQ
from facefort.pictures.datasets.labels import LABELS, PARTS, conversion, labels, merge, relabel
from facefort.pictures.datasets.splits import CELEBAHQ_SPLITS, CELEBAMASK_PART_COUNTS, celebamask_part


@pytest.mark.parametrize("nested", [True, False])
def test_masks_are_merged_and_what_has_no_file_is_zero(make, tmp_path: Path, nested: bool) -> None:
    found = recognise(make.celebamask(tmp_path, nested=nested))
    assert isinstance(found, CelebAMaskHQ)
    assert [path.name for path in found.pictures()] == ["0.jpg", "1.jpg", "2000.jpg"]
    for path, parsing in found.masks():
        assert path.is_file()
        assert parsing.shape == (512, 512)
        assert parsing.dtype == np.uint8
        assert set(np.unique(parsing)) == {0, 1, 2, 13}
        assert parsing[250, 250] == 2  # the nose lies on the skin
        assert parsing[350, 350] == 1
        assert parsing[120, 120] == 13  # hair has the larger number than skin
        assert parsing[0, 0] == 0
    assert found.check(subset=True).counts["masks"] == 9


def test_in_the_other_order_the_numbers_are_the_other_ones(make, tmp_path: Path) -> None:
    found = recognise(make.celebamask(tmp_path))
    _, parsing = next(found.masks("bisenet"))
    assert (parsing[250, 250], parsing[350, 350], parsing[120, 120]) == (10, 1, 17)


def test_official_split_by_the_number_in_celeba(make, tmp_path: Path) -> None:
    found = recognise(make.celebamask(tmp_path))
    assert [list(found.split_keys(f"official/{part}")) for part in ("train", "val", "test")] == [["0"], ["1"], ["2000"]]
    assert [celebamask_part(n) for n in (0, 162_770, 162_771, 182_637, 182_638)] == [
        "official/train",
        "official/train",
        "official/val",
        "official/val",
        "official/test",
    ]
    assert sum(CELEBAMASK_PART_COUNTS.values()) == 30_000


def test_other_peoples_splits() -> None:
    for name, split in CELEBAHQ_SPLITS.items():
        assert len(split.places(30_000)) == split.count, name
    assert list(CELEBAHQ_SPLITS["hisd/test"].places(30_000)) == list(range(3000))
    assert CELEBAHQ_SPLITS["id-guard/train"].places(30_000)[0] == 1000


def test_a_whole_copy(make, counted, tmp_path: Path) -> None:
    counted(CelebAMaskHQ, 3)
    found = recognise(make.celebamask(tmp_path, (0, 1, 2)))
    checked = found.check()
    assert checked.whole, checked.faults
    assert checked.counts == {"pictures": 3, "attributes": 40, "masks": 9}
    assert [values["Bald"] for _, values in found.attributes()] == make.values(3)[:, 4].tolist()


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ-attribute-anno.txt"),
        ("CelebA-HQ-to-CelebA-mapping.txt", "CelebA-HQ-to-CelebA-mapping.txt"),
        ("CelebAMask-HQ-mask-anno/1", "CelebAMask-HQ-mask-anno/1/02000_skin.png"),
        ("CelebAMask-HQ-mask-anno", "CelebAMask-HQ-mask-anno/0/00000_skin.png"),
        ("CelebA-HQ-img", "CelebA-HQ-img/0.jpg"),
    ],
)
def test_what_is_missing_is_named(make, tmp_path: Path, gone: str, named: str) -> None:
    make.celebamask(tmp_path)
    place = tmp_path / gone
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    found = recognise(tmp_path)
    assert isinstance(found, CelebAMaskHQ)
    paths = [str(fault.path.relative_to(tmp_path)) for fault in found.check(subset=gone != "CelebA-HQ-img").faults]
    assert named in paths


@pytest.mark.parametrize("name", ["celeba_hq_256/{:05d}.jpg", "CelebA-HQ-img/{}.png"])
def test_celeba_hq_without_masks(make, counted, tmp_path: Path, name: str) -> None:
    pattern = tmp_path / name
    make.pictures(pattern.parent, [pattern.name.format(i) for i in range(3)], (64, 64))
    found = recognise(pattern.parent)
    assert type(found) is CelebAHQ
    assert "official/test" not in found.splits()
    assert found.split_keys("id-guard/test") == ["0", "1", "2"]
    with pytest.raises(UsageError, match="has no masks"):
        next(found.masks())
    counted(CelebAHQ, 3)
    assert found.check().whole
    counted(CelebAHQ, 5)
    (fault,) = found.check().faults
    assert fault.path.name == pattern.name.format(3)
    assert fault.count == 2


class TestLabels:
    def test_the_tables(self) -> None:
        assert PARTS[:3] == ("skin", "nose", "eye_g")
        assert {name: number for number, name in enumerate(labels("celebamask-hq"))}["cloth"] == 18
        assert {name: number for number, name in enumerate(labels("bisenet"))}["hat"] == 18
        assert labels("bisenet")[:3] == ("background", "skin", "l_brow")
        with pytest.raises(UnknownNameError, match="order of labels"):
            labels("parsenet")

    def test_conversions_are_permutations_and_inverse_to_each_other(self) -> None:
        there, back = conversion("celebamask-hq", "bisenet"), conversion("bisenet", "celebamask-hq")
        assert sorted(there) == list(range(19))
        assert back[there].tolist() == list(range(19))
        assert len(set(LABELS["bisenet"])) == 19
        # face-parsing.PyTorch: nose 10, hair 17, left eye 4
        assert [int(there[i]) for i in (2, 13, 4)] == [10, 17, 4]

    def test_relabel(self) -> None:
        parsing = np.arange(19, dtype=np.uint8).reshape(1, 19)
        after = relabel(parsing, "celebamask-hq", "bisenet")
        np.testing.assert_array_equal(relabel(after, "bisenet", "celebamask-hq"), parsing)
        with pytest.raises(PictureError, match="label 19 is no class"):
            relabel(parsing + 1, "celebamask-hq", "bisenet")

    def test_where_parts_overlap_the_orders_disagree(self, make, tmp_path: Path) -> None:
        """Ear-rings are drawn after hair by one project, and before it by the other."""
        parts = {
            "hair": make.mask(tmp_path / "0_hair.png", (0, 300, 0, 300)),
            "ear_r": make.mask(tmp_path / "0_ear_r.png", (100, 200, 100, 200)),
        }
        one, other = merge(parts), merge(parts, "bisenet")
        assert labels("celebamask-hq")[one[150, 150]] == "ear_r"
        assert labels("bisenet")[other[150, 150]] == "hair"

    def test_grey_levels_and_other_sizes(self, make, tmp_path: Path) -> None:
        dim = make.mask(tmp_path / "dim.png", (0, 512, 0, 512), level=127)
        bright = make.mask(tmp_path / "bright.png", (0, 256, 0, 512), level=128, colour=True)
        assert merge({"skin": dim}).max() == 0
        half = merge({"skin": bright}, side=64)
        assert half.shape == (64, 64)
        assert half[:32].min() == 1
        assert half[32:].max() == 0
        assert merge({}).max() == 0
