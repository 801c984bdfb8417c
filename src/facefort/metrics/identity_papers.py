"""Identity as papers measure it, with the very networks and pictures of their scripts.

The weights of these networks are in no package: the user brings them (``facefort weights add``). Where they are not at
hand, the forms of :mod:`facefort.metrics.identity` name the recogniser that stands in.

``deg`` is GFP-GAN's and VQFR's (VQFR, metric_paper/calculate_cos_dist.py), ``idd`` RestoreFormer's
(scripts/metrics/cal_identity_distance.py). CodeFormer's ``ids`` names ArcFace and no network: here it is that of
``deg``. ID-Guard publishes no script for ``id-sim``, only the name of a checkpoint and how its loss resizes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from facefort.metrics.identity import Comparison, angle, cosine, degrees, percent, resized
from facefort.metrics.metric import Direction, Metric
from facefort.models.judges import arcface_ir_se50, arcface_resnet18
from facefort.models.judges.chips import SMALLEST, cut

_PNG_GREY = (9797, 19234, 3737)
"""Weights in 32768ths with which OpenCV reads a PNG as grey: 0.299, 0.587 and 0.114, and the sum is cut off."""
_TRAINING_GREY = (0.2989, 0.5870, 0.1140)


def grey_of_deg(pictures: Tensor) -> Tensor:
    """What VQFR's script shows the network: (N, 3, S, S) RGB in [0, 1] -> (N, 1, 128, 128) in [-1, 1].

    Grey as OpenCV reads it from a PNG and resizes it, in whole levels: equal to OpenCV at 128, 256 and 512 px,
    elsewhere up to a level off. The gradient passes the rounding unchanged.
    """
    levels = _whole_levels(pictures.float() * 255, 0.5)
    grey = _whole_levels(_grey(levels, _PNG_GREY) / 32768, 0.0)
    return (_whole_levels(_small(grey), 0.5) - 127.5) / 127.5


def grey_of_idd(pictures: Tensor) -> Tensor:
    """What RestoreFormer's script shows the network: (N, 3, S, S) RGB in [0, 1] -> (N, 1, 128, 128) in [0, 1].

    The script's channels are BGR and its weights RGB, and the network was trained on [-1, 1]; both stay as they are.
    """
    return _small(_grey(pictures.float().flip(1), _TRAINING_GREY))


def _grey(pictures: Tensor, weights: tuple[float, float, float]) -> Tensor:
    return (pictures * pictures.new_tensor(weights).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _small(grey: Tensor) -> Tensor:
    size = arcface_resnet18.SIZE
    return F.interpolate(grey, (size, size), mode="bilinear", align_corners=False)


def _whole_levels(values: Tensor, up: float) -> Tensor:
    """Values cut off to whole numbers after adding ``up``, with the gradient of the values themselves."""
    return values + ((values + up).floor() - values).detach()


def compare_grey(
    pictures: Tensor, reference: Tensor, prepare: Callable[[Tensor], Tensor], comparison: Comparison
) -> Tensor:
    """Compare two batches with the ArcFace ResNet-18 that the user brought."""
    judge = arcface_resnet18.shared().to(pictures.device)
    return comparison(judge(prepare(pictures)), judge(prepare(reference)))


def compare_colour(
    pictures: Tensor, reference: Tensor, prepare: Callable[[Tensor], Tensor], comparison: Comparison
) -> Tensor:
    """Compare two batches with the ArcFace IR-SE50 that the user brought."""
    judge = arcface_ir_se50.shared().to(pictures.device)
    return comparison(judge(prepare(pictures.float())), judge(prepare(reference.float())))


def _chip(pictures: Tensor) -> Tensor:
    return cut(pictures, "ffhq", arcface_ir_se50.CHIP)


def _whole(pictures: Tensor) -> Tensor:
    return resized(pictures, arcface_ir_se50.CHIP.size)


def _metric(
    name: str, direction: Direction, bounds: tuple[float, float], variant: str, reference: str, compute: Comparison
) -> Metric:
    return Metric(
        name=name,
        direction=direction,
        range=bounds,
        needs_reference=True,
        variant=variant,
        reference=reference,
        compute=compute,
        unit={"deg": "°", "idd": "rad"}.get(name, ""),
        smallest=SMALLEST,
        needs_face=True,
    )


_AS_CV2 = "grey as cv2.imread(file, 0), cv2-resized to 128 px, (v - 127.5) / 127.5"

DEG = _metric(
    "deg",
    "lower",
    (0.0, torch.inf),
    "angle in degrees (inf below 1: identical, counted and not averaged) of ArcFace ResNet-18 resnet18_110.pth, "
    + _AS_CV2,
    "VQFR metric_paper/calculate_cos_dist.py: the same steps in OpenCV and NumPy",
    partial(compare_grey, prepare=grey_of_deg, comparison=degrees),
)
IDD = _metric(
    "idd",
    "lower",
    (0.0, torch.pi),
    "angle in radians of ArcFace ResNet-18 arcface_resnet18.pth, BGR under RGB grey weights, 128 px bilinear, [0, 1]",
    "RestoreFormer scripts/metrics/cal_identity_distance.py: the same steps in NumPy",
    partial(compare_grey, prepare=grey_of_idd, comparison=angle),
)
IDS = _metric(
    "ids",
    "higher",
    (-100.0, 100.0),
    "100 x cosine of ArcFace ResNet-18 resnet18_110.pth, " + _AS_CV2 + "; CodeFormer names no network",
    "that of deg",
    partial(compare_grey, prepare=grey_of_deg, comparison=percent),
)
ID_SIM = _metric(
    "id-sim",
    "higher",
    (-1.0, 1.0),
    "cosine of ArcFace IR-SE50 arcface_ir_se50.pth, whole crops resized (bilinear, corners aligned) to 112 px",
    "the network's definition in torch functions; ID-Guard publishes no script",
    partial(compare_colour, prepare=_whole, comparison=cosine),
)
ID_SIM_ALIGNED = _metric(
    "id-sim-aligned",
    "higher",
    (-1.0, 1.0),
    "cosine of ArcFace IR-SE50 arcface_ir_se50.pth, FFHQ-aligned faces, chip 112 px",
    "that of id-sim",
    partial(compare_colour, prepare=_chip, comparison=cosine),
)
