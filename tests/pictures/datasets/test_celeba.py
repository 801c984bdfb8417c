from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from facefort.errors import PictureError, UsageError
from facefort.pictures.datasets import recognise
from facefort.pictures.datasets.celeba import CelebA
from facefort.pictures.datasets.splits import CELEBA_PART_COUNTS, CELEBA_SPLITS
from facefort.pictures.datasets.tables import AttributeTable, MappingTable, NumberTable, read_table


def content(dataset: CelebA) -> list[tuple[str, dict[str, int]]]:
    return [(path.name, values) for path, values in dataset.attributes()]


def faults(dataset, *, subset: bool = True) -> list[str]:
    found = dataset.check(subset=subset).faults
    return [f"{fault.path.relative_to(dataset.root)}: {fault.what} x{fault.count}" for fault in found]


LAYOUTS = {
    "owners": {},
    "kaggle": {"csv": True, "home": "img_align_celeba/img_align_celeba"},
    "owners' folders": {"home": "Img/img_align_celeba"},
    "other name": {"home": "faces"},
    "png": {"ending": "png"},
    "upper case": {"ending": "JPG"},
    "webp": {"ending": "webp"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same(make, counted, tmp_path: Path, layout) -> None:
    make.celeba(tmp_path, **layout)
    counted(CelebA, 6)
    found = recognise(tmp_path)
    assert isinstance(found, CelebA)
    assert [path.stem for path in found.pictures()] == [f"{i:06d}" for i in range(1, 7)]
    assert all(path.is_file() for path in found.pictures())
    table = np.array([list(values.values()) for _, values in found.attributes()])
    np.testing.assert_array_equal(table, make.values(6))
    assert list(next(found.attributes())[1]) == list(make.ATTRIBUTES)
    assert [path.stem for path in found.split("official/val")] == ["000005"]
    assert [path.stem for path in found.split("official/test")] == ["000006"]
    checked = found.check()
    assert checked.whole, checked.faults
    assert checked.counts["pictures"] == 6
    assert checked.counts["attributes"] == 40
    assert found.sampled.size == (178, 218)


def test_tables_in_the_owners_folders(make, counted, tmp_path: Path) -> None:
    make.celeba(tmp_path, home="Img/img_align_celeba")
    for folder, names in (
        ("Anno", ("list_attr_celeba.txt", "identity_CelebA.txt")),
        ("Eval", ("list_eval_partition.txt",)),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / name).rename(tmp_path / folder / name)
    counted(CelebA, 6)
    found = recognise(tmp_path)
    assert found.check().whole
    assert found.check().counts["people"] == 3


def test_identities_follow_the_pictures(make, tmp_path: Path) -> None:
    found = recognise(make.celeba(tmp_path))
    people = [(path.name, person) for path, person in found.identities()]
    assert people[:3] == [("000001.jpg", "100"), ("000002.jpg", "100"), ("000003.jpg", "101")]
    without = recognise(make.celeba(tmp_path / "kaggle", csv=True))
    with pytest.raises(UsageError, match="has no identities"):
        without.identities()
    assert any("identity_CelebA.txt is not there" in note for note in without.check(subset=True).notes)


def test_numbers_without_zeros_and_a_gap_join_the_table(make, tmp_path: Path) -> None:
    make.celeba(tmp_path, 12)
    home = tmp_path / "img_align_celeba"
    for path in list(home.iterdir()):
        path.rename(home / f"{int(path.stem)}{path.suffix}")
    (home / "10.jpg").unlink()
    found = recognise(tmp_path)
    assert [path.name for path in found.pictures()] == [f"{i}.jpg" for i in (*range(1, 10), 11, 12)]
    rows = content(found)
    assert [name for name, _ in rows][-2:] == ["11.jpg", "12.jpg"]
    assert list(rows[-1][1].values()) == make.values(12)[11].tolist()


def test_a_picture_that_is_missing_is_named(make, counted, tmp_path: Path) -> None:
    make.celeba(tmp_path)
    (tmp_path / "img_align_celeba/000004.jpg").unlink()
    found = recognise(tmp_path)
    assert faults(found) == []
    counted(CelebA, 6)
    assert faults(found, subset=False) == ["img_align_celeba/000004.jpg: picture; there are 5 of 6 x1"]
    with pytest.raises(PictureError, match=r"img_align_celeba/000004\.jpg is missing"):
        list(found.split("official/train"))


def test_a_table_that_is_missing_is_named_where_it_should_be(make, tmp_path: Path) -> None:
    make.celeba(tmp_path)
    (tmp_path / "list_attr_celeba.txt").unlink()
    (tmp_path / "list_eval_partition.txt").unlink()
    found = recognise(tmp_path)
    assert isinstance(found, CelebA)  # by 178 x 218 alone
    assert faults(found) == ["list_attr_celeba.txt: table of attributes; without it: no attributes x1"]
    assert any("list_eval_partition.txt" in each for each in faults(found, subset=False))
    with pytest.raises(UsageError, match="has no attributes"):
        found.attributes()
    with pytest.raises(UsageError, match="no split 'official/test'"):
        found.split_keys("official/test")


def test_a_folder_that_is_missing_is_named(make, tmp_path: Path) -> None:
    make.celeba(tmp_path, csv=True)
    for path in (tmp_path / "img_align_celeba").iterdir():
        path.unlink()
    (tmp_path / "img_align_celeba").rmdir()
    found = recognise(tmp_path)
    assert isinstance(found, CelebA)
    assert faults(found, subset=False)[0].startswith("img_align_celeba/000001.jpg: picture; there are 0 of 202,599")


def test_a_table_cut_off_is_noticed(make, tmp_path: Path) -> None:
    make.celeba(tmp_path)
    make.attribute_text(tmp_path / "list_attr_celeba.txt", [f"{i:06d}.jpg" for i in range(1, 5)], declared=6)
    assert faults(recognise(tmp_path)) == [
        "list_attr_celeba.txt: rows: its first line says 6, there are 4 x2",
        "list_attr_celeba.txt: row of 000005.jpg; without it: no attributes of it x2",
    ]


def test_a_broken_row_is_named_by_its_line(make, tmp_path: Path) -> None:
    make.celeba(tmp_path)
    table = tmp_path / "list_attr_celeba.txt"
    lines = table.read_text().splitlines()
    lines[4] = lines[4].rsplit(None, 1)[0]
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(PictureError, match=r"list_attr_celeba\.txt, line 5: a name and 40 values"):
        list(recognise(tmp_path).attributes())


def test_a_damaged_picture_and_one_that_is_there_twice(make, tmp_path: Path) -> None:
    home = make.celeba(tmp_path) / "img_align_celeba"
    (home / "000002.jpg").write_bytes(b"")
    make.face(178, 218).save(home / "3.png")
    assert faults(recognise(tmp_path)) == [
        "img_align_celeba/000002.jpg: picture is empty x1",
        "img_align_celeba/3.png: the same picture as 000003.jpg; remove one x1",
    ]


def test_stargans_split_is_that_of_its_loader(make, tmp_path: Path) -> None:
    names = [f"{i:06d}.jpg" for i in range(1, 2501)]
    make.attribute_text(tmp_path / "list_attr_celeba.txt", names)
    found = recognise(tmp_path)
    # What the loader does with the file, line by line.
    lines = [line.rstrip() for line in (tmp_path / "list_attr_celeba.txt").open()][2:]
    random.seed(1234)
    random.shuffle(lines)
    test = [line.split()[0] for i, line in enumerate(lines) if i + 1 < 2000]
    train = [line.split()[0] for i, line in enumerate(lines) if i + 1 >= 2000]
    assert [f"{int(key):06d}.jpg" for key in found.split_keys("stargan/test")] == test
    assert [f"{int(key):06d}.jpg" for key in found.split_keys("stargan/train")] == train
    note = " ".join(found.check(subset=True).notes)
    assert "not as published" in note
    assert "stargan/train" in note


def test_the_published_splits_have_the_published_counts() -> None:
    total = 202_599
    for name, split in CELEBA_SPLITS.items():
        assert len(split.places(total)) == split.count, name
    assert CELEBA_SPLITS["cmua/test"].places(total)[0] == 182_637
    assert sum(CELEBA_PART_COUNTS.values()) == total
    parts = [set(CELEBA_SPLITS[f"stargan/{part}"].places(total)) for part in ("train", "test")]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == total


def test_a_splits_digest_is_that_of_the_pictures_not_of_the_layout(make, tmp_path: Path) -> None:
    text = recognise(make.celeba(tmp_path / "a"))
    other = recognise(make.celeba(tmp_path / "b", csv=True, home="x/x", ending="png"))
    assert text.splits() == other.splits()
    for name in text.splits():
        assert text.split_digest(name) == other.split_digest(name)
    assert text.split_digest("official/val") != text.split_digest("official/test")


def test_pictures_in_the_wild_are_not_for_the_crops(make, tmp_path: Path) -> None:
    make.celeba(tmp_path)
    make.pictures(tmp_path / "img_align_celeba", [f"{i:06d}.jpg" for i in range(1, 7)], (300, 400))
    assert any("crops do not apply" in note for note in recognise(tmp_path).check(subset=True).notes)


class TestTables:
    def test_kinds_are_known_by_content(self, make, tmp_path: Path) -> None:
        make.celebamask(tmp_path)
        assert isinstance(read_table(tmp_path / "CelebAMask-HQ-attribute-anno.txt"), AttributeTable)
        assert isinstance(read_table(tmp_path / "CelebA-HQ-to-CelebA-mapping.txt"), MappingTable)
        assert read_table(tmp_path / "CelebAMask-HQ-pose-anno.txt") is None

    def test_partition_and_identities_are_told_apart_by_their_numbers(self, make, tmp_path: Path) -> None:
        make.celeba(tmp_path)
        (tmp_path / "list_eval_partition.txt").rename(tmp_path / "a.txt")
        (tmp_path / "identity_CelebA.txt").rename(tmp_path / "b.txt")
        found = recognise(tmp_path)
        assert [path.stem for path in found.split("official/test")] == ["000006"]
        assert next(found.identities())[1] == "100"

    @pytest.mark.parametrize("text", ["", "\n\n", "hello\n", "1,2\n3,4\n", "a.jpg b\n", "\x00\xff"])
    def test_other_files_are_no_tables(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "x.txt"
        path.write_bytes(text.encode("latin1"))
        assert read_table(path) is None

    def test_zero_and_one_are_read_as_minus_one_and_one(self, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_text("image_id,Bald,Young\n1.jpg,0,1\n")
        table = read_table(path)
        assert isinstance(table, AttributeTable)
        assert list(table.rows()) == [("1.jpg", (-1, 1))]

    def test_broken_rows_of_the_others(self, tmp_path: Path) -> None:
        path = tmp_path / "x.txt"
        path.write_text("1.jpg 0\n2.jpg\n")
        table = read_table(path)
        assert isinstance(table, NumberTable)
        with pytest.raises(PictureError, match="line 2"):
            list(table.rows())
        path.write_text("idx orig_idx orig_file\n0 x y\n")
        mapping = read_table(path)
        assert isinstance(mapping, MappingTable)
        with pytest.raises(PictureError, match="line 2"):
            list(mapping.rows())
