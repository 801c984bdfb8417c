"""Distances between sets of pictures: FID (Heusel et al. 2017) and KID (Binkowski et al. 2018) on Inception features.

The Frechet distance of two Gaussians holds the trace of the root of the product of their covariances. With the set's
centred features as the rows of A (N, D) and any R with R R' the reference's covariance, that trace is the sum of the
singular values of A R / sqrt(N - 1), and those are the roots of the eigenvalues of the smaller of two Gram matrices.
Below 2048 pictures this costs a fraction of a 2048 x 2048 matrix root, is exact, and cannot turn complex; a part of
the set, or a resampled set, only weighs the rows anew, so that its cost is one list of eigenvalues.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facefort.metrics.sets import Features, Moments, SetMetric
from facefort.models.judges.inception import SIDE, inception
from facefort.pictures.tensors import to_bytes

Array = NDArray[np.float64]

_BLOCK = 1024
"""Rows of a kernel matrix that are held at once."""


def legacy_features(pictures: Tensor) -> Features:
    """Inception features as pytorch-fid and BasicSR have them: bilinear without antialiasing, [-1, 1]."""
    resized = F.interpolate(pictures.float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
    return _pooled(resized * 2 - 1)


def clean_features(pictures: Tensor) -> Features:
    """Inception features as clean-fid has them: Pillow's antialiased bicubic of 8-bit pictures, (v - 128) / 128."""
    resized = np.stack([[_bicubic(plane) for plane in picture.transpose(2, 0, 1)] for picture in to_bytes(pictures)])
    return _pooled(torch.from_numpy((resized - 128) / 128).to(pictures.device))


def _bicubic(plane: NDArray[np.uint8]) -> NDArray[np.float32]:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).clip(0, 255)


def _pooled(signal: Tensor) -> Features:
    with torch.no_grad():
        features: Tensor = inception().to(signal.device)(signal)
    return features.double().cpu().numpy()


class Frechet:
    """The squared Frechet distance of a set, of a part of it, or of a resampled set from a reference.

    Args:
        features: of the set, (N, D).
        reference: features or moments of the reference.
    """

    def __init__(self, features: Features, reference: Features | Moments) -> None:
        count, width = features.shape
        if not isinstance(reference, Moments) and len(reference) > min(count, width):
            reference = Moments.of(reference)
        centre = features.mean(0)
        self._rows = features - centre
        self._squares = np.einsum("ij,ij->i", self._rows, self._rows)
        if isinstance(reference, Moments):
            self._shift, self._trace = centre - reference.mean, float(np.trace(reference.covariance))
            self._overlap, self._is_gram = _overlap(self._rows, reference.covariance)
        else:
            others = (reference - reference.mean(0)) / np.sqrt(len(reference) - 1)
            self._shift, self._trace = centre - reference.mean(0), float(np.square(others).sum())
            self._overlap, self._is_gram = self._rows @ others.T, False

    def distance(self, counts: NDArray[np.int64] | None = None) -> float:
        """The distance where each picture occurs ``counts`` (N,) times; None for once each."""
        weights = np.ones(len(self._rows)) if counts is None else counts.astype(np.float64)
        total = weights.sum()
        drift = weights @ self._rows / total
        shift = self._shift + drift
        spread = (weights @ self._squares - total * drift @ drift) / (total - 1)
        return max(float(shift @ shift + spread + self._trace - 2 * self._root_trace(weights)), 0.0)

    def _root_trace(self, weights: Array) -> float:
        """Trace of the root of the product of the covariances."""
        total = weights.sum()
        kept = np.flatnonzero(weights)
        scale = np.sqrt(weights[kept] / (total - 1))
        if self._is_gram:
            whole = self._overlap[np.ix_(kept, kept)]
            mean = weights[kept] @ whole / total
            whole = whole - mean - mean[:, None] + mean @ weights[kept] / total
            gram = whole * scale * scale[:, None]
        else:
            factor = self._overlap[kept] - weights @ self._overlap / total
            factor *= scale[:, None]
            gram = factor @ factor.T if len(kept) <= factor.shape[1] else factor.T @ factor
        return float(np.sqrt(np.linalg.eigvalsh(gram).clip(0)).sum())


def _overlap(rows: Array, covariance: Array) -> tuple[Array, bool]:
    """Of rows A and a covariance S: A S A' and True, or where A is long, A times a root of S and False."""
    if len(rows) <= rows.shape[1]:
        gram = rows @ covariance @ rows.T
        return (gram + gram.T) / 2, True
    values, vectors = np.linalg.eigh(covariance)
    return rows @ (vectors * np.sqrt(values.clip(0))), False


def frechet_distance(features: Features, reference: Features | Moments) -> float:
    """The squared Frechet distance of the Gaussians that features (N, D) and a reference fit."""
    return Frechet(features, reference).distance()


def frechet_replicates(features: Features, reference: Features | Moments, counts: NDArray[np.int64]) -> Array:
    """The distance of each of B sets, (B,), from how often it holds each picture, (B, N)."""
    problem = Frechet(features, reference)
    return np.array([problem.distance(row) for row in counts])


def kernel_distance(features: Features, reference: Features | Moments) -> float:
    """KID x 1000: the unbiased squared MMD of whole sets under the kernel (x . y / D + 1)^3; below 0 by chance."""
    return float(kernel_replicates(features, reference, np.ones((1, len(features)), np.int64))[0])


def kernel_replicates(features: Features, reference: Features | Moments, counts: NDArray[np.int64]) -> Array:
    """KID x 1000 of each of B sets, (B,); a picture is never compared with itself, however often a set holds it."""
    assert not isinstance(reference, Moments)
    weights = counts.T.astype(np.float64)
    total = weights.sum(0)
    own, pairs, across = (np.zeros(len(counts)) for _ in range(3))
    for start in range(0, len(features), _BLOCK):
        part = slice(start, start + _BLOCK)
        kernel = _kernel(features[part], features)
        kernel[np.arange(len(kernel)), start + np.arange(len(kernel))] = 0
        own += (weights[part] * (kernel @ weights)).sum(0)
        pairs += (weights[part] * (total - weights[part])).sum(0)
        across += weights[part].T @ _kernel(features[part], reference).mean(1)
    return 1000 * (own / pairs + _mean_of_others(reference) - 2 * across / total)


def _mean_of_others(features: Features) -> float:
    """Mean kernel of all pairs of different rows."""
    count, whole = len(features), 0.0
    for start in range(0, count, _BLOCK):
        whole += float(_kernel(features[start : start + _BLOCK], features).sum())
    own = float(((np.einsum("ij,ij->i", features, features) / features.shape[1] + 1) ** 3).sum())
    return (whole - own) / (count * (count - 1))


def _kernel(left: Features, right: Features) -> Array:
    return (left @ right.T / left.shape[1] + 1) ** 3


_LEGACY = "bilinear resize to 299 px inside, no antialiasing, RGB in [-1, 1]"
_CLEAN = "Pillow's antialiased bicubic of 8-bit pictures to 299 px, (v - 128) / 128"
_GRAPH = "pool3 (2048) of the FID Inception graph of 2015-12-05"

_frechet = partial(
    SetMetric,
    direction="lower",
    range=(0.0, float("inf")),
    compare=frechet_distance,
    replicate=frechet_replicates,
)
_kid = partial(
    SetMetric,
    direction="lower",
    range=(float("-inf"), float("inf")),
    compare=kernel_distance,
    replicate=kernel_replicates,
    enough=50,
    needs_features=True,
)

FID = _frechet(
    name="fid",
    variant=f"{_GRAPH}; {_LEGACY}; against the reference that the result names",
    reference="pytorch-fid 0.3.0",
    features=legacy_features,
)
FID_FFHQ512 = _frechet(
    name="fid-ffhq512",
    variant=f"{_GRAPH}; {_LEGACY}; against BasicSR's statistics of 50,000 FFHQ faces of 512 px (GFP-GAN, VQFR, ...)",
    reference="BasicSR calculate_fid_folder.py (pytorch-fid's features and formula)",
    features=legacy_features,
    reference_sha256="f7b384ab",
)
FID_CLEAN = _frechet(
    name="fid-clean",
    variant=f"{_GRAPH}; {_CLEAN}; against the reference that the result names",
    reference="clean-fid 0.1.35, mode clean",
    features=clean_features,
)
KID = _kid(
    name="kid",
    variant=f"{_GRAPH}; {_LEGACY}; unbiased MMD^2, (x.y/2048 + 1)^3, whole sets, x 1000",
    reference="clean-fid 0.1.35 kernel_distance, one subset of everything",
    features=legacy_features,
)
KID_CLEAN = _kid(
    name="kid-clean",
    variant=f"{_GRAPH}; {_CLEAN}; unbiased MMD^2, (x.y/2048 + 1)^3, whole sets, x 1000",
    reference="clean-fid 0.1.35, mode clean, one subset of everything",
    features=clean_features,
)
