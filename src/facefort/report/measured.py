"""A measurement in five forms, all from the one result: Markdown, LaTeX, CSV, JSON, HTML; and its rows as CSV.

The mean never stands alone: how many pictures it is over, how many were infinite, excluded by a rule or failed, and
which metrics could not be measured, is in every form.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from facefort.errors import UnknownNameError
from facefort.measuring.result import Facts, Measurement, PictureRow, Summary
from facefort.metrics.statistics import Interval
from facefort.report.measures import MEASURES, Measure
from facefort.report.numbers import counted, plain
from facefort.report.tables import ABSENT, Condition, Table, escape_latex, escape_markdown, pipes, strict

ARROWS = {"higher": "↑", "lower": "↓"}
HEAD = ("metric", "mean", "95 % interval", "n", "infinite", "excluded", "failed")


def render_measurement(measurement: Measurement, form: str) -> str:
    """Write a measurement as "markdown", "latex", "csv", "json" or "html".

    Raises:
        UnknownNameError: another form.
    """
    if form not in FORMS:
        raise UnknownNameError("format", form, FORMS)
    return FORMS[form](measurement)


def to_markdown(measurement: Measurement) -> str:
    """A table with aligned columns, which a terminal shows as well, and the remarks below it."""
    lines = [
        list(HEAD),
        *([f"{escape_markdown(one.name)} {ARROWS[one.facts.direction]}", *cells(one)] for one in measurement.summary),
    ]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(HEAD))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    table = [pipes([_padded(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True))])
             for line in (lines[0], rule, *lines[1:])]  # fmt: skip
    # Commands and file names in them are to be copied: only what could become HTML is escaped.
    said = ["- " + " ".join(text.split()).replace("<", "\\<") for text in remarks(measurement)]
    return "\n".join([f"**{escape_markdown(title(measurement))}**", "", *table, "", *said, *([""] if said else [])])


def _padded(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def to_latex(measurement: Measurement) -> str:
    """A booktabs tabular, one line per metric; the remarks are comments."""
    arrows = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
    head = ["Metric", "Mean", r"95\,\% interval", "$n$", "Infinite", "Excluded", "Failed"]
    lines = [f"% {text}" for text in (title(measurement), *remarks(measurement))]
    lines += [r"\begin{tabular}{lrrrrrr}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    for one in measurement.summary:
        shown = [text.replace("∞", r"$\infty$").replace(ABSENT, "--") for text in cells(one)]
        lines.append(" & ".join([f"{escape_latex(one.name)} {arrows[one.facts.direction]}", *shown]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def to_csv(measurement: Measurement) -> str:
    """One line per metric in full precision; a metric that could not be measured has a note and no number."""
    columns = ("metric", "kind", "mean", "low95", "high95", "n", "infinite", "excluded", "failed", "direction", "unit",
               "variant", "note")  # fmt: skip
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.to_dict() for one in measurement.summary)
    writer.writerows({"metric": name, "note": f"not measured: {why}"} for name, why in measurement.unmeasured.items())
    return stream.getvalue()


def to_json(measurement: Measurement) -> str:
    """Everything, strict JSON; a number that JSON has not (an infinite PSNR) is written as a string."""
    return json.dumps(_plain(measurement.to_dict()), indent=2, ensure_ascii=False) + "\n"


def to_html(measurement: Measurement) -> str:
    """One page that needs nothing else."""
    from facefort.report.page import render_measured

    return render_measured(measurement)


FORMS: dict[str, Callable[[Measurement], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}


def per_picture(measurement: Measurement) -> str:
    """CSV with one line per picture: a metric that gave no number has an empty cell and its reason in the line."""
    names = [one.name for one in measurement.summary if one.facts.kind == "picture"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ("name", "status", "reason", "test", "reference", "width", "height")
    writer.writerow([*head, *names, "excluded"])
    writer.writerows(_csv_row(row, names) for row in measurement.rows)
    return stream.getvalue()


def _csv_row(row: PictureRow, names: Sequence[str]) -> list[object]:
    size = [row.width or "", row.height or ""]
    numbers = [row.values.get(name, "") for name in names]
    return [row.name, row.status, row.reason, row.test, row.reference, *size, *numbers, " ".join(row.excluded)]


def comparison(name: str, measurements: Mapping[str, Measurement]) -> Table:
    """Measurements side by side, as papers print methods; :func:`facefort.report.render` writes the table.

    Args:
        name: title of the table.
        measurements: by the name of what was measured.
    """
    measures = {one.name: measure(one.facts, one.mean) for found in measurements.values() for one in found.summary}
    numbers = {
        (method, one.name): Interval(one.mean, one.low, one.high, one.n, one.infinite)
        for method, found in measurements.items()
        for one in found.summary
        if one.mean is not None
    }
    return Table(name, tuple(map(Condition, measurements)), tuple(measures.values()), numbers)


def measure(facts: Facts, mean: float | None = None) -> Measure:
    """How a page names and rounds a metric; one that it does not know goes by its own name."""
    return MEASURES.get(facts.name) or Measure(facts.name, facts.name, facts.direction, digits(mean), facts.unit)


def digits(value: float | None) -> int:
    """Decimals that papers print: 27.35, 4.077, 0.3646."""
    size = abs(value) if value is not None and math.isfinite(value) else 100.0
    return 2 if size >= 10 else 3 if size >= 1 else 4


def cells(one: Summary) -> list[str]:
    """A line of the summary, after the name of the metric."""
    places = digits(one.mean)
    mean = ABSENT if one.mean is None else f"{plain(one.mean, places)} {one.facts.unit}".rstrip()
    interval = ABSENT
    if math.isfinite(one.low) and math.isfinite(one.high):
        interval = f"{plain(one.low, places)} to {plain(one.high, places)}"
    counts = (one.n, one.infinite, one.excluded, one.failed)
    return [mean, interval, *map(str, counts)]


def title(measurement: Measurement) -> str:
    """What was measured against what, and how much of it."""
    settings = measurement.info.get("settings", {})
    against = f" against {_name(settings['reference'])}" if settings.get("reference") else ""
    failed = f", {len(measurement.failed)} with failures" if measurement.failed else ""
    return f"{_name(settings.get('test', ''))}{against}: {counted(len(measurement.rows), 'picture')}{failed}"


def remarks(measurement: Measurement) -> list[str]:
    """What a reader must know beside the numbers."""
    notes = [f"{one.name}: {one.note}" for one in measurement.summary if one.note]
    unmeasured = [f"{name} was not measured: {reason}" for name, reason in measurement.unmeasured.items()]
    return [*unmeasured, *notes, *measurement.notes]


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1] or path


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float):
        return strict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
