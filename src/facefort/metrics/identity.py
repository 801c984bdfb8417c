"""Whether two pictures show one person, as one of this project's recognisers sees it; the name says which.

The same comparison is written in five ways, as different papers do: the recogniser's own distance (``identity-``), the
cosine of the embeddings (``cosine-``), their angle in degrees (``deg-``), the cosine times 100 (``ids-``), and the
cosine of whole crops that were resized instead of aligned (``id-sim-``). The forms with a paper's own network are in
:mod:`facefort.metrics.identity_papers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from facefort.metrics.metric import Direction, Metric
from facefort.models.judges.chips import SMALLEST
from facefort.models.judges.identity import Recogniser, recogniser

IDENTICAL = 1.0
"""Degrees below which VQFR's script leaves a pair out of its mean, as one picture compared with itself."""

Comparison = Callable[[Tensor, Tensor], Tensor]
"""Embeddings (N, D) and (N, D) -> (N,)."""

_TITLES = {
    "dlib": "dlib_face_recognition_resnet_model_v1",
    "arcface-mbf": "w600k_mbf",
    "edgeface": "edgeface_s_gamma_05",
}
_SIZES = {"dlib": 150, "arcface-mbf": 112, "edgeface": 112}
_PEERS = {
    "dlib": "dlib 20 face_recognition_model_v1 on the same chips",
    "arcface-mbf": "onnxruntime on the same chips",
    "edgeface": "onnxruntime on the same chips",
}


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of embeddings (N, D), (N,), in [-1, 1]."""
    return F.cosine_similarity(a, b).clamp(-1, 1)


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle between embeddings (N, D) in radians, (N,) float64, in [0, pi].

    By Kahan's formula 2 atan2(|a - b|, |a + b|) of unit vectors: what the arccos of the clamped cosine is, but exact
    for small angles, never NaN, and with a finite gradient at 0 and pi.
    """
    a, b = F.normalize(a.double()), F.normalize(b.double())
    return 2 * torch.atan2(torch.linalg.vector_norm(a - b, dim=1), torch.linalg.vector_norm(a + b, dim=1))


def degrees(a: Tensor, b: Tensor) -> Tensor:
    """Angle in degrees, (N,) float64; inf where it is below 1, which says: identical, to be counted, not averaged.

    That is what a table does with inf (:func:`facefort.metrics.statistics.mean_ci`), as for the PSNR of equal pictures.
    """
    found = angle(a, b) * (180 / math.pi)
    return found.masked_fill(found < IDENTICAL, torch.inf)


def percent(a: Tensor, b: Tensor) -> Tensor:
    """Cosine times 100, (N,)."""
    return 100 * cosine(a, b)


def aligned(pictures: Tensor, judge: Recogniser) -> Tensor:
    """Embeddings of FFHQ-aligned faces, through the recogniser's own chip."""
    embedding: Tensor = judge(pictures.float())
    return embedding


def whole(pictures: Tensor, judge: Recogniser) -> Tensor:
    """Embeddings of whole crops, resized to the recogniser's input wherever the landmarks lie."""
    return judge.embed(resized(pictures.float(), judge.chip.size))


def resized(pictures: Tensor, size: int) -> Tensor:
    """Pictures resized as ID-Guard's code does: bilinear, corners on corners, no filter against aliasing."""
    return F.interpolate(pictures, (size, size), mode="bilinear", align_corners=True)


def compare(
    pictures: Tensor,
    reference: Tensor,
    name: str,
    comparison: Comparison | None,
    embed: Callable[[Tensor, Recogniser], Tensor],
) -> Tensor:
    """Compare the people in two batches with the recogniser ``name``; by its own distance where none is given."""
    judge = recogniser(name).to(pictures.device)
    return (comparison or judge.distance)(embed(pictures, judge), embed(reference, judge))


def _metric(
    kind: str,
    name: str,
    what: str,
    direction: Direction,
    bounds: tuple[float, float],
    comparison: Comparison | None,
    embed: Callable[[Tensor, Recogniser], Tensor] = aligned,
) -> Metric:
    how = "FFHQ-aligned faces, chip" if embed is aligned else "whole crops resized (bilinear, corners aligned) to"
    return Metric(
        name=f"{kind}-{name}",
        direction=direction,
        range=bounds,
        needs_reference=True,
        variant=f"{what} of {_TITLES[name]} embeddings, {how} {_SIZES[name]} px",
        reference=_PEERS[name],
        compute=partial(compare, name=name, comparison=comparison, embed=embed),
        unit="°" if kind == "deg" else "",
        smallest=SMALLEST,
        needs_face=True,
    )


def _distance(name: str, what: str, largest: float) -> Metric:
    return _metric("identity", name, what, "lower", (0.0, largest), None)


def _cosine(name: str) -> Metric:
    return _metric("cosine", name, "cosine (id-sim on aligned faces)", "higher", (-1.0, 1.0), cosine)


def _degrees(name: str) -> Metric:
    what = "angle in degrees (inf below 1: identical, counted and not averaged)"
    return _metric("deg", name, what, "lower", (0.0, math.inf), degrees)


def _percent(name: str) -> Metric:
    return _metric("ids", name, "100 x cosine", "higher", (-100.0, 100.0), percent)


def _whole(name: str) -> Metric:
    return _metric("id-sim", name, "cosine", "higher", (-1.0, 1.0), cosine, whole)


IDENTITY_DLIB = _distance("dlib", "Euclidean distance", math.inf)
IDENTITY_ARCFACE_MBF = _distance("arcface-mbf", "1 - cosine", 2.0)
IDENTITY_EDGEFACE = _distance("edgeface", "1 - cosine", 2.0)

COSINE_DLIB = _cosine("dlib")
COSINE_ARCFACE_MBF = _cosine("arcface-mbf")
COSINE_EDGEFACE = _cosine("edgeface")

DEG_DLIB = _degrees("dlib")
DEG_ARCFACE_MBF = _degrees("arcface-mbf")
DEG_EDGEFACE = _degrees("edgeface")

IDS_DLIB = _percent("dlib")
IDS_ARCFACE_MBF = _percent("arcface-mbf")
IDS_EDGEFACE = _percent("edgeface")

ID_SIM_DLIB = _whole("dlib")
ID_SIM_ARCFACE_MBF = _whole("arcface-mbf")
ID_SIM_EDGEFACE = _whole("edgeface")
