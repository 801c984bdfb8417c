"""A measurement from beginning to end: one batch in memory, one durable row per picture where a folder is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from facefort.config import to_plain
from facefort.errors import UsageError
from facefort.files import sha256_bytes, sha256_file
from facefort.measuring import store
from facefort.measuring.loading import Loaded, batches, stream
from facefort.measuring.plan import Plan, make_plan
from facefort.measuring.result import Facts, Measurement, PictureRow, summarise
from facefort.measuring.scoring import Scorer
from facefort.measuring.sets import SetScorer
from facefort.measuring.settings import MeasureSettings
from facefort.measuring.units import Unit, find_units
from facefort.metrics.sets import Interval
from facefort.runs import RunFolder, provenance
from facefort.runs.provenance import version
from facefort.runtime import Runtime, choose

Progress = Callable[[int, int], None]
"""Called with the number of pictures that are through, and of all pictures."""


def run(
    settings: MeasureSettings,
    out: Path | None = None,
    progress: Progress | None = None,
    *,
    command: str = "",
    resume: bool = True,
) -> Measurement:
    """Measure pictures.

    Whatever is wrong with a picture is a row that says so; a metric that cannot be measured does not stop the others.

    Args:
        settings: what to do.
        out: run folder: rows are durable there, and the same call goes on where an interrupted one stopped; None keeps
            everything in memory.
        progress: told after every batch.
        command: the line that the user typed, for the record.
        resume: False starts over.

    Raises:
        UsageError: settings that do not fit together, no pictures, an unknown metric, or a folder of another run.
        OutputError: the folder cannot be written.
    """
    plan = make_plan(settings)
    units, notes = find_units(settings)
    runtime = choose(settings.device, "fp32")
    record = provenance(seed=settings.seed, runtime=runtime, weights=plan.weights)
    if out is None:
        started, clock = datetime.now(UTC), time.monotonic()
        found = _measure(settings, plan, units, notes, runtime, None, progress)
        times = {"started": _iso(started), "ended": _iso(datetime.now(UTC))}
        info = _info(settings, found, record, command) | times | {"seconds": round(time.monotonic() - clock, 3)}
        return replace(found, info=info)
    with RunFolder.open(
        out, verb="measure", settings=recorded(settings), provenance=record, command=command, resume=resume
    ) as folder:
        found = _measure(settings, plan, units, notes, runtime, folder, progress)
    info = folder.info
    return replace(found, info=info | {"provenance": info["provenance"] | {"inputs": _digests(found.rows)}})


def _measure(
    settings: MeasureSettings,
    plan: Plan,
    units: Sequence[Unit],
    notes: Sequence[str],
    runtime: Runtime,
    folder: RunFolder | None,
    progress: Progress | None,
) -> Measurement:
    session = _Session(settings, plan, units, folder, runtime)
    rows = session.work_through(progress)
    sets = session.sets.results(len(units))
    unmeasured = plan.unmeasured | session.scorer.unmeasured
    facts = [Facts.of(one) for one in plan.metrics if one.name not in unmeasured]
    found = Measurement(tuple(rows), summarise(facts, rows, sets, settings.seed), unmeasured, (*plan.notes, *notes))
    if folder is not None:
        store.finish(folder, facts, sets, found)
    return found


def _info(settings: MeasureSettings, found: Measurement, record: dict[str, Any], command: str) -> dict[str, Any]:
    """What :attr:`facefort.runs.RunFolder.info` would say of a measurement that has no folder."""
    failed = len(found.failed)
    return {
        "facefort": version(),
        "verb": "measure",
        "status": "done" if found.complete else "failed",
        "reason": "",
        "command": command,
        "expected": len(found.rows),
        "counts": {"done": len(found.rows) - failed, "failed": failed, "left": 0},
        "provenance": record | {"inputs": _digests(found.rows)},
        "settings": recorded(settings),
    }


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def recorded(settings: MeasureSettings) -> dict[str, Any]:
    """The settings that decide the numbers, and how pictures were named."""
    plain = to_plain(settings)
    return {key: value for key, value in plain.items() if key not in ("fail_if", "batch", "device")}


def _digests(rows: Sequence[PictureRow]) -> dict[str, str]:
    """SHA-256 of the names and contents of all pictures of a side."""
    sides = {"test": [(row.test, row.sha256) for row in rows]}
    sides["reference"] = [(row.reference, row.reference_sha256) for row in rows]
    sides["mask"] = [(row.name, row.mask_sha256) for row in rows]
    return {
        side: sha256_bytes("".join(f"{digest} {name}\n" for name, digest in pairs).encode())
        for side, pairs in sides.items()
        if any(digest for _, digest in pairs)
    }


class _Session:
    """One session of a measurement."""

    def __init__(
        self,
        settings: MeasureSettings,
        plan: Plan,
        units: Sequence[Unit],
        folder: RunFolder | None,
        runtime: Runtime,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.units = units
        self.folder = folder
        self.scorer = Scorer(plan.of_pictures, plan.exclude, runtime.device, plan.face_check)
        place = settings.set_reference or settings.reference
        interval = cast("Interval", settings.set_interval)
        self.sets = SetScorer(plan.of_sets, place, runtime.device, settings.seed, interval)

    def work_through(self, progress: Progress | None) -> list[PictureRow]:
        """Rows of all units, in their order."""
        found = {} if self.folder is None else self._kept(self.folder)
        # A set's features are of all its pictures: they are computed again, numbers of pictures are not.
        wanted = [(i, unit) for i, unit in enumerate(self.units) if i not in found or self.plan.of_sets]
        through = len(self.units) - len(wanted)
        for batch in batches(stream(wanted, self.plan.how, self.settings.batch), self.settings.batch):
            self.sets.add(batch)
            self._score([one for one in batch if one.index not in found], found)
            through += len(batch)
            if progress is not None:
                progress(through, len(self.units))
        return [found[i] for i in range(len(self.units))]

    def _score(self, batch: Sequence[Loaded], found: dict[int, PictureRow]) -> None:
        if not batch:
            return
        start = time.monotonic()
        rows = self.scorer.rows(batch)
        seconds = round((time.monotonic() - start) / len(batch), 4)
        for one, row in zip(batch, rows, strict=True):
            found[one.index] = row
            if self.folder is not None:
                store.add(self.folder, row, seconds)

    def _kept(self, folder: RunFolder) -> dict[int, PictureRow]:
        """Rows of an earlier session that have every metric, and whose files are still the same."""
        folder.expect(len(self.units))
        places = {unit.name: i for i, unit in enumerate(self.units)}
        wanted = {one.name for one in self.plan.of_pictures}
        kept = {}
        for stored in folder.rows(store.PICTURE):
            if stored.unit not in places:
                raise UsageError(
                    f"{folder.path} has a row of {stored.unit}, which is no longer among the pictures; add --force to "
                    "start it over, or choose another folder with --run"
                )
            i, row = places[stored.unit], store.row_of(stored)
            if row.status == "ok" and wanted <= row.values.keys() and _unchanged(self.units[i], row):
                kept[i] = row
        return kept


def _unchanged(unit: Unit, row: PictureRow) -> bool:
    files = ((unit.test, row.sha256), (unit.reference, row.reference_sha256), (unit.mask, row.mask_sha256))
    return all(path is None or (path.is_file() and sha256_file(path) == digest) for path, digest in files)
