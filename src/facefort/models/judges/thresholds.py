"""A paper's threshold in terms of the recogniser in use: the distance that lets as many strangers pass.

A cosine of 0.4 means one thing to one network and another to the next. What can be carried over is how often two
strangers pass for one person. That was counted for the recogniser nearest to the paper's over all pairs of strangers of
LFW, and every other recogniser's distance was read off where no more of them pass
(``benchmarks/recogniser_accuracy.py``, ``docs/recognisers.md``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from facefort.errors import UnknownNameError
from facefort.models.judges.identity import RECOGNISERS


@dataclass(frozen=True)
class PaperThreshold:
    """A threshold that a paper states, and what it comes to.

    Attributes:
        name: name in :data:`PAPER_THRESHOLDS`.
        source: who states it, for what.
        recogniser: the one here that stands for the paper's.
        accepted: pairs of strangers of LFW that pass at it with that recogniser.
        strangers: pairs of strangers looked at.
        distances: recogniser -> its distance at which no more of them pass.
    """

    name: str
    source: str
    recogniser: str
    accepted: int
    strangers: int
    distances: Mapping[str, float]

    @property
    def far(self) -> float:
        """Share of strangers that pass: the false acceptance rate."""
        return self.accepted / self.strangers

    @property
    def far_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of :attr:`far`."""
        z2 = 1.959964**2
        centre = self.accepted + z2 / 2
        half = math.sqrt(z2 * (self.accepted * (1 - self.far) + z2 / 4))
        return (centre - half) / (self.strangers + z2), (centre + half) / (self.strangers + z2)


@dataclass(frozen=True)
class EqualFar:
    """A paper's threshold, translated.

    Attributes:
        distance: the recogniser's distance at or below which two pictures count as one person.
        recogniser: the one that it belongs to.
        paper: what was translated.
    """

    distance: float
    recogniser: str
    paper: PaperThreshold

    def __str__(self) -> str:
        """One line to show beside a number that depends on it."""
        low, high = self.paper.far_interval
        return (
            f"identity-{self.recogniser} at most {self.distance:.3f}, where as many strangers pass as at "
            f"{self.paper.name} of {self.paper.recogniser} (FAR {self.paper.far:.1e}, 95 % {low:.1e} to {high:.1e})"
        )


PAPER_THRESHOLDS: Mapping[str, PaperThreshold] = MappingProxyType(
    {
        "arcface-cosine-0.4": PaperThreshold(
            "arcface-cosine-0.4",
            "ID-Guard: a manipulation is disrupted where the ArcFace cosine falls below 0.4",
            "arcface-mbf",
            accepted=1,
            strangers=1_250_180,
            distances=MappingProxyType({"arcface-mbf": 0.6, "dlib": 0.390, "edgeface": 0.504}),
        )
    }
)
"""What papers state. The counts are of one pair in a million: a smaller rate LFW cannot show."""


def equal_far_threshold(recogniser: str = "dlib", paper: str = "arcface-cosine-0.4") -> EqualFar:
    """The recogniser's distance at which as many strangers pass for one person as at a paper's threshold.

    Args:
        recogniser: the one in use.
        paper: one of :data:`PAPER_THRESHOLDS`.

    Raises:
        UnknownNameError: unknown recogniser, or unknown threshold.
    """
    if paper not in PAPER_THRESHOLDS:
        raise UnknownNameError("paper's threshold", paper, PAPER_THRESHOLDS)
    stated = PAPER_THRESHOLDS[paper]
    return EqualFar(stated.distances[RECOGNISERS.entry(recogniser).name], recogniser, stated)
