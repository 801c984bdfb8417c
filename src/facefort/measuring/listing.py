"""What there is to measure with, for lists and pages: the registries' facts beside those of the metrics themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from facefort import assets
from facefort.measuring.plan import is_known
from facefort.measuring.protocol import Protocol, protocols
from facefort.metrics.metric import METRICS, Metric
from facefort.metrics.sets import SET_METRICS, SetMetric
from facefort.registry import Entry


def metrics() -> list[dict[str, Any]]:
    """Every metric, of pictures and then of sets, as plain values."""
    return [*(_row(entry, METRICS.get(entry.name)) for entry in METRICS), *_set_rows()]


def _set_rows() -> Iterator[dict[str, Any]]:
    return (_row(entry, SET_METRICS.get(entry.name)) for entry in SET_METRICS)


def _row(entry: Entry, metric: Metric | SetMetric) -> dict[str, Any]:
    weights = tuple(entry.facts.get("weights", ()))
    of_pictures = isinstance(metric, Metric)
    return {
        **entry.facts,
        "name": metric.name,
        "kind": "picture" if of_pictures else "set",
        "direction": metric.direction,
        "range": [_end(value) for value in metric.range],
        "unit": metric.unit,
        "needs_reference": metric.needs_reference if isinstance(metric, Metric) else True,
        "needs_face": isinstance(metric, Metric) and metric.needs_face,
        "smallest": metric.smallest if isinstance(metric, Metric) else 1,
        "enough": None if isinstance(metric, Metric) else metric.enough,
        "differentiable": isinstance(metric, Metric) and metric.differentiable,
        "weights": list(weights),
        "not_fetched": assets.missing(weights),
        "cost_ms": entry.facts.get("cost_ms"),
        "variant": metric.variant,
        "reference": metric.reference,
    }


def needs(row: dict[str, Any]) -> str:
    """What a metric of :func:`metrics` needs, in words."""
    parts = ["reference set" if row["kind"] == "set" else "reference"] if row["needs_reference"] else []
    parts += ["aligned face"] if row["needs_face"] else []
    parts += [f"{row['smallest']} px"] if row["smallest"] > 1 else []
    names = [f"{name}{' (missing)' if name in row['not_fetched'] else ''}" for name in row["weights"]]
    parts += [f"weights {' and '.join(names)}"] if names else []
    return ", ".join(parts) or "nothing"


def protocol_rows() -> list[dict[str, Any]]:
    """Every protocol as plain values, with what facefort cannot measure of it by itself."""
    return [one.to_dict() | {"lacking": lacking(one)} for one in protocols().values()]


def lacking(rule: Protocol) -> list[str]:
    """The protocol's metrics that are not among facefort's."""
    return [name for name in rule.metrics if not is_known(name)]


def _end(value: float) -> float | str:
    return value if abs(value) != float("inf") else str(value)
