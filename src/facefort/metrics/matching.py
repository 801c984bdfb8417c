"""Is it still the same person to a recogniser? How often pairs of one person match, at a rate of false matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facefort.errors import ModelError, UsageError
from facefort.metrics.statistics import Proportion, wilson


@dataclass(frozen=True)
class Matching:
    """How often pairs of one person match.

    Attributes:
        accepted: share of the pairs of one person at or below the threshold (TAR), with its Wilson interval.
        threshold: the largest distance that matches.
        far: share of the pairs of strangers at or below it; at most what was asked for.
        strangers: pairs of strangers.
    """

    accepted: Proportion
    threshold: float
    far: float
    strangers: int


def matching(own: ArrayLike, others: ArrayLike, far: float = 1e-2) -> Matching:
    """True accept rate at a false accept rate.

    The threshold is the largest distance of strangers of which at most ``far`` are as near; with few strangers the rate
    that is reached lies below what was asked for, and is said.

    Args:
        own: distances of pairs of one person, (N,).
        others: distances of pairs of strangers, (M,).
        far: share of strangers that may match.

    Raises:
        UsageError: no pairs, a rate outside (0, 1), or too few strangers for that rate.
        ModelError: a distance that is no number.
    """
    near, away = _distances(own, "of one person"), np.sort(_distances(others, "of strangers"))
    if not 0 < far < 1:
        raise UsageError(f"a false accept rate lies between 0 and 1, for instance 0.01, not {far}")
    allowed = int(far * len(away) + 1e-9)
    if allowed < 1:
        raise UsageError(f"{len(away)} pairs of strangers cannot tell a rate of {far:g}; it takes {round(1 / far)}")
    # Of equal distances all match or none: the threshold falls below those that would be too many.
    threshold = (
        away[allowed - 1] if allowed == len(away) or away[allowed] > away[allowed - 1] else _below(away, allowed)
    )
    accepted = int((near <= threshold).sum())
    reached = float((away <= threshold).mean())
    return Matching(wilson(accepted, len(near)), float(threshold), reached, len(away))


def _below(away: NDArray[np.float64], allowed: int) -> float:
    """The largest distance below the tie that the allowed number ends in; -inf where there is none."""
    lower = away[away < away[allowed]]
    return float(lower[-1]) if len(lower) else -np.inf


def _distances(values: ArrayLike, what: str) -> NDArray[np.float64]:
    distances = np.asarray(values, np.float64).ravel()
    if not len(distances):
        raise UsageError(f"there are no pairs {what}")
    if np.isnan(distances).any():
        raise ModelError(f"a distance {what} is no number; what made it has failed")
    return distances


__all__ = ["Matching", "matching"]
