"""What the page of a measurement shows."""

from __future__ import annotations

from typing import Any

from facefort.measuring.result import Measurement
from facefort.measuring.store import PICTURE, read
from facefort.report.head import describe
from facefort.report.measured import ARROWS, cells, digits, remarks, title
from facefort.report.numbers import typeset
from facefort.report.tables import ABSENT
from facefort.runs import Row, RunFolder

MOST_LINES = 500


def run_context(run: RunFolder) -> dict[str, Any]:
    """Everything that ``measure.html.j2`` shows of a run folder."""
    return measure_context(read(run))


def measure_context(found: Measurement) -> dict[str, Any]:
    """Everything that ``measure.html.j2`` shows."""
    names = [one.name for one in found.summary if one.facts.kind == "picture"]
    places = {one.name: digits(one.mean) for one in found.summary}
    lines = []
    for row in found.rows[:MOST_LINES]:
        numbers = [typeset(row.values[name], places[name]) if name in row.values else ABSENT for name in names]
        lines.append((row.name, row.status, [*numbers, ", ".join(row.excluded)]))
    failed = [Row(PICTURE, row.name, "failed", row.reason) for row in found.failed]
    failed += [Row("metric", name, "failed", reason) for name, reason in found.unmeasured.items()]
    return {
        "head": describe(
            found.info,
            kicker="facefort measure",
            title=title(found),
            verdict=_verdict(found),
            glance=(("pictures", str(len(found.rows))), ("metrics", str(len(found.summary)))),
        ),
        "summary": [(one, ARROWS[one.facts.direction], cells(one)) for one in found.summary],
        "remarks": remarks(found),
        "names": names,
        "lines": lines,
        "left": len(found.rows) - len(lines),
        "failures": failed,
    }


def _verdict(found: Measurement) -> str:
    if found.complete:
        return "Every metric gave a number for every picture."
    return "Not every metric gave a number for every picture; the means are over those that n counts."
