"""`facefort data`: exit codes, what it prints, and that its next command exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facefort.app.cli.main import VERBS


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    home = tmp_path / "my celeba" / "img_align_celeba"
    home.mkdir(parents=True)
    for i in (1, 2, 3):
        Image.new("RGB", (178, 218), (40 * i, 90, 120)).save(home / f"{i:06d}.jpg")
    rows = "".join(f"{i:06d}.jpg,1,-1\n" for i in (1, 2, 3))
    (home.parent / "list_attr_celeba.csv").write_text("image_id,Male,Young\n" + rows)
    return home.parent


def test_a_part_that_is_whole(facefort: Callable[..., Any], celeba: Path) -> None:
    said = facefort("data", "check", celeba, "--subset")
    assert said.code == 0
    assert said.out.startswith(f"CelebA in {celeba / 'img_align_celeba'}\n")
    assert "3 pictures of 178 x 218 px, 2 attributes" in said.out
    assert "non-commercial research" in said.out
    assert f"whole; next: facefort restore '{celeba / 'img_align_celeba'}' --limit 8" in said.out


def test_what_is_missing_is_exit_code_one(facefort: Callable[..., Any], celeba: Path) -> None:
    said = facefort("data", "check", celeba)
    assert said.code == 1
    assert f"missing     {celeba / 'img_align_celeba/000004.jpg'} (and 202,595 more)" in said.out
    assert f"missing     {celeba / 'list_eval_partition.csv'}" in said.out


def test_a_picture_cut_off_is_found_by_reading_it(facefort: Callable[..., Any], celeba: Path) -> None:
    path = celeba / "img_align_celeba/000002.jpg"
    Image.effect_noise((178, 218), 60).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:6000])
    assert facefort("data", "check", celeba, "--subset").code == 0
    said = facefort("data", "check", celeba, "--subset", "--read")
    assert said.code == 1
    assert said.out.count("missing ") == 1
    assert f"missing     {path}: picture that can be read" in said.out


def test_json_holds_everything(facefort: Callable[..., Any], celeba: Path) -> None:
    said = facefort("data", "check", celeba, "--subset", "--json")
    found = json.loads(said.out)
    assert (found["kind"], found["whole"], found["certain"]) == ("celeba", True, True)
    assert found["counts"] == {"pictures": 3, "attributes": 2}
    assert found["size"] == [178, 218]
    assert found["splits"]["stargan/test"]["count"] == 3
    assert len(found["splits"]["stargan/test"]["sha256"]) == 64
    assert found["next"].split()[1] in VERBS


def test_what_is_not_recognised_is_exit_code_two(facefort: Callable[..., Any], tmp_path: Path) -> None:
    said = facefort("data", "check", tmp_path)
    assert said.code == 2
    assert "looked for" in said.fault
    assert facefort("data", "check", tmp_path / "nope").code == 2


def test_a_likely_test_set_says_how_to_contradict(facefort: Callable[..., Any], tmp_path: Path) -> None:
    for i in range(180):
        Image.new("L", (512, 512)).save(tmp_path / f"{i}.png") if i == 0 else (tmp_path / f"{i}.png").hardlink_to(
            tmp_path / "0.png"
        )
    said = facefort("data", "check", tmp_path)
    assert said.code == 0
    assert said.out.startswith("likely CelebChild-Test in")
    assert "--as faces" in said.out
    assert "--preset none" in said.out
    assert facefort("data", "check", tmp_path, "--as", "faces").out.startswith("aligned faces in")


def test_splits_are_listed(facefort: Callable[..., Any], celeba: Path) -> None:
    listed = facefort("data", "split", celeba).out.splitlines()
    assert [line.split()[0] for line in listed] == [
        "stargan/test",
        "stargan/train",
        "cmua/train",
        "cmua/val",
        "cmua/test",
    ]
    assert len(listed[0].split()[2]) == 64
    said = facefort("data", "split", celeba, "stargan/test")
    assert sorted(said.out.splitlines()) == [str(celeba / f"img_align_celeba/{i:06d}.jpg") for i in (1, 2, 3)]
    assert sorted(facefort("data", "split", celeba, "stargan/test", "--keys").out.split()) == ["1", "2", "3"]
    wrong = facefort("data", "split", celeba, "stargan/tets")
    assert wrong.code == 2
    assert "did you mean stargan/test" in wrong.fault


def test_a_split_with_a_missing_picture_fails_at_it(facefort: Callable[..., Any], celeba: Path) -> None:
    (celeba / "img_align_celeba/000002.jpg").unlink()
    said = facefort("data", "split", celeba, "stargan/test")
    assert said.code == 1
    assert "000002.jpg is missing" in said.fault


@pytest.mark.parametrize("kind", ["datasets", "security-metrics"])
def test_ls(facefort: Callable[..., Any], kind: str) -> None:
    rows = json.loads(facefort("ls", kind, "--json").out)
    assert len(rows) > 10
    assert facefort("ls", kind, "lfw*" if kind == "datasets" else "dsr*").out.count("\n") == 2
