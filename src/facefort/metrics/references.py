"""Sets to compare with: a folder of pictures, or a file of statistics that somebody published."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facefort.errors import PictureError, UsageError, WeightsError
from facefort.files import atomic, sha256_bytes, sha256_file
from facefort.metrics.sets import FEWEST, Moments, Reference, SetMetric
from facefort.models.weights import read_pickle
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import to_batch

_NAMES = (("mu", "sigma"), ("mean", "cov"))
"""Keys of mean and covariance: pytorch-fid and clean-fid; BasicSR."""

_ENTRIES = ("feats", "count", *(name for pair in _NAMES for name in pair))

_KNOWN_COUNTS = {"f7b384ab": 50_000, "0948f50d": 50_000, "75f195dc": 50_000, "abba9d31": 50_000}
"""Pictures behind BasicSR's FFHQ statistics (its docs/Metrics.md), by the beginning of the file's SHA-256."""


def from_pictures(metric: SetMetric, files: Sequence[Path], name: str, *, batch: int = 16) -> Reference:
    """A set of picture files as a reference; also the way to the features of the set to be judged.

    Args:
        metric: whose features are computed.
        files: pictures of one size.
        name: what a result calls the set.
        batch: pictures that go through the network at once.

    Raises:
        PictureError: fewer than two, of several sizes, or one cannot be read.
    """
    if len(files) < FEWEST:
        raise PictureError(f"{metric.name} compares sets; give at least {FEWEST} pictures in {name}, not {len(files)}")
    lines: list[str] = []
    sizes: list[tuple[int, int]] = []

    def read() -> Iterator[Tensor]:
        for start in range(0, len(files), batch):
            photos = [Photo.read(file) for file in files[start : start + batch]]
            for photo, file in zip(photos, files[start : start + batch], strict=True):
                height, width = photo.pixels.shape[:2]
                if sizes and (width, height) != sizes[0]:
                    raise PictureError(
                        f"{metric.name} needs pictures of one size; {file.name} has {width} x {height}, "
                        f"{files[0].name} {sizes[0][0]} x {sizes[0][1]}"
                    )
                sizes.append((width, height))
                lines.append(f"{file.name} {photo.sha256}\n")
            yield to_batch([photo.pixels for photo in photos])

    features = metric.collect(read())
    return Reference(name, features, len(files), sha256_bytes("".join(lines).encode()), sizes[0])


def from_statistics(path: Path) -> Reference:
    """A published file of statistics as a reference.

    Args:
        path: ``.npz`` with ``mu`` and ``sigma`` (pytorch-fid, clean-fid, facefort) or ``feats`` (clean-fid's for KID),
            or ``.pth`` with ``mean`` and ``cov`` (BasicSR, such as ``inception_FFHQ_512-f7b384ab.pth``).

    Raises:
        WeightsError: missing, damaged, or without those entries.
        UnsafeCheckpointError: reading it would run code.
        UsageError: mean and covariance do not fit together, or are not numbers.
    """
    if not path.is_file():
        raise WeightsError(f"no statistics file at {path}; give a folder of reference pictures, or a .npz or .pth file")
    stored = _read_npz(path) if zipfile.is_zipfile(path) and path.suffix != ".pth" else _read_pth(path)
    digest = sha256_file(path)
    if "feats" in stored:
        features = _array(path, stored["feats"], 2)
        return Reference(path.name, features, len(features), digest)
    for mean, covariance in _NAMES:
        if mean in stored and covariance in stored:
            moments = Moments(_array(path, stored[mean], 1), _array(path, stored[covariance], 2))
            if moments.covariance.shape != (len(moments.mean),) * 2:
                raise UsageError(f"{path.name}: a mean of {len(moments.mean)} numbers does not fit its covariance")
            count = int(stored["count"]) if "count" in stored else _KNOWN_COUNTS.get(digest[:8])
            return Reference(path.name, moments, count, digest)
    raise WeightsError(f"{path.name} holds no mu and sigma (or mean and cov, or feats); is it a statistics file?")


def save_statistics(path: Path, reference: Reference) -> None:
    """Write a reference's moments as ``.npz`` with ``mu``, ``sigma`` and ``count``, which pytorch-fid reads, too."""
    content = reference.content
    moments = content if isinstance(content, Moments) else Moments.of(content)
    with atomic(path) as stream:
        np.savez(stream, mu=moments.mean, sigma=moments.covariance, count=np.int64(reference.count or 0))


def _read_npz(path: Path) -> Mapping[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {
                name: stored[name] for name in stored.files if name in ("mu", "sigma", "mean", "cov", "feats", "count")
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path.name} is not a statistics file, or is damaged ({error})") from error


def _read_pth(path: Path) -> Mapping[str, Any]:
    """BasicSR's dictionary of numpy arrays; numpy's own rebuilding functions are let in, nothing else."""
    rebuild: Any = np.ndarray.__reduce__(np.empty(0))[0]
    allowed: list[Any] = [np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in "dfl"}]
    allowed += [(rebuild, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        tree = read_pickle(path)
    if not isinstance(tree, Mapping):
        raise WeightsError(f"{path.name} holds no mean and cov; is it a statistics file?")
    return tree


def _array(path: Path, value: Any, dimensions: int) -> NDArray[np.float64]:  # noqa: ANN401
    array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    if array.ndim != dimensions or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise UsageError(f"{path.name}: an entry is not {dimensions}-dimensional, or holds what is not a number")
    return array.astype(np.float64)
