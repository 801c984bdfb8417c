"""How useful a face is to a recogniser, from the face alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor

from facefort.errors import PictureError
from facefort.metrics.metric import Metric
from facefort.models.judges.chips import SMALLEST
from facefort.models.judges.quality import quality_judge


def quality(pictures: Tensor, _reference: Tensor, name: str, weights: Path | None = None) -> Tensor:
    """What the quality judge ``name`` says of each aligned face, (N,) float32.

    Raises:
        PictureError: the pictures are not square, so they are not aligned faces.
    """
    if pictures.shape[2] != pictures.shape[3]:
        width, height = pictures.shape[3], pictures.shape[2]
        raise PictureError(
            f"face quality is rated on aligned, square faces, not on {width} x {height}; align them first"
        )
    score: Tensor = quality_judge(name, weights).to(pictures.device)(pictures.float())
    return score


def official_sdd(weights: Path) -> Metric:
    """SDD-FIQA as published, with the checkpoint at ``weights`` (``SDD_FIQA_checkpoints_r50.pth``).

    Raises:
        WeightsError: missing, damaged, or any entry is missing, unknown or of another size.
        UnsafeCheckpointError: unpickling it would run code.
    """
    quality_judge("sdd-official", weights)
    return Metric(
        name="quality-sdd-official",
        direction="higher",
        range=(float("-inf"), float("inf")),
        needs_reference=False,
        variant="SDD-FIQA IR-R50, whole FFHQ-aligned face resized to 112 px with antialiasing, not clipped",
        reference="Tencent/TFace quality/eval.py, which resizes with Pillow and rounds to 8 bits",
        compute=partial(quality, name="sdd-official", weights=weights),
        smallest=SMALLEST,
        needs_face=True,
    )


QUALITY_MOBILENET = Metric(
    name="quality-mobilenet",
    direction="higher",
    range=(float("-inf"), float("inf")),
    needs_reference=False,
    variant="pytorch-QualityFace MobileNetV2, whole FFHQ-aligned face resized to 128 px with antialiasing",
    reference="qualityface 1.0.3 on the same 128 px pictures",
    compute=partial(quality, name="mobilenet"),
    smallest=SMALLEST,
    needs_face=True,
)

QUALITY_SDD = Metric(
    name="quality-sdd",
    direction="higher",
    range=(0.0, 100.0),
    needs_reference=False,
    variant="SDD-FIQA's method, facefort's own network and training; ArcFace's chip of 112 px; not the published judge",
    reference="none: its ordering of degradations and its error-versus-reject curve are measured (docs/quality.md)",
    compute=partial(quality, name="sdd"),
    smallest=SMALLEST,
    needs_face=True,
)
