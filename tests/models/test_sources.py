from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facefort import samples
from facefort.errors import FacefortError, UnknownNameError, UsageError
from facefort.faces.detect import detector
from facefort.models import prior
from facefort.models.sources import SOURCES, Unread, faces, name_files, resize
from facefort.pictures.photo import Photo


class Painter:
    """Stands in for the generator: one flat colour per seed."""

    def __init__(self) -> None:
        self.drawn: list[tuple[int, int]] = []

    def draw(self, seeds: Sequence[int], size: int) -> Tensor:
        self.drawn += [(seed, size) for seed in seeds]
        return torch.stack([torch.full((3, size, size), seed / 255) for seed in seeds])


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Painter:
    stand_in = Painter()
    monkeypatch.setattr(prior, "prior", lambda: stand_in)
    return stand_in


def save(path: Path, level: int = 128, size: tuple[int, int] = (32, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 20, 200)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five files: faces of level 10, 20 and 30, one damaged, one that is not square."""
    for name, level in (("a", 10), ("c", 20), ("e", 30)):
        save(tmp_path / "in" / f"{name}.png", level)
    (tmp_path / "in" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n but nothing more")
    save(tmp_path / "in" / "d.png", size=(32, 24))
    return tmp_path / "in"


# Generated faces


def test_both_ends_of_a_range_of_seeds_are_drawn(painter: Painter) -> None:
    source = faces("synthetic:9..12", 64)
    assert len(source) == 4
    assert source.names == ["synthetic-000009", "synthetic-000010", "synthetic-000011", "synthetic-000012"]
    batches = list(source.batches(3))
    assert [batch.names for batch in batches] == [source.names[:3], source.names[3:]]
    assert batches[0].faces.shape == (3, 3, 64, 64)
    assert [round(float(face.mean() * 255)) for batch in batches for face in batch.faces] == [9, 10, 11, 12]
    assert not any(batch.failed for batch in batches)


def test_faces_are_drawn_when_they_are_asked_for(painter: Painter) -> None:
    source = faces("synthetic:0..99999", 32)
    batches = source.batches(2)
    assert painter.drawn == []
    next(batches)
    assert painter.drawn == [(0, 32), (1, 32)]


@pytest.mark.parametrize(("size", "drawn"), [(256, 256), (112, 128), (300, 512), (1024, 1024)])
def test_odd_sizes_are_drawn_larger_and_resized(painter: Painter, size: int, drawn: int) -> None:
    (batch,) = faces("synthetic:7..7", size).batches(8)
    assert painter.drawn == [(7, drawn)]
    assert batch.faces.shape == (1, 3, size, size)


def test_the_digest_of_generated_faces_is_of_seeds_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = faces("synthetic:0..3", 64).digest
    assert len(digest) == 64
    assert digest == faces("synthetic:0..9", 64, limit=4).digest
    assert digest != faces("synthetic:0..4", 64).digest
    monkeypatch.setattr(prior, "weights_digest", lambda: "other")
    assert digest != faces("synthetic:0..3", 64).digest


@pytest.mark.weights("mobilestylegan")
def test_the_generator_stands_behind_synthetic_faces() -> None:
    (batch,) = faces("synthetic:4..4", 128).batches(1)
    assert torch.equal(batch.faces, prior.prior().draw([4], 128))


# Files


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(folder: Path) -> None:
    source = faces(folder, 32)
    assert source.names == ["a", "b", "c", "d", "e"]
    first, second, third = source.batches(2)
    assert (first.names, second.names, third.names) == (["a"], ["c"], ["e"])
    assert [round(float(batch.faces[0, 0].mean() * 255)) for batch in (first, second, third)] == [10, 20, 30]
    (damaged,), (oblong,) = first.failed, second.failed
    assert damaged.name == "b"
    assert "b.png" in damaged.reason
    assert "\n" not in damaged.reason
    assert oblong == Unread("d", oblong.reason)
    assert "32 x 24" in oblong.reason


def test_a_batch_where_nothing_can_be_read_is_empty(folder: Path) -> None:
    (batch,) = faces([folder / "b.png", folder / "d.png"], 48).batches(4)
    assert batch.names == []
    assert batch.faces.shape == (0, 3, 48, 48)
    assert [unread.name for unread in batch.failed] == ["b", "d"]


def test_a_file_that_vanishes_is_reported(folder: Path) -> None:
    source = faces(folder, 32)
    (folder / "a.png").unlink()
    assert next(source.batches(1)).failed[0].name == "a"
    assert len(source.digest) == 64


def test_pixels_are_those_of_the_file_or_resized_with_antialiasing(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "face.png")
    (same,) = faces(tmp_path, 64).batches(1)
    assert np.array_equal((same.faces[0] * 255).round().byte().permute(1, 2, 0).numpy(), pixels)
    (small,) = faces(tmp_path, 16).batches(1)
    # Noise averages out where every pixel counts; without antialiasing it would keep its spread of 0.29.
    assert small.faces.std() < 0.12
    levels = small.faces * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_resizing_stays_in_range() -> None:
    edge = torch.zeros(1, 3, 32, 32)
    edge[..., 16:] = 1
    for size in (20, 50):
        resized = resize(edge, size)
        assert resized.min() >= 0
        assert resized.max() <= 1


def test_every_way_to_name_files_gives_the_same_source(folder: Path) -> None:
    written = [str(folder), f"files:{folder}", str(folder / "*.png")]
    found = [faces(source, 32) for source in (*written, folder, sorted(folder.iterdir()))]
    assert {tuple(source.names) for source in found} == {("a", "b", "c", "d", "e")}
    assert len({source.digest for source in found}) == 1


def test_a_limit_keeps_names_and_order(tmp_path: Path) -> None:
    files = [save(tmp_path / "one" / "x.png"), save(tmp_path / "two" / "x.png", 9)]
    assert faces(files, 32).names == ["one/x", "two/x"]
    first = faces(files, 32, limit=1)
    assert (len(first), first.names) == (1, ["one/x"])
    assert len(faces(files, 32, limit=10)) == 2


def test_the_digest_is_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    here, there = save(tmp_path / "here" / "x.png", 5), save(tmp_path / "there" / "x.png", 5)
    digest = faces(here.parent, 32).digest
    assert digest == faces(there.parent, 64).digest
    save(there, 6)
    assert digest != faces(there.parent, 32).digest


def test_provenance_never_holds_a_path(folder: Path) -> None:
    for source in (faces(folder, 32), faces("synthetic:3..5", 64), faces("samples", 64)):
        said = source.describe()
        assert str(folder.parent) not in str(said)
        assert said["count"] == len(source)
        assert said["size"] == source.size
        assert said["digest"] == source.digest
    assert faces("synthetic:3..5", 64).describe()["seeds"] == "3..5"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["in/a.png", "in/b.jpg"], ["a", "b"]),
        (["in/a.png", "in/a.jpg"], ["a.png", "a.jpg"]),
        (["in/a.jpg", "in/a.png", "in/a.jpg.webp"], ["a.jpg", "a.png", "a.jpg.webp"]),
        (["in/p/a.png", "in/q/a.png"], ["p/a", "q/a"]),
        (["in/a.png"], ["a"]),
    ],
)
def test_names_are_unique_and_as_short_as_they_can_be(tmp_path: Path, files: list[str], names: list[str]) -> None:
    assert list(name_files(tmp_path / file for file in files)) == names


# Mistakes


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("synthetic:", "synthetic:0..15"),
        ("synthetic", "synthetic:0..15"),
        ("synthetic:3", "synthetic:0..15"),
        ("synthetic:-1..3", "synthetic:0..15"),
        ("synthetic:5..2", "synthetic:2..5"),
        (f"synthetic:0..{2**32}", "4294967295"),
        ("samples:3", "write samples"),
        ("synthetik:0..3", "did you mean synthetic"),
        ("no/such/folder", "no/such/folder"),
        ("", "no faces named"),
        ("files:", "no faces named"),
    ],
)
def test_mistakes_are_explained_in_one_line(source: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        faces(source, 128)
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="face source"):
        faces("video:clip", 128)


@pytest.mark.parametrize(("size", "limit", "says"), [(0, None, "not 0"), (128, 0, "not 0"), (2048, None, "1024")])
def test_impossible_numbers_are_refused(size: int, limit: int | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        faces("synthetic:0..3", size, limit=limit)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(FacefortError, match="no input"):
        faces([], 128)


def test_every_kind_can_be_listed_with_an_example() -> None:
    assert SOURCES.names() == ["synthetic", "samples", "files"]
    for entry in SOURCES:
        assert callable(SOURCES.get(entry.name))
        assert entry.facts["summary"]
    for name in ("synthetic", "samples"):
        assert len(faces(SOURCES.entry(name).facts["example"], 64)) == 16


# What ships


def test_sixteen_faces_and_three_photos_ship_in_three_megabytes() -> None:
    shipped = samples.faces() + samples.photos()
    assert (len(samples.faces()), len(samples.photos())) == (16, 3)
    assert sum(path.stat().st_size for path in shipped) < 3_000_000
    for path in samples.faces():
        assert Photo.read(path).pixels.shape == (256, 256, 3)


def test_the_samples_are_a_source() -> None:
    source = faces("samples", 128)
    assert source.names == [path.stem for path in samples.faces()]
    assert sum(len(batch.names) for batch in source.batches(5)) == 16


@pytest.mark.weights("mobilestylegan")
def test_a_sample_is_the_generators_face_of_its_name() -> None:
    (batch,) = faces("samples", 256, limit=1).batches(1)
    drawn = prior.prior().draw([int(batch.names[0])])
    assert (batch.faces - drawn).square().mean() < 10**-3.6  # WebP of quality 90


@pytest.mark.weights("centerface")
@pytest.mark.parametrize(("name", "people"), [("old-print", 1), ("video-call", 2), ("yearbook", 6)])
def test_every_face_of_the_photos_is_found(name: str, people: int) -> None:
    (path,) = (path for path in samples.photos() if path.stem == name)
    assert len(detector()(Photo.read(path).pixels)) == people


@pytest.mark.weights("centerface")
def test_every_sample_shows_one_face() -> None:
    find = detector()
    assert [len(find(Photo.read(path).pixels)) for path in samples.faces()] == [1] * 16
