"""The charts of an audit: robustness curves over the budget, and strips of single values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from facefort.audit.plan import CONTROL, FULL
from facefort.audit.verdict import BROKEN_DB
from facefort.metrics.statistics import mean_ci
from facefort.models.judges.dlib_resnet import DlibResNet
from facefort.report import charts
from facefort.report.measures import MEASURES, REFERENCE, WITHOUT_REFERENCE, Measure
from facefort.runs import Row

CURVES = {
    "psnr-cc": charts.Threshold(BROKEN_DB, "below: another picture"),
    "identity-cc": charts.Threshold(DlibResNet.threshold, "above: another person"),
}


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, the measure that it shows and its legend (sample, name)."""

    title: str
    measure: Measure
    chart: Markup
    legend: tuple[tuple[Markup, str], ...] = ()


def curves(rows: Sequence[Row]) -> list[Figure]:
    """One figure per stability measure: its mean over the budget, one curve per objective and region."""
    return [figure for name in CURVES if (figure := _curve(MEASURES[name], rows)) is not None]


def strips(rows: Sequence[Row]) -> list[Figure]:
    """One figure per reference measure: every face's value before and after restoration."""
    return [figure for name in (*REFERENCE, *WITHOUT_REFERENCE) if (figure := _strip(MEASURES[name], rows)) is not None]


def _curve(measure: Measure, rows: Sequence[Row]) -> Figure | None:
    named: dict[tuple[str, str], dict[float, list[Row]]] = {}
    for row in rows:
        if measure.name in row.values:
            by_eps = named.setdefault((row.values["objective"], row.values["region"]), {})
            by_eps.setdefault(row.values["eps"], []).append(row)
    series = [
        charts.Series(_curve_name(objective, region), points, control=objective == CONTROL)
        for (objective, region), by_eps in named.items()
        if (points := tuple(_points(measure, by_eps)))
    ]
    if not series:
        return None
    y_label = f"{measure.name} {measure.unit}".rstrip()
    chart = charts.curve(measure.label, "budget ε", y_label, series, [CURVES[measure.name]])
    legend = tuple((charts.key(index, one), one.name) for index, one in enumerate(series))
    return Figure(measure.label, measure, chart, legend)


def objective_name(objective: str) -> str:
    """An objective as a page calls it; the control has none."""
    return "random noise (control)" if objective == CONTROL else objective


def _curve_name(objective: str, region: str) -> str:
    return objective_name(objective) if region == FULL else f"{objective_name(objective)}, {region}"


def _points(measure: Measure, by_eps: dict[float, list[Row]]) -> Iterator[charts.Point]:
    """Means by budget; a budget at which every value is infinite has no place on a chart."""
    for eps, rows in sorted(by_eps.items()):
        one = mean_ci(row.values[measure.name] for row in rows)
        if one.n:
            low, high = (one.low, one.high) if one.n > 1 else (one.mean, one.mean)
            yield charts.Point(eps, rows[0].values["eps_text"], one.mean, low, high, one.n)


def _strip(measure: Measure, rows: Sequence[Row]) -> Figure | None:
    found = []
    for name, key in (("input", f"input.{measure.name}"), ("restored", measure.name)):
        values = [row.values[key] for row in rows if math.isfinite(row.values.get(key, math.inf))]
        if values:
            found.append(charts.Dots(name, tuple(values), mean_ci(values).mean))
    return Figure(measure.label, measure, charts.strip(measure.label, found, measure.digits)) if found else None
