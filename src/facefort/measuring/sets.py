"""Metrics of sets while pictures pass by: features are kept, pictures are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from facefort.errors import FacefortError
from facefort.measuring.loading import Loaded
from facefort.measuring.result import SetResult
from facefort.metrics.references import from_pictures, from_statistics
from facefort.metrics.sets import Features, Interval, Reference, SetMetric, SetScore
from facefort.pictures.folders import expand
from facefort.pictures.tensors import from_bytes

Extractor: TypeAlias = Callable[[Tensor], Features]


class SetScorer:
    """Collects features of the test pictures, and compares them with those of a reference in the end.

    Args:
        metrics: what to measure; those that share their features compute them once.
        place: folder of reference pictures, or file of statistics.
        device: where to compute.
        seed: of the interval's draws.
        interval: how it is found.
    """

    def __init__(
        self, metrics: Sequence[SetMetric], place: str, device: str, seed: int, interval: Interval = "jackknife"
    ) -> None:
        self.metrics = metrics
        self.place = place
        self.device = device
        self.seed = seed
        self.interval = interval
        self._features: dict[Extractor, dict[int, Features]] = {one.features: {} for one in metrics}
        self._broken: dict[Extractor, str] = {}
        self._sizes: set[tuple[int, ...]] = set()
        self._references: dict[Extractor, Reference] = {}

    def add(self, batch: Sequence[Loaded]) -> None:
        """Keep the features of a batch of pictures of one size; those that could not be read have none."""
        pictures = [one.test for one in batch if one.test is not None]
        if not pictures or not self.metrics:
            return
        self._sizes.add(pictures[0].shape[:2])
        tensor = from_bytes(np.stack(pictures)).to(self.device)
        indices = [one.index for one in batch if one.test is not None]
        for extract, kept in self._features.items():
            if extract in self._broken:
                continue
            try:
                with torch.no_grad():
                    kept.update(zip(indices, extract(tensor), strict=True))
            except Exception as error:  # the other metrics go on, and the summary says it
                self._broken[extract] = _said(error)

    def results(self, total: int) -> dict[str, SetResult]:
        """The number of each metric, or why there is none; ``total`` pictures should have been in the set."""
        return {metric.name: self._result(metric, total) for metric in self.metrics}

    def _result(self, metric: SetMetric, total: int) -> SetResult:
        kept = self._features[metric.features]
        missing = total - len(kept)
        try:
            if metric.features in self._broken:
                return SetResult(None, len(kept), total, note=self._broken[metric.features])
            if len(self._sizes) > 1:
                shown = ", ".join(f"{width} x {height}" for height, width in sorted(self._sizes)[:4])
                return SetResult(None, len(kept), missing, note=f"needs pictures of one size, not {shown}")
            if len(kept) < 2:
                return SetResult(None, len(kept), missing, note="compares sets; give at least two pictures")
            features = np.stack([kept[index] for index in sorted(kept)])
            found = metric.score(features, self._reference(metric), interval=self.interval, seed=self.seed)
        except Exception as error:  # as above
            return SetResult(None, len(kept), missing, note=_said(error))
        low, high = (found.low, found.high) if math.isfinite(found.low) else (-math.inf, math.inf)
        count = "" if found.reference_count is None else f" ({found.reference_count} pictures)"
        against = f"against {found.reference}{count}, sha256 {found.reference_digest[:8]}"
        return SetResult(found.value, found.count, missing, low, high, "; ".join((against, *self._remarks(found))))

    def _remarks(self, found: SetScore) -> tuple[str, ...]:
        """The warnings, and what the interval is where it is not the usual one."""
        drawn = math.isfinite(found.low) and self.interval == "bootstrap"
        return (*found.warnings, *(("the interval is a bootstrap's, of 200 sets",) if drawn else ()))

    def _reference(self, metric: SetMetric) -> Reference:
        if metric.features not in self._references:
            place = Path(self.place)
            self._references[metric.features] = (
                from_statistics(place)
                if place.is_file() and place.suffix in (".npz", ".pth", ".pt")
                else from_pictures(metric, expand([self.place]), place.name)
            )
        return self._references[metric.features]


def _said(error: Exception) -> str:
    if isinstance(error, FacefortError):
        return str(error)
    return f"broke: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
