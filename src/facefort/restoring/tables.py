"""The files beside the run that people open and edit: ``faces.csv`` and ``faces.json``, made from the rows alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import msgspec

from facefort.files import atomic
from facefort.restoring import facelist
from facefort.restoring.facelist import Entry
from facefort.runs import Row, RunFolder

CSV, LIST = "faces.csv", "faces.json"
PHOTO, FACE, SKIPPED = "photo", "face", "skipped"
"""Cells of a run: photos, faces that were worked on, and faces that were left out."""

_COLUMNS = (
    "size",
    "score",
    "identity",
    "identity_limit",
    "same_person",
    "sharpness_before",
    "sharpness_after",
    "w",
    "blend",
    "warning",
    "cropped",
    "restored",
    "cmp",
)


def write_tables(folder: RunFolder, given: Path | None = None) -> None:
    """Write both files from the rows of a run, each whole or not at all.

    Args:
        folder: the run.
        given: the face list that the run works by; where that is the one in the folder, it stays as the user left it,
            so that an interrupted run loses none of it and the same command finds it again.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic(folder.path / CSV) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["photo", "face", "status", "reason", "x", "y", "width", "height", *_COLUMNS])
        writer.writerows(_csv_row(row) for row in _face_rows(folder))
        text.flush()
        text.detach()
    own = folder.path / LIST
    if given is None or given.resolve() != own.resolve():
        facelist.write(own, (_entry(row) for row in _face_rows(folder)))


def _face_rows(folder: RunFolder) -> Iterator[Row]:
    return (row for row in folder.rows() if row.cell in (FACE, SKIPPED))


def _csv_row(row: Row) -> list[object]:
    values = row.values
    x0, y0, x1, y1 = values["box"]
    status = SKIPPED if row.cell == SKIPPED else row.status
    place = [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)]
    return [values["photo"], values["index"], status, row.reason, *place, *(_plain(values.get(k)) for k in _COLUMNS)]


def _plain(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else "" if value is None else value


def _entry(row: Row) -> Entry:
    keys = ("photo", "sha256", "box", "landmarks", "score", "weight")
    return msgspec.convert({key: row.values[key] for key in keys} | {"keep": row.cell != SKIPPED}, Entry)
