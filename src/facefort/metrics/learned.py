"""Distances that networks measure: how alike two pictures look."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor

from facefort.metrics.metric import Metric
from facefort.models.judges.perceptual import lpips


def perceptual(pictures: Tensor, reference: Tensor, net: Literal["alex", "vgg"]) -> Tensor:
    """LPIPS v0.1, (N,) float32."""
    distance: Tensor = lpips(net).to(pictures.device)(pictures.float(), reference.float())
    return distance


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
