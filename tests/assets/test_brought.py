from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from facefort import assets
from facefort.assets import brought, fetching
from facefort.errors import UnknownNameError, UsageError, WeightsError
from facefort.files import CACHE_VARIABLE, sha256_bytes
from facefort.registry import Registry

CONTENT = b"weights" * 100


def read(path: Path) -> bytes:
    """A reader as a network's ``load`` is one."""
    if path.read_bytes() != CONTENT:
        raise WeightsError(f"{path.name} is of another network")
    return CONTENT


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file to bring called "toy", and an empty cache."""
    readers = types.ModuleType("toy_readers")
    monkeypatch.setattr(readers, "read", read, raising=False)
    monkeypatch.setitem(sys.modules, "toy_readers", readers)
    table: Registry[Callable[[Path], object]] = Registry("weights to bring")
    table.add(
        "toy", "toy_readers:read", file="toy.pth", purpose="a toy", source="toy.pth of the toymaker", licence="MIT"
    )
    monkeypatch.setattr(brought, "BROUGHT", table)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "from-the-web.pth").write_bytes(CONTENT)
    return tmp_path / "from-the-web.pth"


def test_a_file_that_fits_is_kept_with_its_hash(file: Path) -> None:
    assert assets.missing(["toy"]) == ["toy"]
    assert brought.add("toy", file) == sha256_bytes(CONTENT)
    assert assets.path("toy").read_bytes() == CONTENT
    assert assets.path("toy").name == "toy.pth"
    assert brought.recorded("toy") == sha256_bytes(CONTENT)
    assert assets.is_present("toy")
    assert fetching.verify("toy") == []


def test_a_file_of_another_network_is_not_kept(file: Path) -> None:
    file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="of another network"):
        brought.add("toy", file)
    assert not assets.is_present("toy")


def test_a_file_that_was_refused_does_not_replace_one_that_fits(file: Path) -> None:
    brought.add("toy", file)
    file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="of another network"):
        brought.add("toy", file)
    assert assets.path("toy").read_bytes() == CONTENT


def test_what_was_not_brought_says_what_it_is_and_how_to_bring_it() -> None:
    with pytest.raises(
        WeightsError, match=r"toy\.pth \(a toy\) .* get toy\.pth of the toymaker, then run `facefort weig"
    ):
        assets.path("toy")
    assert brought.recorded("toy") is None
    assert fetching.verify("toy") == ["toy.pth"]


def test_damage_is_seen(file: Path) -> None:
    brought.add("toy", file)
    brought.place("toy").write_bytes(b"x" * len(CONTENT))
    assert fetching.verify("toy") == ["toy.pth"]


def test_it_cannot_be_fetched() -> None:
    with pytest.raises(UsageError, match="no package carries toy; bring it with `facefort weights add toy FILE`"):
        assets.fetch("toy")


def test_an_unknown_name_is_named(file: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown weights to bring 'toi'; did you mean toy"):
        brought.add("toi", file)
