"""Metrics on a batch: one bad picture must not take its neighbours with it, nor one bad metric the others."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from facefort.errors import FacefortError, UsageError, WeightsError
from facefort.faces.landmarks import SEEN, presence
from facefort.measuring.conditions import Condition
from facefort.measuring.loading import Loaded
from facefort.measuring.result import WHOLE, PictureRow
from facefort.metrics.metric import Metric
from facefort.pictures.levels import Levels, to_unit
from facefort.pictures.tensors import from_bytes

_log = logging.getLogger(__name__)


class Unmeasurable(Exception):  # noqa: N818 - a verdict on a metric, not an error
    """A metric that cannot be measured on any picture, and why."""


class Scorer:
    """Measures batches of pictures of one size.

    Args:
        metrics: what to measure.
        exclude: conditions under which a number is in no mean.
        device: where to compute.
        face_check: look for a face before measuring who it is.

    Attributes:
        unmeasured: metrics that turned out to be unmeasurable, with the reason; they are in no row after that.
    """

    def __init__(self, metrics: Sequence[Metric], exclude: Sequence[Condition], device: str, face_check: bool) -> None:
        self.metrics = list(metrics)
        self.exclude = exclude
        self.device = device
        self.unmeasured: dict[str, str] = {}
        self._faces = FaceCheck() if face_check and any(one.needs_face for one in metrics) else None

    def rows(self, batch: Sequence[Loaded]) -> list[PictureRow]:
        """One row per picture, in the order of the batch."""
        if self._faces is not None:
            self._faces.forget()
        values: list[dict[str, float]] = [{} for _ in batch]
        problems: list[dict[str, str]] = [{WHOLE: one.problem} if one.problem else {} for one in batch]
        for metric in [one for one in self.metrics if one.name not in self.unmeasured]:
            try:
                self._measure(metric, batch, values, problems)
            except Unmeasurable as verdict:
                self.unmeasured[metric.name] = str(verdict)
        return [self._row(*parts) for parts in zip(batch, values, problems, strict=True)]

    def _measure(
        self,
        metric: Metric,
        batch: Sequence[Loaded],
        values: Sequence[dict[str, float]],
        problems: Sequence[dict[str, str]],
    ) -> None:
        fit = []
        for i, one in enumerate(batch):
            problem = self._obstacle(metric, one)
            if problem:
                problems[i][metric.name] = problem
            elif not one.problem:
                fit.append(i)
        for i, found in zip(fit, self._isolated(metric, [batch[i] for i in fit]), strict=True):
            if isinstance(found, str):
                problems[i][metric.name] = found
            else:
                values[i][metric.name] = found

    def _obstacle(self, metric: Metric, one: Loaded) -> str:
        if one.problem:
            return ""  # said once, of the whole picture
        if metric.needs_reference and one.reference is None:
            return one.reference_problem or "no reference picture"
        if metric.masked and one.mask is None:
            return one.mask_problem or "no mask"
        if metric.needs_face and self._faces is not None:
            with_reference = one.reference if metric.needs_reference else None
            return self._faces.obstacle(one, with_reference)
        return ""

    def _isolated(self, metric: Metric, batch: Sequence[Loaded]) -> list[float | str]:
        """A number, or the reason why there is none, for each picture; where the batch fails, each alone."""
        if not batch:
            return []
        try:
            return [_checked(metric, value) for value in self._compute(metric, batch)]
        except (WeightsError, UsageError) as error:
            raise Unmeasurable(str(error)) from error
        except Exception as error:  # whatever a metric does, the others are still measured, and the row says so
            if len(batch) > 1:
                return [found for one in batch for found in self._isolated(metric, [one])]
            if not isinstance(error, FacefortError):
                _log.debug("%s", metric.name, exc_info=True)
                return [f"{metric.name} broke: {type(error).__name__}: {' '.join(str(error).split())[:200]}"]
            return [str(error)]

    @torch.no_grad()
    def _compute(self, metric: Metric, batch: Sequence[Loaded]) -> list[float]:
        tests = self._tensor(one.test for one in batch)
        references = self._tensor(one.reference for one in batch) if metric.needs_reference else None
        if metric.masked:
            assert references is not None
            masks = torch.from_numpy(np.stack([one.mask for one in batch if one.mask is not None]))[:, None] / 255
            found = metric.within(tests, references, masks.to(self.device))
        else:
            found = metric(tests, references, faces_known=True)  # they were looked for, or the user wants no check
        if tuple(found.shape) != (len(batch),):
            raise TypeError(f"{len(batch)} pictures gave numbers of shape {tuple(found.shape)}")
        numbers: list[float] = found.cpu().double().tolist()
        return numbers

    def _tensor(self, pictures: Iterable[Levels | None]) -> Tensor:
        return from_bytes(np.stack([one for one in pictures if one is not None])).to(self.device)

    def _row(self, one: Loaded, values: dict[str, float], problems: dict[str, str]) -> PictureRow:
        excluded = {c.name: f"{c} is left out" for c in self.exclude if c.name in values and c.holds(values[c.name])}
        unit = one.unit
        return PictureRow(
            unit.name,
            unit.test.name if unit.test else "",
            unit.reference.name if unit.reference else "",
            one.width,
            one.height,
            values,
            problems,
            excluded,
            one.sha256,
            one.reference_sha256,
            one.mask_sha256,
        )


def _checked(metric: Metric, value: float) -> float | str:
    if math.isnan(value):
        return f"{metric.name} is NaN"
    if value == -math.inf:
        return f"{metric.name} is -inf"
    return value


class FaceCheck:
    """Whether there is a face at all: a recogniser measures a distance between any two pictures, faces or not.

    The metrics ask the same question of what they are given; here it is asked once per picture, not once per metric.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], bool] = {}

    def forget(self) -> None:
        """Begin another batch."""
        self._known.clear()

    def obstacle(self, one: Loaded, reference: Levels | None) -> str:
        """What is missing, in one line; empty where every picture shows a face, or is no square to look at.

        Raises:
            Unmeasurable: the face mesh is not fetched.
        """
        for what, pixels in (("picture", one.test), ("reference", reference)):
            if pixels is None or pixels.shape[0] != pixels.shape[1]:
                continue
            key = (one.index, what)
            if key not in self._known:
                self._known[key] = _has_face(pixels)
            if not self._known[key]:
                return f"no face found in the {what}"
        return ""


def _has_face(pixels: Levels) -> bool:
    try:
        return presence(to_unit(pixels, 255, 3)) >= SEEN
    except WeightsError as error:
        raise Unmeasurable(f"looking for faces: {error}; or add --no-face-check") from error
