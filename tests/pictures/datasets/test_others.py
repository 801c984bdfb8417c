from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefort.errors import PictureError, UnknownNameError, UsageError
from facefort.pictures.datasets import LAYOUTS, NotRecognisedError, recognise
from facefort.pictures.datasets.crops import CELEBA_CROPS, celeba_crop, centre_crop
from facefort.pictures.datasets.ffhq import FFHQ
from facefort.pictures.datasets.lfw import LFW
from facefort.pictures.datasets.scan import Folder, in_order, key_of, plain
from facefort.pictures.datasets.splits import FFHQ_SPLITS
from facefort.runs import RunFolder


def fault_paths(dataset, *, subset: bool = False) -> list[str]:
    return [str(fault.path.relative_to(dataset.root)) for fault in dataset.check(subset=subset).faults]


class TestFFHQ:
    @pytest.fixture
    def nested(self, make, tmp_path: Path) -> Path:
        for thousand, numbers in ((0, (0, 1)), (1000, (1000,)), (69_000, (69_999,))):
            folder = tmp_path / "ffhq-dataset" / "images1024x1024" / f"{thousand:05d}"
            make.pictures(folder, [f"{i:05d}.png" for i in numbers], (64, 64))
        (tmp_path / "ffhq-dataset" / "ffhq-dataset-v2.json").write_text("{}")
        return tmp_path / "ffhq-dataset"

    @pytest.mark.parametrize("below", ["", "images1024x1024"])
    def test_in_folders_of_a_thousand(self, nested: Path, below: str) -> None:
        found = recognise(nested / below)
        assert isinstance(found, FFHQ)
        assert [path.name for path in found.pictures()] == ["00000.png", "00001.png", "01000.png", "69999.png"]
        assert all(path.is_file() for path in found.pictures())
        checked = found.check(subset=True)
        assert checked.whole
        assert checked.splits == {"official/train": 3, "official/val": 1, "hifacegan/train": 3, "hifacegan/test": 1}
        assert found.pattern.endswith(os.path.join("images1024x1024", "*", "*.png"))
        assert not any("ffhq-dataset-v2.json" in note for note in checked.notes)
        (nested / "ffhq-dataset-v2.json").unlink()
        assert any("ffhq-dataset-v2.json" in note for note in found.check(subset=True).notes)
        (fault,) = found.check().faults
        assert fault.path == nested / "images1024x1024/00000/00002.png"
        assert fault.count == 69_996

    def test_the_thumbnails_alone(self, make, tmp_path: Path) -> None:
        make.pictures(tmp_path / "thumbnails128x128" / "05000", ["05001.png"], (128, 128))
        found = recognise(tmp_path)
        assert found.kind == "ffhq"
        assert found.sampled.size == (128, 128)

    @pytest.mark.parametrize(
        ("folder", "names"),
        [
            ("FFHQ_512", ["00000.png", "00001.png"]),
            ("train", ["00000000.png", "00000001.png"]),
            ("images", ["00000.jpg", "31234.jpg"]),
        ],
    )
    def test_in_one_folder(self, make, counted, tmp_path: Path, folder: str, names: list[str]) -> None:
        make.pictures(tmp_path / folder, names, (64, 64))
        found = recognise(tmp_path / folder)
        assert found.kind == "ffhq"
        assert [path.name for path in found.pictures()] == names
        assert len(found.split_keys("official/train")) == 60_000
        counted(FFHQ, 2)
        assert found.check().whole

    def test_missing_pictures_are_named_like_their_neighbours(self, make, tmp_path: Path) -> None:
        make.pictures(tmp_path / "ffhq", ["00000000.png", "00000002.png"], (64, 64))
        found = recognise(tmp_path / "ffhq")
        assert fault_paths(found) == ["00000001.png"]
        with pytest.raises(PictureError, match=r"00000001\.png is missing"):
            list(found.split("hifacegan/train"))

    def test_all_seventy_thousand_without_any_name_to_go_by(self, make, tmp_path: Path) -> None:
        names = [f"{i}.png" for i in range(70_000)]
        make.pictures(tmp_path, names[:2], (32, 32))
        folder = Folder(tmp_path)
        folder.__dict__["_listed"] = (names, [])
        from facefort.pictures.datasets import ffhq

        found = ffhq.find(folder)
        assert found is not None
        assert len(found) == 70_000

    def test_the_splits_are_of_numbers(self) -> None:
        for name, split in FFHQ_SPLITS.items():
            assert len(split.places(70_000)) == split.count, name
        assert list(FFHQ_SPLITS["hifacegan/test"].places(70_000)) == list(range(65_000, 70_000))


class TestLFW:
    @pytest.mark.parametrize(
        ("place", "variant"),
        [("lfw", ""), ("lfw_funneled", "funneled"), ("lfw-deepfunneled/lfw-deepfunneled", "deep-funneled")],
    )
    def test_layouts(self, make, counted, monkeypatch, tmp_path: Path, place: str, variant: str) -> None:
        make.lfw(tmp_path / place)
        (tmp_path / place / "pairs.txt").write_text("10\t300\n")
        found = recognise(tmp_path)
        assert isinstance(found, LFW)
        assert found.variant == variant
        assert [person for _, person in found.identities()] == ["Ada_Lovelace"] * 2 + ["Alan_Turing"] + [
            "Grace_Hopper"
        ] * 3
        assert [path.name for path in found.pictures()][-1] == "Grace_Hopper_0003.jpg"
        counted(LFW, 6)
        monkeypatch.setattr("facefort.pictures.datasets.lfw.PEOPLE", 3)
        checked = found.check()
        assert checked.whole
        assert checked.counts == {"pictures": 6, "people": 3}
        assert not checked.notes

    def test_what_is_missing(self, make, tmp_path: Path) -> None:
        home = make.lfw(tmp_path / "lfw")
        (home / "Grace_Hopper" / "Grace_Hopper_0002.jpg").unlink()
        (home / "Alan_Turing" / "Alan_Turing_0001.jpg").unlink()
        found = recognise(tmp_path / "lfw")
        assert fault_paths(found, subset=True) == ["Alan_Turing", "Grace_Hopper/Grace_Hopper_0002.jpg"]
        whole = [fault.what for fault in found.check().faults]
        assert "pictures: there are 4, a whole copy has 13,233" in whole
        assert "people: there are 2, a whole copy has 5,749" in whole


class TestTestSets:
    @pytest.mark.parametrize(
        ("kind", "count"),
        # The N of AS-FIBA's table II, CodeFormer's WIDER-Test, and the other WebPhoto in circulation.
        [
            ("celebchild-test", 180),
            ("webphoto-test", 407),
            ("lfw-test", 1711),
            ("wider-test", 970),
            ("webphoto-test", 469),
        ],
    )
    def test_count_and_size_tell(self, make, tmp_path: Path, kind: str, count: int) -> None:
        make.links(tmp_path / "inputs", [f"{i:05d}_00.png" for i in range(count)], (512, 512))
        found = recognise(tmp_path / "inputs")
        assert found.kind == kind
        assert not found.certain
        assert found.check().whole

    def test_a_name_makes_it_certain(self, make, tmp_path: Path) -> None:
        make.links(tmp_path / "CelebChild-Test", [f"{i}.png" for i in range(180)], (512, 512))
        assert recognise(tmp_path / "CelebChild-Test").certain
        people = [f"Ada_Lovelace{i}_0001_00.png" for i in range(1711)]
        make.links(tmp_path / "x", people, (512, 512))
        assert recognise(tmp_path / "x").certain

    def test_a_named_set_with_another_count_or_size_is_not_whole(self, make, tmp_path: Path) -> None:
        make.links(tmp_path / "WebPhoto-Test", [f"{i}.png" for i in range(5)], (256, 256))
        found = recognise(tmp_path / "WebPhoto-Test")
        assert found.kind == "webphoto-test"
        assert [fault.what for fault in found.check().faults] == [
            "pictures: there are 5, a whole copy has 407 or 469",
            "pictures of 256 x 256 px, not of 512",
        ]

    def test_as_many_small_pictures_are_just_faces(self, make, tmp_path: Path) -> None:
        make.links(tmp_path / "a", [f"{i}.png" for i in range(180)], (128, 128))
        assert recognise(tmp_path / "a").kind == "faces"

    def test_the_users_word_counts(self, make, tmp_path: Path) -> None:
        make.links(tmp_path / "a", [f"{i}.png" for i in range(180)], (512, 512))
        assert recognise(tmp_path / "a", "faces").kind == "faces"
        assert recognise(tmp_path / "a", "wider-test").kind == "wider-test"
        assert not recognise(tmp_path / "a", "wider-test").check().whole
        assert recognise(tmp_path / "a", "ffhq").kind == "ffhq"
        with pytest.raises(NotRecognisedError, match="looked for LFW: Name_Surname"):
            recognise(tmp_path / "a", "lfw")
        with pytest.raises(UnknownNameError, match="did you mean ffhq"):
            recognise(tmp_path / "a", "fhq")


class TestPairs:
    def test_pairs_by_name_not_by_place(self, make, tmp_path: Path) -> None:
        make.pictures(tmp_path / "HQ", [f"{i:08d}.png" for i in range(3)], (64, 64))
        make.pictures(tmp_path / "lq", [f"{i}.jpg" for i in range(1, 4)], (64, 64))
        found = recognise(tmp_path)
        assert found.kind == "pairs"
        assert [(low.name, high.name) for low, high in found.pairs()] == [
            ("1.jpg", "00000001.png"),
            ("2.jpg", "00000002.png"),
        ]
        checked = found.check()
        assert checked.counts == {"pictures": 3, "originals": 3, "pairs": 2}
        assert fault_paths(found) == ["HQ/3.jpg", "lq/00000000.png"]

    def test_celeba_test(self, make, tmp_path: Path) -> None:
        names = [f"{i:08d}.png" for i in range(3000)]
        for folder in ("hq", "lq"):
            make.links(tmp_path / folder, names, (32, 32))
        found = recognise(tmp_path)
        assert found.kind == "celeba-test"
        assert found.check().whole
        assert sum(1 for _ in found.pairs()) == 3000


class TestPlain:
    def test_aligned_faces_and_photos(self, make, tmp_path: Path) -> None:
        make.pictures(tmp_path / "a", ["x.png", "y.webp", "z.JPEG"], (96, 96))
        faces = recognise(tmp_path / "a")
        assert faces.kind == "faces"
        assert faces.check().notes[0].startswith("a folder of 3 square pictures of 96 px")
        make.pictures(tmp_path / "a", ["w.png"], (96, 128))
        photos = recognise(tmp_path / "a")
        assert photos.kind == "photos"
        assert "96 x 128" in photos.check().notes[0]
        for ask in (photos.attributes, photos.identities, photos.masks, photos.pairs, lambda: photos.split_keys("x")):
            with pytest.raises(UsageError, match="has no"):
                ask()

    def test_a_run_of_this_program(self, make, tmp_path: Path) -> None:
        with RunFolder.open(tmp_path / "run", verb="audit", settings={}, provenance={}) as run:
            run.expect(2)
            run.add("quality", "a.png", {"x": 1.0})
            make.face(32, 32).save(run.picture("a.png", "restored"))
        found = recognise(tmp_path / "run")
        assert found.kind == "run"
        checked = found.check()
        assert checked.notes == ["audit, interrupted: 1 rows done, 0 failed"]
        assert checked.counts == {"pictures": 1, "rows": 1}
        assert [fault.count for fault in checked.faults] == [1]
        (tmp_path / "run" / "run.json").write_text("{")
        assert "not a run's record" in recognise(tmp_path / "run").check().faults[0].what

    def test_an_lmdb_is_named_and_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "data.mdb").write_bytes(b"\0")
        (tmp_path / "meta_info.txt").write_text("00000000.png (512,512,3) 1\n00000001.png (512,512,3) 1\n")
        found = recognise(tmp_path)
        assert found.kind == "lmdb"
        assert found.check().counts == {"pictures in the list": 2}
        with pytest.raises(UsageError, match="write its pictures to files"):
            found.pictures()


class TestNotRecognised:
    def test_what_was_looked_for_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(
            NotRecognisedError, match=r"0 pictures, 1 other files and 0 folders in it.*looked for"
        ) as caught:
            recognise(tmp_path)
        for layout in LAYOUTS:
            assert layout.facts.layout in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_several_side_by_side_are_listed(self, make, tmp_path: Path) -> None:
        make.lfw(tmp_path / "lfw")
        make.celeba(tmp_path / "celeba")
        with pytest.raises(NotRecognisedError, match=r"several data sets.*celeba \(CelebA\).*lfw \(LFW\)"):
            recognise(tmp_path)

    def test_what_is_no_folder(self, make, tmp_path: Path) -> None:
        make.pictures(tmp_path, ["a.png"], (8, 8))
        with pytest.raises(UsageError, match="is a file; name the folder"):
            recognise(tmp_path / "a.png")
        with pytest.raises(UsageError, match="does not exist"):
            recognise(tmp_path / "nope")

    def test_a_folder_that_may_not_be_listed_is_passed_over_below_and_refused_on_top(
        self, make, tmp_path: Path, monkeypatch
    ) -> None:
        make.pictures(tmp_path / "a" / "faces", ["x.png"], (64, 64))
        closed = tmp_path / "a" / "lost+found"
        closed.mkdir()
        scandir = os.scandir

        def guarded(path):
            if path == closed:
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)
        assert recognise(tmp_path / "a").kind == "faces"
        with pytest.raises(UsageError, match=r"cannot list .*: Permission denied"):
            recognise(closed)

    def test_a_wide_tree_is_not_walked(self, tmp_path: Path, monkeypatch) -> None:
        for i in range(300):
            (tmp_path / f"{i}" / "inner").mkdir(parents=True)
        listed = []
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
        with pytest.raises(NotRecognisedError):
            recognise(tmp_path)
        assert len(listed) < 260


class TestCrops:
    def test_the_same_pixels_as_torchvisions_centre_crop(self) -> None:
        rows, columns = np.mgrid[0:218, 0:178]
        picture = np.stack([rows, columns], 2)
        stargan, cmua = (centre_crop(picture, CELEBA_CROPS[rule]) for rule in ("stargan", "cmua"))
        # int(round((218 - 178) / 2)) and int(round((218 - 170) / 2)), int(round((178 - 170) / 2))
        assert (stargan[0, 0].tolist(), stargan.shape) == ([20, 0], (178, 178, 2))
        assert (cmua[0, 0].tolist(), cmua[-1, -1].tolist()) == ([24, 4], [193, 173])
        with pytest.raises(PictureError, match="does not fit into 100 x 218"):
            centre_crop(picture[:, :100], 178)

    def test_resized_as_the_loaders_do(self, make) -> None:
        image = make.face(178, 218)
        picture = np.asarray(image, np.float32) / 255
        theirs = image.crop((0, 20, 178, 198)).resize((128, 128), Image.Resampling.BILINEAR)
        found = celeba_crop(picture, "stargan", 128)
        np.testing.assert_allclose(found, np.asarray(theirs, np.float32) / 255, atol=1e-6)
        with pytest.raises(UnknownNameError, match="did you mean stargan"):
            celeba_crop(picture, "stargan2", 128)


class TestNames:
    def test_keys(self) -> None:
        assert [key_of(text) for text in ("000001", "1", "0", "00000", "a01")] == ["1", "1", "0", "0", "a01"]

    def test_order(self) -> None:
        assert in_order(["10.jpg", "9.png", "000008.jpg"]) == ["000008.jpg", "9.png", "10.jpg"]
        assert in_order(["b10", "B9", "a"]) == ["a", "B9", "b10"]

    def test_plain(self) -> None:
        assert plain("CelebA-HQ img_2") == "celebahqimg2"
