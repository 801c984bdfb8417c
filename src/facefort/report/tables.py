"""One table of results, written as Markdown, LaTeX, CSV, JSON or HTML.

A table crosses conditions (the degraded input, the restored picture, an attack at a budget) with measures (PSNR,
LPIPS). Each cell holds a mean with its 95 % interval and its n; the best mean of a measure is bold.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from facefort.errors import UnknownNameError
from facefort.metrics.statistics import Interval, mean_ci
from facefort.report.measures import Measure
from facefort.report.numbers import plain, typeset

ABSENT = "–"


@dataclass(frozen=True)
class Condition:
    """What the values of one line were measured on.

    Attributes:
        name: as shown.
        compared: whether it competes for the best mean; a difference does not, nor attacks of several budgets.
        signed: whether its numbers are changes, shown with their sign.
    """

    name: str
    compared: bool = True
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """Results: conditions x measures, each cell an estimate; a missing cell was not measured."""

    title: str
    conditions: tuple[Condition, ...]
    measures: tuple[Measure, ...]
    cells: Mapping[tuple[str, str], Interval] = field(default_factory=dict)

    def cell(self, condition: Condition, measure: Measure) -> Interval | None:
        """The estimate of a cell, or None where nothing was measured."""
        return self.cells.get((condition.name, measure.name))

    def is_best(self, condition: Condition, measure: Measure) -> bool:
        """Whether no compared condition has a better mean of that measure, and at least two were compared."""
        own = self.cell(condition, measure)
        rivals = [self.cell(one, measure) for one in self.conditions if one.compared]
        means = [one.mean for one in rivals if one is not None and not math.isnan(one.mean)]
        if measure.better is None or not condition.compared or own is None or len(means) < 2:
            return False
        best = max(means) if measure.better == "higher" else min(means)
        return bool(own.mean == best)


def tabulate(title: str, samples: Mapping[Condition, Mapping[Measure, Sequence[float]]]) -> Table:
    """Build a table from the values behind it; a measure without values leaves its cell out."""
    filled = {
        condition: {measure: values for measure, values in by_measure.items() if len(values)}
        for condition, by_measure in samples.items()
    }
    measures = dict.fromkeys(measure for by_measure in filled.values() for measure in by_measure)
    cells = {
        (condition.name, measure.name): mean_ci(values)
        for condition, by_measure in filled.items()
        for measure, values in by_measure.items()
    }
    return Table(title, tuple(one for one in filled if filled[one]), tuple(measures), cells)


def render(table: Table, form: str) -> str:
    """Write a table as "md", "latex", "csv", "json" or "html".

    Raises:
        UnknownNameError: another form.
    """
    if form not in FORMS:
        raise UnknownNameError("table form", form, FORMS)
    return FORMS[form](table)


def to_markdown(table: Table) -> str:
    """GitHub Markdown: one line per condition, the best mean of each column bold."""
    head = ["", *(_titled(measure) for measure in table.measures), "n"]
    lines = [pipes(head), pipes([":--", *["--:"] * (len(head) - 1)])]
    for condition in table.conditions:
        cells = []
        for measure in table.measures:
            text = _in_text(table, condition, measure)
            cells.append(f"**{text}**" if table.is_best(condition, measure) else text)
        lines.append(pipes([escape_markdown(condition.name), *cells, _n_of(table, condition)]))
    return "\n".join([f"**{escape_markdown(table.title)}**", "", *lines, ""])


def to_latex(table: Table) -> str:
    """A booktabs tabular: one line per condition, the best mean of each column bold."""
    arrows = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", None: ""}
    head = [f"{escape_latex(_label(measure))}{arrows[measure.better]}" for measure in table.measures]
    lines = [f"% {table.title}".replace("\n", " "), rf"\begin{{tabular}}{{l{'r' * (len(head) + 1)}}}", r"\toprule"]
    lines += [" & ".join(["", *head, "$n$"]) + r" \\", r"\midrule"]
    for condition in table.conditions:
        cells = []
        for measure in table.measures:
            text = _in_text(table, condition, measure).replace("∞", r"$\infty$").replace(ABSENT, "--")
            cells.append(rf"\textbf{{{text}}}" if table.is_best(condition, measure) else text)
        lines.append(" & ".join([escape_latex(condition.name), *cells, _n_of(table, condition)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def to_csv(table: Table) -> str:
    """Tidy CSV: one line per cell, full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["condition", "measure", "unit", "better", "mean", "low95", "high95", "n", "n_infinite"])
    for condition in table.conditions:
        for measure in table.measures:
            if (one := table.cell(condition, measure)) is not None:
                facts = [
                    measure.name,
                    measure.unit,
                    measure.better or "",
                    one.mean,
                    one.low,
                    one.high,
                    one.n,
                    one.n_infinite,
                ]
                writer.writerow([condition.name, *facts])
    return stream.getvalue()


def to_json(table: Table) -> str:
    """Strict JSON with full precision; a number that JSON has not (an infinite PSNR) is written as a string."""
    cells = [
        {
            "condition": condition.name,
            "measure": measure.name,
            "mean": strict(one.mean),
            "low95": strict(one.low),
            "high95": strict(one.high),
            "n": one.n,
            "n_infinite": one.n_infinite,
            "best": table.is_best(condition, measure),
        }
        for condition in table.conditions
        for measure in table.measures
        if (one := table.cell(condition, measure)) is not None
    ]
    measures = [
        {"name": one.name, "label": one.label, "unit": one.unit, "better": one.better} for one in table.measures
    ]
    return json.dumps({"title": table.title, "measures": measures, "cells": cells}, indent=2, ensure_ascii=False)


def to_html(table: Table) -> Markup:
    """An HTML table: one row per condition, the best mean of each column in class ``best``."""
    head = Markup("").join(
        Markup('<th scope="col">{}{} <code>{}</code></th>').format(_label(measure), _arrow(measure), measure.name)
        for measure in table.measures
    )
    rows = []
    for condition in table.conditions:
        cells = Markup("").join(_html_cell(table, condition, measure) for measure in table.measures)
        end = Markup("<td>{}</td>").format(_n_of(table, condition))
        rows.append(Markup('<tr><th scope="row">{}</th>{}{}</tr>').format(condition.name, cells, end))
    return _html_table(table, Markup('<th scope="col"></th>') + head + Markup('<th scope="col">n</th>'), rows)


def to_tall_html(table: Table) -> Markup:
    """An HTML table turned on its side, for many measures of few conditions: one row per measure."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(one.name) for one in table.conditions)
    rows = []
    for measure in table.measures:
        name = Markup('<th scope="row">{}{} <code>{}</code></th>').format(
            _label(measure), _arrow(measure), measure.name
        )
        cells = Markup("").join(_html_cell(table, condition, measure) for condition in table.conditions)
        counts = {
            _counted(one) for condition in table.conditions if (one := table.cell(condition, measure)) is not None
        }
        end = Markup("<td>{}</td>").format(_span(counts))
        rows.append(Markup("<tr>{}{}{}</tr>").format(name, cells, end))
    return _html_table(table, Markup('<th scope="col">Measure</th>') + head + Markup('<th scope="col">n</th>'), rows)


FORMS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}


def _label(measure: Measure) -> str:
    return f"{measure.label} ({measure.unit})" if measure.unit else measure.label


def _titled(measure: Measure) -> str:
    arrow = {"higher": " ↑", "lower": " ↓", None: ""}[measure.better]
    return f"{_label(measure)}{arrow}"


def _arrow(measure: Measure) -> Markup:
    if measure.better is None:
        return Markup("")
    sign = "↑" if measure.better == "higher" else "↓"
    return Markup(' <span class="arrow" role="img" aria-label="{} is better" title="{} is better">{}</span>').format(
        measure.better, measure.better, sign
    )


def _in_text(table: Table, condition: Condition, measure: Measure) -> str:
    one = table.cell(condition, measure)
    if one is None:
        return ABSENT
    sign = "+" if condition.signed and one.mean > 0 else ""
    mean = f"{sign}{plain(one.mean, measure.digits)}"
    if math.isfinite(one.low):  # a single value has no spread
        mean += f" [{plain(one.low, measure.digits)}, {plain(one.high, measure.digits)}]"
    return ", ".join([mean, *_left_out(one)])


def _html_cell(table: Table, condition: Condition, measure: Measure) -> Markup:
    one = table.cell(condition, measure)
    if one is None:
        return Markup("<td>{}</td>").format(ABSENT)
    low, mean, high = (typeset(value, measure.digits, condition.signed) for value in (one.low, one.mean, one.high))
    css = Markup(' class="best"') if table.is_best(condition, measure) else Markup("")
    notes = [f"{low} to {high}"] if math.isfinite(one.low) else []
    small = Markup("").join(Markup('<span class="ci">{}</span>').format(note) for note in (*notes, *_left_out(one)))
    return Markup("<td{}>{}{}</td>").format(css, mean, small)


def _left_out(one: Interval) -> list[str]:
    """What a mean is not over: the infinite values (PSNR of equal pictures) among finite ones."""
    return [f"{one.n_infinite} at ∞ left out"] if one.n and one.n_infinite else []


def _counted(one: Interval) -> int:
    """How many values a mean is over; an infinite mean is over infinite values."""
    return one.n or one.n_infinite


def _html_table(table: Table, head: Markup, rows: Sequence[Markup]) -> Markup:
    frame = Markup("<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>")
    return frame.format(table.title, head, Markup("").join(rows))


def _n_of(table: Table, condition: Condition) -> str:
    return _span({_counted(one) for measure in table.measures if (one := table.cell(condition, measure)) is not None})


def _span(counts: set[int]) -> str:
    if not counts:
        return ABSENT
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)}–{max(counts)}"


def pipes(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def escape_latex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    text = text.replace("\\", "\0")
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    for sign, command in (("~", "asciitilde"), ("^", "asciicircum"), ("\0", "backslash")):
        text = text.replace(sign, rf"\text{command}{{}}")
    return " ".join(text.split())


def strict(value: float) -> float | str:
    """A number that JSON has, or its name."""
    return value if math.isfinite(value) else str(value)
