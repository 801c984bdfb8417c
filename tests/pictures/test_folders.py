from __future__ import annotations

import io
from pathlib import Path

import pytest

from facefort.errors import UsageError
from facefort.pictures.folders import expand, natural_key, pair_by_stem


@pytest.fixture
def album(tmp_path, monkeypatch) -> Path:
    """Files that a folder of photos holds, with ones that must be left out; the working folder lies in it."""
    for name in ("img10.jpg", "img2.JPG", "img1.png", "note.txt", ".hidden.png", "more/img3.webp", "more/deep/x.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs, stdin=None) -> list[str]:
    return [path.as_posix() for path in expand(inputs, stdin)]


def test_folder_in_natural_order(album):
    assert [path.name for path in expand([str(album)])] == ["img1.png", "img2.JPG", "img10.jpg"]


def test_a_named_file_is_taken_whatever_its_suffix(album):
    assert names(["note.txt"]) == ["note.txt"]


def test_pattern(album):
    assert names(["img*"]) == ["img1.png", "img2.JPG", "img10.jpg"]
    assert names(["**/*.tif"]) == ["more/deep/x.tif"]
    assert names(["img[12]*"]) == ["img1.png", "img2.JPG", "img10.jpg"]


def test_a_file_whose_name_looks_like_a_pattern(album):
    (album / "img[1].jpg").touch()
    assert names(["img[1].jpg"]) == ["img[1].jpg"]


def test_list_on_standard_input(album):
    assert names(["-"], io.StringIO("img10.jpg\r\n\nmore\n")) == ["img10.jpg", "more/img3.webp"]


def test_the_processs_own_standard_input(album, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("img1.png\n"))
    assert names(["-"]) == ["img1.png"]


def test_each_once_under_its_first_name(album):
    (album / "link.jpg").symlink_to(album / "img10.jpg")
    assert names(["img10.jpg", "./img10.jpg", "link.jpg", str(album / "img10.jpg"), "img1*"]) == [
        "img1.png",
        "img10.jpg",
    ]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no input"),
        (["-"], "no input"),
        (["nope.png"], "no file or folder nope.png"),
        (["nope*.png"], "no picture matches nope"),
        (["*.txt"], "no picture matches"),
        (["empty"], "no pictures in empty"),
    ],
)
def test_an_input_that_stands_for_nothing(album, inputs, message):
    (album / "empty").mkdir()
    with pytest.raises(UsageError, match=message):
        expand(inputs, io.StringIO(""))


def test_natural_order():
    ordered = [
        "1.png",
        "2.png",
        "10.png",
        "a/b2.png",
        "a/b10.png",
        "a/B11.png",
        "b.png",
        "img.png",
        "img01.png",
        "img1.png",
    ]
    mixed = ordered[::2] + ordered[1::2]
    assert sorted(mixed, key=lambda name: natural_key(Path(name))) == ordered


def test_pairs():
    left = [Path("l/b.png"), Path("l/a.png"), Path("l/only.png")]
    right = [Path("r/a.jpg"), Path("r/b.webp"), Path("r/extra.jpg")]
    pairs, left_over, right_over = pair_by_stem(left, right)
    assert pairs == [(left[0], right[1]), (left[1], right[0])]
    assert (left_over, right_over) == ([left[2]], [right[2]])


def test_an_ambiguous_pair_is_refused():
    with pytest.raises(UsageError, match=r"r/a\.jpg and r/a\.png have the same name"):
        pair_by_stem([Path("l/a.png")], [Path("r/a.jpg"), Path("r/a.png")])
