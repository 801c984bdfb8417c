"""Distances that networks measure: how alike two pictures look."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from facefort.metrics.metric import Definition, MaskedDefinition, Metric
from facefort.models.judges.dists import SMALLEST as SMALLEST_OF_DISTS
from facefort.models.judges.dists import dists
from facefort.models.judges.perceptual import Backbone, lpips


def perceptual(pictures: Tensor, reference: Tensor, net: Backbone) -> Tensor:
    """LPIPS v0.1, (N,) float32."""
    return _compared(lpips(net), pictures, reference)


def _compared(judge: nn.Module, pictures: Tensor, reference: Tensor) -> Tensor:
    """Distances of pictures by a network; on a CPU one after the other, which its cache repays."""
    size = 1 if pictures.device.type == "cpu" else len(pictures)
    pairs = [torch.split(batch.float(), size) for batch in (pictures, reference)]
    judge = judge.to(pictures.device)
    return torch.cat([judge(one, goal) for one, goal in zip(*pairs, strict=True)])


def perceptual_within(pictures: Tensor, reference: Tensor, mask: Tensor, net: Backbone) -> Tensor:
    """Mean of the LPIPS map, brought to the pictures' size, under a mask (N, 1, H, W), (N,) float32."""
    spread = lpips(net).to(pictures.device).spread(pictures.float(), reference.float())
    weight = mask.float()
    return (spread * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def perceptual_of_restoreformer(pictures: Tensor, reference: Tensor, unit: bool) -> Tensor:
    """LPIPS as RestoreFormer's script calls it: channels in the order blue, green, red, (N,) float32.

    Args:
        pictures: (N, 3, H, W).
        reference: the same shape.
        unit: whether [0, 1] goes to the network that was made for [-1, 1].
    """
    return perceptual(*_as_restoreformer_calls(pictures, reference, unit), "vgg")


def perceptual_of_restoreformer_within(pictures: Tensor, reference: Tensor, mask: Tensor, unit: bool) -> Tensor:
    """The same as the mean of its map under a mask (N, 1, H, W)."""
    return perceptual_within(*_as_restoreformer_calls(pictures, reference, unit), mask, "vgg")


def _as_restoreformer_calls(pictures: Tensor, reference: Tensor, unit: bool) -> tuple[Tensor, Tensor]:
    one, other = pictures.float().flip(1), reference.float().flip(1)
    # What the network takes for [-1, 1] is twice its input less one.
    return ((one + 1) / 2, (other + 1) / 2) if unit else (one, other)


def structure_and_texture(pictures: Tensor, reference: Tensor) -> Tensor:
    """DISTS, (N,) float32."""
    return _compared(dists(), pictures, reference)


def structure_and_texture_within(pictures: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """DISTS from means, variances and covariances under a mask (N, 1, H, W), (N,) float32."""
    judge = dists().to(pictures.device)
    triples = zip(*(torch.split(batch.float(), 1) for batch in (pictures, reference, mask)), strict=True)
    return torch.cat([judge(*triple) for triple in triples])


def _lpips_metric(name: str, variant: str, reference: str, compute: Definition, within: MaskedDefinition) -> Metric:
    return Metric(
        name=name,
        direction="lower",
        range=(0.0, float("inf")),
        needs_reference=True,
        variant=f"LPIPS v0.1, {variant}, whole picture, no resizing",
        reference=reference,
        compute=compute,
        smallest=32,
        compute_within=within,
    )


def _lpips(net: Backbone, features: str) -> Metric:
    return _lpips_metric(
        f"lpips-{net}",
        f"{features} features, inputs RGB in [-1, 1] inside",
        "lpips 0.1.4 (richzhang/PerceptualSimilarity)",
        partial(perceptual, net=net),
        partial(perceptual_within, net=net),
    )


LPIPS_ALEX = _lpips("alex", "AlexNet")
LPIPS_VGG = _lpips("vgg", "VGG-16")

LPIPS_RF = _lpips_metric(
    "lpips-rf",
    "VGG-16 features, inputs BGR in [-1, 1]: the normalised one of RestoreFormer's two numbers",
    "lpips 0.1.4 on the same inputs as RestoreFormer scripts/metrics/cal_psnr_ssim.py",
    partial(perceptual_of_restoreformer, unit=False),
    partial(perceptual_of_restoreformer_within, unit=False),
)
LPIPS_RF_UNIT = _lpips_metric(
    "lpips-rf-unit",
    "VGG-16 features, inputs BGR in [0, 1]: the other of RestoreFormer's two numbers",
    "lpips 0.1.4 on the same inputs as RestoreFormer scripts/metrics/cal_psnr_ssim.py",
    partial(perceptual_of_restoreformer, unit=True),
    partial(perceptual_of_restoreformer_within, unit=True),
)

DISTS = Metric(
    name="dists",
    direction="lower",
    range=(0.0, 2.0),
    needs_reference=True,
    variant="DISTS, VGG-16 with smooth pooling, inputs RGB, whole picture, no resizing",
    reference="DISTS-pytorch 0.1; the authors' values of five TID2013 pairs (pyiqa's calibration)",
    compute=structure_and_texture,
    smallest=SMALLEST_OF_DISTS,
    compute_within=structure_and_texture_within,
)
