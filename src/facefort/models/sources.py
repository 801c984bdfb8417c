"""Where aligned faces come from: the generator, the shipped samples, or files; one lazy sequence for all of them."""

from __future__ import annotations

import functools
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from facefort import samples
from facefort.errors import FaceError, PictureError, UnknownNameError, UsageError
from facefort.files import sha256_bytes, sha256_file
from facefort.models import prior
from facefort.pictures.folders import expand
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import round_to_8_bits, to_batch
from facefort.registry import Registry

_DRAWN_SIZES = tuple(2**k for k in range(prior.SIDE.bit_length()))
_SEEDS = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Unread:
    """A face that could not be read, and why, in one line."""

    name: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Faces that stand side by side in a source.

    Attributes:
        names: one per face of ``faces``, in order.
        faces: float32 (N, 3, S, S) in [0, 1], on the grid of 8-bit values; N is 0 where every file failed.
        failed: what could not be read; the caller reports it.
    """

    names: list[str]
    faces: Tensor
    failed: list[Unread]


class FaceSource(ABC):
    """A lazy sequence of aligned, square faces of one size.

    Attributes:
        names: one per face, unique and stable: "synthetic-000012", or a file's path without its ending.
        size: side of the faces in pixels.
    """

    def __init__(self, names: list[str], size: int) -> None:
        self.names = names
        self.size = size

    def __len__(self) -> int:
        return len(self.names)

    def batches(self, n: int) -> Iterator[Batch]:
        """Read the faces in order, ``n`` names at a time; a face that cannot be read is named in its batch."""
        for start in range(0, len(self), n):
            yield self._batch(range(start, min(start + n, len(self))))

    def _batch(self, indices: range) -> Batch:
        names: list[str] = []
        failed: list[Unread] = []
        faces = [torch.empty(0, 3, self.size, self.size)]
        for index in indices:
            try:
                faces.append(resize(self.read(index), self.size))
                names.append(self.names[index])
            except (PictureError, FaceError) as error:
                failed.append(Unread(self.names[index], str(error)))
        return Batch(names, torch.cat(faces), failed)

    @abstractmethod
    def first(self, count: int) -> FaceSource:
        """The same source, cut after ``count`` faces; their names stay."""

    @abstractmethod
    def read(self, index: int) -> Tensor:
        """One face, float32 (1, 3, H, H) in [0, 1], in whatever size it comes.

        Raises:
            PictureError: its file cannot be read.
            FaceError: its picture is not square.
        """

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hex SHA-256 of the content, whatever its place on disk: two equal digests are the same faces."""

    @abstractmethod
    def describe(self) -> dict[str, str | int]:
        """What a reader of a result must know of the faces; never a path."""


class SyntheticFaces(FaceSource):
    """Faces that :class:`~facefort.models.prior.FacePrior` draws from seeds, when they are asked for."""

    def __init__(self, seeds: Sequence[int], size: int) -> None:
        if size > prior.SIDE:
            raise UsageError(f"generated faces have {prior.SIDE} px at most; ask for a size up to that, not {size}")
        super().__init__([f"synthetic-{seed:06d}" for seed in seeds], size)
        self.seeds = seeds
        # The size at which the prior averages by whole pixels; resizing does what is left.
        self._drawn = next(side for side in _DRAWN_SIZES if side >= size)

    def first(self, count: int) -> FaceSource:
        """The faces of the first ``count`` seeds."""
        return SyntheticFaces(self.seeds[:count], self.size)

    def read(self, index: int) -> Tensor:
        """Draw one face."""
        return prior.prior().draw([self.seeds[index]], self._drawn)

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the generator's weights and of the seeds."""
        return sha256_bytes(f"{prior.weights_digest()} {list(self.seeds)}".encode())

    def describe(self) -> dict[str, str | int]:
        """The generator and the seeds."""
        return {
            "kind": "synthetic",
            "generator": prior.ASSET,
            "weights": prior.weights_digest(),
            "seeds": f"{self.seeds[0]}..{self.seeds[-1]}",
            "count": len(self),
            "size": self.size,
            "digest": self.digest,
        }


class FileFaces(FaceSource):
    """Aligned, square faces in files.

    Args:
        files: their places by their names.
        size: side to which the faces are resized.
        kind: how provenance calls them ("samples", "files").
    """

    def __init__(self, files: Mapping[str, Path], size: int, kind: str = "files") -> None:
        super().__init__(list(files), size)
        self.files = list(files.values())
        self.kind = kind

    def first(self, count: int) -> FaceSource:
        """The first ``count`` files."""
        kept = itertools.islice(zip(self.names, self.files, strict=True), count)
        return FileFaces(dict(kept), self.size, self.kind)

    def read(self, index: int) -> Tensor:
        """Read one file."""
        pixels = Photo.read(self.files[index]).pixels
        height, width = pixels.shape[:2]
        if height != width:
            raise FaceError(
                f"{self.files[index].name} is {width} x {height}, not an aligned face; "
                "aligned faces are square: give the whole photo to a verb that finds the faces in it"
            )
        return to_batch([pixels])

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the names and of the files' bytes; a file that cannot be read counts as that."""
        lines = (f"{_file_digest(file)} {name}" for name, file in zip(self.names, self.files, strict=True))
        return sha256_bytes("\n".join(lines).encode())

    def describe(self) -> dict[str, str | int]:
        """How many files, and what they hold."""
        return {"kind": self.kind, "count": len(self), "size": self.size, "digest": self.digest}


SourceKind = Callable[[str, int], FaceSource]
"""Builds a source from what follows "KIND:" and the size of the faces."""

SOURCES: Registry[SourceKind] = Registry("face source")
SOURCES.add(
    "synthetic",
    "facefort.models.sources:synthetic_faces",
    example="synthetic:8000..8015",
    summary="people who do not exist, one per seed; both ends are drawn",
)
SOURCES.add(
    "samples",
    "facefort.models.sources:sample_faces",
    example="samples",
    summary="the 16 generated faces that come with the package",
)
SOURCES.add(
    "files",
    "facefort.models.sources:file_faces",
    example="photos/aligned/",
    summary="aligned square faces: a file, a folder or a glob ('files:' may be left out)",
)


def faces(source: str | Path | Sequence[Path], size: int, *, limit: int | None = None) -> FaceSource:
    """A source of aligned faces.

    Args:
        source: "synthetic:SEED..SEED" (both ends included), "samples", a file, a folder, a glob, or a list of files.
            A folder that is called like a kind of source is written "./samples" or "files:samples".
        size: side of the faces in pixels; whatever comes in another size is resized with antialiasing.
        limit: keep this many faces from the start.

    Raises:
        UsageError: no such source, no face in it, or an impossible size or limit.
    """
    if size < 1:
        raise UsageError(f"the size of a face is a number of pixels above 0, not {size}")
    if limit is not None and limit < 1:
        raise UsageError(f"a limit keeps at least 1 face, not {limit}")
    found = _build(source, size)
    return found if limit is None or limit >= len(found) else found.first(limit)


def _build(source: str | Path | Sequence[Path], size: int) -> FaceSource:
    if not isinstance(source, str):
        paths = [source] if isinstance(source, Path) else source
        return FileFaces(name_files(expand([str(path) for path in paths])), size)
    kind, colon, argument = source.partition(":")
    if kind in SOURCES:
        return SOURCES.get(kind)(argument, size)
    drive = len(kind) == 1  # of a path on Windows
    if colon and not drive and not Path(source).exists():
        raise UnknownNameError(SOURCES.kind, kind, SOURCES.names())
    return file_faces(source, size)


def synthetic_faces(seeds: str, size: int) -> FaceSource:
    """Generated faces of "SEED..SEED", both included.

    Raises:
        UsageError: malformed, backwards, or a seed above 2**32 - 1.
    """
    match = _SEEDS.fullmatch(seeds)
    if match is None:
        raise UsageError(f"generated faces are asked for by seeds, as in synthetic:0..15, not 'synthetic:{seeds}'")
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise UsageError(f"the seeds of 'synthetic:{seeds}' run backwards; write synthetic:{last}..{first}")
    prior.check_seed(last)
    return SyntheticFaces(range(first, last + 1), size)


def sample_faces(argument: str, size: int) -> FaceSource:
    """The shipped faces.

    Raises:
        UsageError: something follows the name.
    """
    if argument:
        raise UsageError(f"'samples' stands alone; write samples, not 'samples:{argument}'")
    return FileFaces(name_files(samples.faces()), size, kind="samples")


def file_faces(argument: str, size: int) -> FaceSource:
    """The faces of a file, a folder or a glob.

    Raises:
        UsageError: nothing was named, or it stands for no picture.
    """
    if not argument:
        raise UsageError(f"no faces named; name {', '.join(entry.facts['example'] for entry in SOURCES)} or the like")
    return FileFaces(name_files(expand([argument])), size)


def name_files(files: Iterable[Path]) -> dict[str, Path]:
    """Files by their paths below the deepest folder that holds them all, without endings unless two differ in those."""
    places = {file: file.absolute() for file in files}
    folders = [place.parent.parts for place in places.values()]
    common = sum(1 for _ in itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False)))
    below = {file: Path(*place.parts[common:]) for file, place in places.items()}
    stems = {path.with_suffix("") for path in below.values()}
    bare = len(stems) == len(below)
    return {(path.with_suffix("") if bare else path).as_posix(): file for file, path in below.items()}


def resize(face: Tensor, size: int) -> Tensor:
    """A face (N, 3, H, H) in [0, 1] resized to ``size`` with antialiasing (bicubic), rounded to 8 bits."""
    if face.shape[-1] != size:
        face = F.interpolate(face, (size, size), mode="bicubic", antialias=True)
    return round_to_8_bits(face)


def _file_digest(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError:
        return "unreadable"
