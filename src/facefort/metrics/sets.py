"""What a metric of a whole set of pictures is: one number for a folder, against a named reference set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facefort.metrics.metric import Direction
from facefort.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Features = NDArray[np.float64]


@dataclass(frozen=True)
class SetMetric:
    """One number per set of pictures, with everything that a reader must know to compare it.

    Attributes:
        name: the name, which carries the variant: "fid-clean".
        direction: which way is better.
        range: smallest and largest possible value.
        variant: one line that fixes the definition.
        reference: the implementation that it is tested against.
        features: (N, 3, H, W) RGB in [0, 1] -> (N, D) float64; sets are read batch by batch, only features are kept.
        compare: features of the set and of the reference set -> the number.
        enough: pictures below which the number is biased so far that a warning is due.
        unit: "" for a bare number.
    """

    name: str
    direction: Direction
    range: tuple[float, float]
    variant: str
    reference: str
    features: Callable[[Tensor], Features] = field(repr=False)
    compare: Callable[[Features, Features], float] = field(repr=False)
    enough: int = 2048
    unit: str = ""


SET_METRICS: Registry[SetMetric] = Registry("set metric")
"""Every metric of sets; facts: ``direction`` and the ``weights`` it needs fetched."""


def set_metric(name: str) -> SetMetric:
    """The metric of sets called ``name``.

    Raises:
        UnknownNameError: nothing has that name.
    """
    return SET_METRICS.get(name)
