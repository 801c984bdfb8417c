"""Reference sets: folders of pictures and published files of statistics."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facefort.errors import FacefortError, PictureError, UnsafeCheckpointError, UsageError, WeightsError
from facefort.metrics.distribution import frechet_distance, frechet_replicates
from facefort.metrics.references import from_pictures, from_statistics, save_statistics
from facefort.metrics.sets import Moments, Reference, SetMetric


@pytest.fixture
def colours() -> SetMetric:
    def features(pictures: torch.Tensor) -> np.ndarray:
        return pictures.mean((2, 3)).double().numpy()

    return SetMetric(
        "fid-colour", "lower", (0.0, float("inf")), "v", "r", features, frechet_distance, frechet_replicates
    )


@pytest.fixture
def moments(rng: np.random.Generator) -> Moments:
    return Moments.of(rng.standard_normal((40, 6)))


def pictures(folder: Path, count: int, size: int = 12, seed: int = 0) -> list[Path]:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
    return sorted(folder.iterdir())


def test_a_folder_becomes_a_reference_that_is_named_and_counted(colours: SetMetric, tmp_path: Path) -> None:
    files = pictures(tmp_path / "a", 7)
    found = from_pictures(colours, files, "a", batch=3)
    assert (found.name, found.count, found.size) == ("a", 7, (12, 12))
    assert len(found.digest) == 64
    means = [cv2.imread(str(file))[:, :, ::-1].mean((0, 1)) / 255 for file in files]
    assert not isinstance(found.content, Moments)
    assert found.content == pytest.approx(np.array(means), abs=1e-6)


def test_the_digest_is_of_names_and_content_and_not_of_the_place(colours: SetMetric, tmp_path: Path) -> None:
    one, same = pictures(tmp_path / "a", 4), pictures(tmp_path / "b", 4)
    digests = [from_pictures(colours, files, "x").digest for files in (one, same, one[:3])]
    assert digests[0] == digests[1] != digests[2]
    cv2.imwrite(str(one[2]), np.zeros((12, 12, 3), np.uint8))
    assert from_pictures(colours, one, "x").digest != digests[0]


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_reference_is_refused(colours: SetMetric, tmp_path: Path, count: int) -> None:
    with pytest.raises(PictureError, match="at least 2 pictures in clean"):
        from_pictures(colours, pictures(tmp_path / "a", count), "clean")


def test_pictures_of_several_sizes_are_named(colours: SetMetric, tmp_path: Path) -> None:
    files = pictures(tmp_path / "a", 3) + pictures(tmp_path / "b", 1, size=9)
    with pytest.raises(PictureError, match=r"0\.png has 9 x 9, 0\.png 12 x 12"):
        from_pictures(colours, files, "x")


def test_a_file_that_is_no_picture_is_named(colours: SetMetric, tmp_path: Path) -> None:
    files = pictures(tmp_path / "a", 3)
    files[1].write_bytes(b"\x89PNG nothing")
    with pytest.raises(PictureError, match=r"1\.png"):
        from_pictures(colours, files, "x")


@pytest.mark.parametrize("names", [("mu", "sigma"), ("mean", "cov")])
def test_npz_statistics_are_read(tmp_path: Path, moments: Moments, names: tuple[str, str]) -> None:
    np.savez(tmp_path / "s.npz", **dict(zip(names, (moments.mean, moments.covariance), strict=True)))
    found = from_statistics(tmp_path / "s.npz")
    assert isinstance(found.content, Moments)
    assert np.array_equal(found.content.mean, moments.mean)
    assert np.array_equal(found.content.covariance, moments.covariance)
    assert (found.name, found.count) == ("s.npz", None)


def test_features_for_kid_are_read(tmp_path: Path, rng: np.random.Generator) -> None:
    rows = rng.standard_normal((9, 5)).astype(np.float32)
    np.savez(tmp_path / "k.npz", feats=rows)
    found = from_statistics(tmp_path / "k.npz")
    assert found.count == 9
    assert np.array_equal(found.content, rows)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("as_tensor", [True, False])
def test_basicsr_statistics_are_read(tmp_path: Path, moments: Moments, legacy: bool, as_tensor: bool) -> None:
    """As BasicSR writes them: a dictionary of numpy arrays in torch's old format."""
    mean, cov = moments.mean, moments.covariance
    if as_tensor:
        mean, cov = torch.from_numpy(mean), torch.from_numpy(cov)
    tree = {"name": "FFHQ", "size": 512, "mean": mean, "cov": cov}
    torch.save(tree, tmp_path / "inception_FFHQ_512.pth", _use_new_zipfile_serialization=not legacy)
    found = from_statistics(tmp_path / "inception_FFHQ_512.pth")
    assert isinstance(found.content, Moments)
    assert np.array_equal(found.content.covariance, moments.covariance)


def test_statistics_come_back_as_they_were_written(tmp_path: Path, rng: np.random.Generator) -> None:
    rows = rng.standard_normal((30, 4))
    save_statistics(tmp_path / "s.npz", Reference("a", rows, 30, "x"))
    found = from_statistics(tmp_path / "s.npz")
    assert found.count == 30
    others = rng.standard_normal((20, 4))
    assert frechet_distance(others, found.content) == pytest.approx(frechet_distance(others, rows), rel=1e-9)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("kind", ["pth", "pickle", "npz"])
def test_a_file_that_would_run_code_is_refused(tmp_path: Path, kind: str) -> None:
    mark, place = tmp_path / "ran", tmp_path / f"s.{kind}"
    evil = {"mean": Evil(mark), "cov": Evil(mark)}
    if kind == "pth":
        torch.save(evil, place)
    elif kind == "pickle":
        place.write_bytes(pickle.dumps(evil))
    else:
        np.savez(place, mu=np.array([Evil(mark)], dtype=object))
    with pytest.raises(UnsafeCheckpointError if kind != "npz" else WeightsError):
        from_statistics(place)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"mu": np.zeros(4)}, "no mu and sigma"),
        ({"mu": np.zeros(4), "sigma": np.zeros((5, 5))}, "does not fit"),
        ({"mu": np.zeros(4), "sigma": np.zeros(4)}, "not 2-dimensional"),
        ({"mu": np.full(4, np.nan), "sigma": np.eye(4)}, "not a number"),
        ({"mu": np.array(list("abcd")), "sigma": np.eye(4)}, "not a number"),
    ],
)
def test_a_file_without_its_entries_is_refused(tmp_path: Path, entries: dict[str, np.ndarray], said: str) -> None:
    np.savez(tmp_path / "s.npz", **entries)
    with pytest.raises(FacefortError, match=said) as caught:
        from_statistics(tmp_path / "s.npz")
    assert isinstance(caught.value, WeightsError | UsageError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "s.npz").write_bytes(damage)
    with pytest.raises(WeightsError):
        from_statistics(tmp_path / "s.npz")
    with pytest.raises(WeightsError, match="no statistics file"):
        from_statistics(tmp_path / "none.npz")


def test_a_truncated_file_is_refused(tmp_path: Path, moments: Moments) -> None:
    np.savez(tmp_path / "s.npz", mu=moments.mean, sigma=moments.covariance)
    whole = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "s.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError):
        from_statistics(tmp_path / "s.npz")
