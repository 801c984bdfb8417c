"""`facefort restore` as it is typed: what it writes, prints, keeps, and does again."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from facefort import samples
from facefort.app.cli.main import run
from facefort.models import zoo
from facefort.pictures.photo import Photo

pytestmark = pytest.mark.weights("centerface", "facemesh", "dlib-resnet")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def table(out: Path) -> list[dict[str, str]]:
    with (out / "faces.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def pixels(path: Path) -> np.ndarray:
    return Photo.read(path).pixels


@pytest.fixture
def photos(scenes, tmp_path: Path) -> Path:
    """A photo of two faces, one of one face, and one of none."""
    scenes.write(tmp_path / "photos" / "couple.png", 0, 1)
    scenes.write(tmp_path / "photos" / "one.jpg", 2)
    scenes.write(tmp_path / "photos" / "wall.png")
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_what_is_written(restore, photos, out):
    done = restore(photos)
    assert (done.code, done.err) == (0, "")
    faces = ["couple_00.png", "couple_01.png", "one_00.png"]
    assert names(out / "cropped_faces") == names(out / "restored_faces") == names(out / "cmp") == faces
    assert names(out / "restored_imgs") == ["couple.png", "one.jpg", "wall.png"]
    for name in faces:
        sides = [pixels(out / folder / name) for folder in ("cropped_faces", "restored_faces")]
        assert sides[0].shape == (64, 64, 3)
        assert np.array_equal(np.hstack(sides), pixels(out / "cmp" / name))
    before, after = pixels(photos / "couple.png"), pixels(out / "restored_imgs" / "couple.png")
    assert np.array_equal(before[:8], after[:8])
    assert not np.array_equal(before, after)
    assert (out / "report.html").read_text(encoding="utf-8").count("couple.png") > 0
    assert [line.split(":")[0] for line in done.out.splitlines()[:3]] == ["couple.png", "one.jpg", "wall.png"]
    assert done.out.splitlines()[-1].startswith("3 photos, 3 faces. Photos: ")


def test_the_record_of_a_run(restore, photos, out, checkpoint):
    restore(photos, "-w", "0.25")
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (record["verb"], record["status"]) == ("restore", "done")
    assert record["counts"] == {"done": 6, "failed": 0, "left": 0}
    assert (record["settings"]["model"], record["settings"]["weight"]) == (str(checkpoint), 0.25)
    assert set(record["provenance"]["weights"]) == {checkpoint.stem}
    rows = table(out)
    assert [(row["photo"], row["face"], row["status"]) for row in rows] == [
        ("couple.png", "0", "done"),
        ("couple.png", "1", "done"),
        ("one.jpg", "0", "done"),
    ]
    assert all(row["same_person"] in ("yes", "no", "unsure") and float(row["w"]) == 0.25 for row in rows)


def test_an_edited_face_list_is_followed_and_left_as_it_is(restore, photos, out):
    restore(photos / "couple.png")
    listed = json.loads((out / "faces.json").read_text(encoding="utf-8"))
    assert [entry["photo"] for entry in listed["faces"]] == ["couple.png", "couple.png"]
    dropped = listed["faces"].pop(0)
    edited = json.dumps(listed)
    (out / "faces.json").write_text(edited, encoding="utf-8")

    command = (photos / "couple.png", "--faces", out / "faces.json")
    refused = restore(*command)
    assert refused.code == 2
    assert "--force" in refused.fault
    done = restore(*command, "--force")
    assert done.code == 0
    assert done.out.startswith("couple.png: 1 face: ")
    x0, y0, x1, y1 = (round(edge) for edge in dropped["box"])
    before, after = pixels(photos / "couple.png"), pixels(out / "restored_imgs" / "couple.png")
    assert np.array_equal(before[y0:y1, x0:x1], after[y0:y1, x0:x1])
    assert not np.array_equal(before, after)
    assert (out / "faces.json").read_text(encoding="utf-8") == edited
    assert "already done" in restore(*command).out


def test_a_second_run_keeps_everything_and_force_does_it_again(restore, photos, out):
    first = restore(photos)
    written = {path: path.stat().st_mtime_ns for path in (out / "restored_imgs").iterdir()}
    second = restore(photos)
    assert (second.code, second.err) == (0, "")
    assert second.out.count("already done") == 3
    assert {path: path.stat().st_mtime_ns for path in (out / "restored_imgs").iterdir()} == written
    forced = restore(photos, "--force")
    assert [line.rsplit(",", 1)[0] for line in forced.out.splitlines()[:3]] == [
        line.rsplit(",", 1)[0] for line in first.out.splitlines()[:3]
    ]
    assert all(path.stat().st_mtime_ns > before for path, before in written.items())


def test_other_settings_in_the_same_folder_are_refused(restore, photos, out):
    restore(photos / "wall.png")
    refused = restore(photos / "wall.png", "-w", "0.5")
    assert refused.code == 2
    assert "now weight = 0.5; add --force to start it over" in refused.fault


def test_json_is_one_object_a_photo_and_nothing_else(restore, photos):
    (photos / "broken.png").write_bytes(b"")
    done = restore(photos, "--json")
    assert (done.code, done.err) == (1, "")
    told = {line["photo"]: line for line in map(json.loads, done.out.splitlines())}
    assert {name: (line["status"], len(line["faces"])) for name, line in told.items()} == {
        "broken.png": ("failed", 0),
        "couple.png": ("done", 2),
        "one.jpg": ("done", 1),
        "wall.png": ("done", 0),
    }
    assert "is empty" in told["broken.png"]["reason"]
    assert told["one.jpg"]["output"] == "restored_imgs/one.jpg"
    assert told["one.jpg"]["faces"][0]["same_person"] in ("yes", "no", "unsure")


def test_a_list_on_standard_input(restore, photos, out, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{photos / 'one.jpg'}\n\n{photos / 'wall.png'}\n"))
    assert restore("-").code == 0
    assert names(out / "restored_imgs") == ["one.jpg", "wall.png"]


def test_a_pattern(restore, photos, out):
    assert restore(f"{photos}/*.png").code == 0
    assert names(out / "restored_imgs") == ["couple.png", "wall.png"]


def test_two_photos_of_one_name_are_both_kept(restore, scenes, tmp_path, out):
    places = [scenes.write(tmp_path / place / "me.png", number) for number, place in enumerate(("old", "new"))]
    assert restore(*places).code == 0
    restored = names(out / "restored_imgs")
    assert len(restored) == 2
    assert "me.png" in restored
    assert len({row["photo"] for row in table(out)}) == 2
    again = restore(*places)
    assert again.out.count("already done") == 2


def test_scale_doubles_the_photo(restore, photos, out):
    assert restore(photos, "-s", "2").code == 0
    for name in names(photos):
        height, width, _ = pixels(photos / name).shape
        assert pixels(out / "restored_imgs" / name).shape == (2 * height, 2 * width, 3)


def test_an_aligned_face_is_restored_as_a_whole(restore, scenes, tmp_path, out):
    Photo.from_array(scenes.faces[0]).write(tmp_path / "aligned.png")
    assert restore(tmp_path / "aligned.png", "--aligned").code == 0
    assert names(out / "cmp") == ["aligned_00.png"]
    before, after = pixels(tmp_path / "aligned.png"), pixels(out / "restored_imgs" / "aligned.png")
    assert before.shape == after.shape
    changed = np.abs(before - after).max(2) > 1 / 255
    assert changed[0].any()
    assert changed.mean() > 0.9


def test_a_photo_is_no_aligned_face(restore, photos):
    done = restore(photos / "couple.png", "--aligned")
    assert done.code == 1
    assert "couple.png: failed: " in done.out
    assert "leave out --aligned" in done.out


def test_weight_1_gives_every_face_back(restore, photos, out):
    assert restore(photos / "couple.png", "-w", "1").code == 0
    for name in names(out / "cmp"):
        assert np.array_equal(pixels(out / "cropped_faces" / name), pixels(out / "restored_faces" / name))
    assert all(float(row["identity"]) == pytest.approx(0, abs=0.02) for row in table(out))
    assert (out / "restored_imgs" / "couple.png").read_bytes() == (photos / "couple.png").read_bytes()


def test_only_the_face_in_the_centre(restore, scenes, tmp_path, out):
    done = restore(scenes.write(tmp_path / "row.png", 0, 1, 2), "--only_center_face")
    assert done.code == 0
    assert sorted(row["status"] for row in table(out)) == ["done", "skipped", "skipped"]
    (restored,) = [row for row in table(out) if row["status"] == "done"]
    assert float(restored["x"]) == pytest.approx(160 + 16 + 64 - float(restored["width"]) / 2, abs=20)


@pytest.mark.parametrize("name", zoo.names())
def test_every_model_of_the_zoo_restores_a_photo_and_keeps_the_person(name, out, capsys):
    photo = samples.photos()[-1]
    assert run(["restore", str(photo), "-o", str(out), "-m", name, "--backend", "torch"]) == 0
    rows = table(out)
    assert rows
    assert all(row["same_person"] in ("yes", "unsure") for row in rows)
    assert all(float(row["sharpness_after"]) > float(row["sharpness_before"]) for row in rows)
    assert f"{name} was computed by torch in " in capsys.readouterr().out
