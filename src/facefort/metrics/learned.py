"""Distances that networks measure: how alike two pictures look, and whether they show one person."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor

from facefort.errors import PictureError
from facefort.metrics.metric import Metric
from facefort.models.judges.chips import SMALLEST
from facefort.models.judges.identity import recogniser
from facefort.models.judges.perceptual import lpips


def perceptual(pictures: Tensor, reference: Tensor, net: Literal["alex", "vgg"]) -> Tensor:
    """LPIPS v0.1, (N,) float32."""
    distance: Tensor = lpips(net).to(pictures.device)(pictures.float(), reference.float())
    return distance


def identity(pictures: Tensor, reference: Tensor, name: str) -> Tensor:
    """Distance between the people in two pictures as the recogniser ``name`` sees it, (N,) float32.

    Raises:
        PictureError: the pictures are not square, so they are not aligned faces.
    """
    if pictures.shape[2] != pictures.shape[3]:
        width, height = pictures.shape[3], pictures.shape[2]
        raise PictureError(
            f"identity is compared on aligned, square faces, not on {width} x {height}; align them first"
        )
    judge = recogniser(name).to(pictures.device)
    return judge.distance(judge(pictures.float()), judge(reference.float()))


def _lpips_metric(net: Literal["alex", "vgg"], features: str) -> Metric:
    return Metric(
        name=f"lpips-{net}",
        direction="lower",
        range=(0.0, float("inf")),
        needs_reference=True,
        variant=f"LPIPS v0.1, {features} features, inputs RGB in [-1, 1] inside, whole picture, no resizing",
        reference="lpips 0.1.4 (richzhang/PerceptualSimilarity)",
        compute=partial(perceptual, net=net),
        smallest=32,
    )


LPIPS_ALEX = _lpips_metric("alex", "AlexNet")
LPIPS_VGG = _lpips_metric("vgg", "VGG-16")

IDENTITY_DLIB = Metric(
    name="identity-dlib",
    direction="lower",
    range=(0.0, float("inf")),
    needs_reference=True,
    variant="Euclidean distance of dlib_face_recognition_resnet_model_v1 embeddings, FFHQ-aligned faces, chip 150 px",
    reference="dlib 20 face_recognition_model_v1 on the same chips",
    compute=partial(identity, name="dlib"),
    smallest=SMALLEST,
    needs_face=True,
)
