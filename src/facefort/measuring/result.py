"""What a measurement found: one row per picture, one line per metric, and everything that is not in a mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from facefort.errors import EXIT_FAILED, EXIT_OK, EXIT_THRESHOLD, EXIT_USAGE, UnknownNameError
from facefort.measuring.conditions import Condition, parse
from facefort.metrics.metric import Direction, Metric
from facefort.metrics.sets import SetMetric
from facefort.metrics.statistics import mean_ci

WHOLE = "picture"
"""Stands for the picture itself where a problem is of no metric in particular."""


@dataclass(frozen=True)
class PictureRow:
    """One picture.

    Attributes:
        name: its stem, less what was to be ignored for pairing.
        test: name of its file; empty where there is none.
        reference: name of the picture that it was compared with; empty where there is none.
        width: in pixels; 0 where it could not be read.
        height: in pixels.
        values: numbers by metric; inf for the PSNR of equal pictures.
        problems: why a metric gave no number, by metric, or :data:`WHOLE` for all of them.
        excluded: why a number is in no mean, by metric.
        sha256: of the file's bytes.
        reference_sha256: of the reference's bytes.
        mask_sha256: of the mask's bytes.
    """

    name: str
    test: str = ""
    reference: str = ""
    width: int = 0
    height: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    reference_sha256: str = ""
    mask_sha256: str = ""

    @property
    def status(self) -> Literal["ok", "failed"]:
        """Whether every metric gave a number."""
        return "failed" if self.problems else "ok"

    @property
    def reason(self) -> str:
        """What failed, in one line; each reason once."""
        by_reason: dict[str, list[str]] = {}
        for metric, reason in self.problems.items():
            by_reason.setdefault(reason, []).append(metric)
        return "; ".join(
            reason if WHOLE in metrics or all(reason.startswith(one) for one in metrics) or len(by_reason) == 1
            else f"{', '.join(metrics)}: {reason}"
            for reason, metrics in by_reason.items()
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "test": self.test,
            "reference": self.reference,
            "width": self.width,
            "height": self.height,
            "values": dict(self.values),
            "problems": dict(self.problems),
            "excluded": dict(self.excluded),
            "sha256": self.sha256,
            "reference_sha256": self.reference_sha256,
            **({"mask_sha256": self.mask_sha256} if self.mask_sha256 else {}),
        }


@dataclass(frozen=True)
class Facts:
    """What a reader must know of a metric to compare its number."""

    name: str
    direction: Direction
    range: tuple[float, float]
    unit: str
    variant: str
    reference: str
    kind: Literal["picture", "set"]

    @classmethod
    def of(cls, metric: Metric | SetMetric) -> Facts:
        """The facts of a metric."""
        return cls(
            metric.name,
            metric.direction,
            metric.range,
            metric.unit,
            metric.variant,
            metric.reference,
            "set" if isinstance(metric, SetMetric) else "picture",
        )


@dataclass(frozen=True)
class SetResult:
    """The number of a metric of sets.

    Attributes:
        value: the number; None where it could not be had.
        n: pictures in the set.
        failed: pictures that should have been in it.
        low: lower end of the interval.
        high: upper end.
        note: against what, and what to keep in mind; or why there is no number.
    """

    value: float | None
    n: int
    failed: int
    low: float = -math.inf
    high: float = math.inf
    note: str = ""


@dataclass(frozen=True)
class Summary:
    """One metric over all pictures.

    Attributes:
        facts: of the metric.
        mean: over the finite values that are not excluded, or the number of the set; None where there is none.
        low: lower end of the 95 % interval; -inf where there is none.
        high: upper end; inf likewise.
        n: pictures that the mean is over.
        infinite: pictures left out because their value is infinite.
        excluded: pictures left out by a rule.
        failed: pictures without a number.
        note: a remark; for a set, against what.
    """

    facts: Facts
    mean: float | None
    low: float
    high: float
    n: int
    infinite: int = 0
    excluded: int = 0
    failed: int = 0
    note: str = ""

    @property
    def name(self) -> str:
        """Name of the metric."""
        return self.facts.name

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; infinities as they are."""
        facts = self.facts
        return {
            "metric": facts.name,
            "kind": facts.kind,
            "mean": self.mean,
            "low95": self.low if math.isfinite(self.low) else None,
            "high95": self.high if math.isfinite(self.high) else None,
            "n": self.n,
            "infinite": self.infinite,
            "excluded": self.excluded,
            "failed": self.failed,
            "note": self.note,
            "direction": facts.direction,
            "range": list(facts.range),
            "unit": facts.unit,
            "variant": facts.variant,
            "reference": facts.reference,
        }


@dataclass(frozen=True)
class Measurement:
    """The result of :func:`facefort.measure`; :mod:`facefort.report.measured` writes it in five forms.

    Attributes:
        rows: one per picture, in natural order of their names.
        summary: one per metric, in the order asked for.
        unmeasured: metrics that were asked for and could not be measured at all, with what to do about it.
        notes: remarks of the protocol and of the pairing.
        info: record of the run: settings, provenance, times, counts.
    """

    rows: tuple[PictureRow, ...]
    summary: tuple[Summary, ...]
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Summary:
        """The summary of a metric.

        Raises:
            UnknownNameError: it was not measured.
        """
        for one in self.summary:
            if one.name == metric:
                return one
        raise UnknownNameError("metric of this measurement", metric, [one.name for one in self.summary])

    @property
    def failed(self) -> tuple[PictureRow, ...]:
        """Rows in which something was not measured."""
        return tuple(row for row in self.rows if row.status == "failed")

    @property
    def complete(self) -> bool:
        """Whether every metric that was asked for gave a number for every picture."""
        return not self.failed and not self.unmeasured and all(one.mean is not None for one in self.summary)

    @property
    def empty(self) -> bool:
        """Whether there is no number at all."""
        return not any(row.values for row in self.rows) and all(one.mean is None for one in self.summary)

    def missed(self, conditions: Iterable[str | Condition]) -> list[str]:
        """Sentences about the means that are as they must not be; see :func:`facefort.measuring.conditions.parse`.

        Raises:
            UnknownNameError: a condition is about a metric that was not measured.
        """
        found = []
        for one in conditions:
            condition = parse(one) if isinstance(one, str) else one
            mean = self[condition.name].mean
            if mean is not None and condition.holds(mean):
                found.append(f"{condition.name} is {mean:.6g}, and must not be {condition.sign} {condition.number:g}")
        return found

    def exit_code(self, conditions: Sequence[str | Condition] = ()) -> int:
        """2 nothing measured, 1 something not measured, 3 a condition holds, 0 otherwise: the first that applies."""
        if self.empty:
            return EXIT_USAGE
        if not self.complete:
            return EXIT_FAILED
        return EXIT_THRESHOLD if self.missed(conditions) else EXIT_OK

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "summary": [one.to_dict() for one in self.summary],
            "rows": [row.to_dict() for row in self.rows],
            "unmeasured": dict(self.unmeasured),
            "notes": list(self.notes),
            "info": dict(self.info),
        }


def summarise(
    facts: Sequence[Facts], rows: Sequence[PictureRow], sets: Mapping[str, SetResult], seed: int = 0
) -> tuple[Summary, ...]:
    """One line per metric, in the order of ``facts``."""
    return tuple(
        _of_set(one, sets[one.name]) if one.kind == "set" else _of_pictures(one, rows, seed)
        for one in facts
        if one.kind == "picture" or one.name in sets
    )


def _of_set(facts: Facts, score: SetResult) -> Summary:
    return Summary(facts, score.value, score.low, score.high, score.n, failed=score.failed, note=score.note)


def _of_pictures(facts: Facts, rows: Sequence[PictureRow], seed: int) -> Summary:
    name = facts.name
    values = [row.values[name] for row in rows if name in row.values and name not in row.excluded]
    excluded = sum(name in row.excluded for row in rows)
    failed = sum(name not in row.values for row in rows)
    if not values:
        return Summary(facts, None, -math.inf, math.inf, 0, 0, excluded, failed)
    interval = mean_ci(values, seed=seed)
    return Summary(facts, interval.mean, interval.low, interval.high, interval.n, interval.n_infinite, excluded, failed)
