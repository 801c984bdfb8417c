"""A measurement in a run folder: written row by row, and read back whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facefort.errors import UsageError
from facefort.measuring.result import Facts, Measurement, PictureRow, SetResult, summarise
from facefort.pictures.folders import natural_key
from facefort.runs import Row, RunFolder
from facefort.runs.rows import Status

PICTURE, SET, METRIC, NOTES = "picture", "set", "metric", "notes"
"""Cells of a run: pictures, metrics of sets, facts of each metric, remarks."""


def add(folder: RunFolder, row: PictureRow, seconds: float) -> None:
    """Write the row of a picture, durable when this returns."""
    values = {key: value for key, value in asdict(row).items() if key != "name"}
    status: Status = "done" if row.status == "ok" else "failed"
    folder.add(PICTURE, row.name, values, status=status, reason=row.reason, seconds=seconds)


def finish(folder: RunFolder, facts: Sequence[Facts], sets: Mapping[str, SetResult], found: Measurement) -> None:
    """Write what is of no single picture."""
    folder.expect(len(found.rows) + len(facts) + len(found.unmeasured) + len(sets) + 1)
    for one in facts:
        folder.add(METRIC, one.name, asdict(one))
    for name, reason in found.unmeasured.items():
        folder.add(METRIC, name, {}, status="failed", reason=reason)
    for name, result in sets.items():
        if result.value is None:
            folder.add(SET, name, asdict(result), status="failed", reason=result.note)
        else:
            folder.add(SET, name, asdict(result))
    folder.add(NOTES, NOTES, {"notes": list(found.notes)})


def row_of(row: Row) -> PictureRow:
    """The row of a picture that a run holds."""
    return PictureRow(row.unit, **row.values)


def read(folder: RunFolder | Path) -> Measurement:
    """The measurement of a run folder, as far as it has come.

    Raises:
        UsageError: the folder holds no run, or a run of another verb.
    """
    run = RunFolder.read(folder) if isinstance(folder, Path) else folder
    info = run.info
    if info["verb"] != "measure":
        raise UsageError(f"{run.path} holds a run of '{info['verb']}', not of 'measure'")
    rows = sorted(map(row_of, run.rows(PICTURE)), key=lambda row: natural_key(Path(row.name)))
    metrics = list(run.rows(METRIC))
    facts = [Facts(**_with_tuple(row.values)) for row in metrics if row.status == "done"]
    unmeasured = {row.unit: row.reason for row in metrics if row.status == "failed"}
    sets = {row.unit: SetResult(**row.values) for row in run.rows(SET)}
    notes = tuple(note for row in run.rows(NOTES) for note in row.values["notes"])
    summary = summarise(facts, rows, sets, info["settings"]["seed"])
    return Measurement(tuple(rows), summary, unmeasured, notes, info)


def _with_tuple(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "range": tuple(values["range"])}
