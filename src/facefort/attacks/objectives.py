"""What an attack raises: a distance between the restored picture and something, per picture.

An objective sees the clean pass once and returns the function that every step evaluates, so that what does not change
(targets, features, embeddings) is computed once. The pixel and perceptual objectives follow "Towards Robust Rain
Removal Against Adversarial Attacks", Yu et al., CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from facefort.errors import UsageError
from facefort.models.judges.identity import recogniser
from facefort.models.judges.perceptual import lpips
from facefort.registry import Registry

Distance = Callable[[Tensor], Tensor]
"""Restored pictures (N, 3, S, S) -> what is raised (N,), float32 and differentiable."""


@dataclass(frozen=True)
class Subject:
    """What an objective may know.

    Attributes:
        restored: restored clean pictures, (N, 3, S, S) in [0, 1], detached.
        reference: undamaged pictures of the same shape, or None.
        region: where the distance counts, (N, 1, S, S) of weights in [0, 1], or None for everywhere.
    """

    restored: Tensor
    reference: Tensor | None = None
    region: Tensor | None = None


class Objective(Protocol):
    """Builds the distance for a batch of pictures."""

    def __call__(self, subject: Subject) -> Distance:
        """The distance to raise; called once per attack."""


OBJECTIVES: Registry[Objective] = Registry("objective")
OBJECTIVES.add("pix_self", f"{__name__}:pix_self", title="MSE to the clean restoration", reference=False)
OBJECTIVES.add("pix_gt", f"{__name__}:pix_gt", title="MSE to the undamaged picture", reference=True)
OBJECTIVES.add("l1", f"{__name__}:l1", title="mean absolute distance to the clean restoration", reference=False)
OBJECTIVES.add("perc", f"{__name__}:perc", title="lpips-alex to the clean restoration", reference=False)
OBJECTIVES.add("id", f"{__name__}:identity", title="distance of dlib's embeddings", reference=False)


def pix_self(subject: Subject) -> Distance:
    """Mean squared distance to the clean restoration; its gradient is zero at the clean picture."""
    return lambda restored: _mean((restored - subject.restored).square(), subject.region)


def pix_gt(subject: Subject) -> Distance:
    """Mean squared distance to the undamaged picture.

    Raises:
        UsageError: there is none.
    """
    reference = subject.reference
    if reference is None:
        raise UsageError("the objective pix_gt needs the undamaged pictures; choose pix_self where there are none")
    return lambda restored: _mean((restored - reference).square(), subject.region)


def l1(subject: Subject) -> Distance:
    """Mean absolute distance to the clean restoration."""
    return lambda restored: _mean((restored - subject.restored).abs(), subject.region)


def perc(subject: Subject) -> Distance:
    """LPIPS with AlexNet to the clean restoration; score it with another backbone (``lpips-vgg``)."""
    judge = lpips("alex").to(subject.restored.device)
    target = judge.features(subject.restored)
    return lambda restored: judge.compare(judge.features(_inside(restored, subject)), target)


def identity(subject: Subject) -> Distance:
    """Distance of dlib's embeddings of both restorations."""
    judge = recogniser("dlib").to(subject.restored.device)
    target = judge(subject.restored)
    return lambda restored: judge.distance(judge(_inside(restored, subject)), target)


def _mean(error: Tensor, region: Tensor | None) -> Tensor:
    """Mean of (N, C, S, S) per picture; over the region's area, not the picture's, where there is one."""
    if region is None:
        return error.flatten(1).mean(1)
    return (error * region).flatten(1).sum(1) / (region.flatten(1).sum(1) * error.shape[1])


def _inside(restored: Tensor, subject: Subject) -> Tensor:
    """The restored picture inside the region and the clean restoration outside, for distances without a pixel map."""
    if subject.region is None:
        return restored
    return subject.restored.lerp(restored, subject.region)
