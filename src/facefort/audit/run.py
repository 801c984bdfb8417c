"""Running an audit: batches of faces through all cells, one durable row per face and cell."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from facefort.audit.gallery import Gallery
from facefort.audit.measure import Faces, Specimens, attempt, prepare, quality
from facefort.audit.plan import Cell, plan
from facefort.audit.settings import AuditSettings
from facefort.errors import FaceError, ModelError, PictureError
from facefort.models import load
from facefort.models.restorer import Restorer
from facefort.models.sources import FaceSource, faces
from facefort.runs import RunFolder, provenance
from facefort.runtime import choose

Progress = Callable[[int, int], None]
"""Called with the number of faces that are through, and of all faces."""

Batch = TypeVar("Batch", Faces, Specimens)

_OF_A_FACE = (FaceError, ModelError, PictureError)
"""Errors that make a row fail; anything else, such as missing weights or a full disk, ends the audit."""


def run(
    settings: AuditSettings,
    out: Path,
    progress: Progress | None = None,
    *,
    restorer: Restorer | None = None,
    command: str = "",
    resume: bool = True,
) -> RunFolder:
    """Audit a restorer, or go on with an audit that was interrupted.

    Memory holds one batch of faces at a time, however many there are.

    Args:
        settings: what to do.
        out: the run folder.
        progress: told after every batch.
        restorer: the model itself, instead of the one that ``settings.model`` names.
        command: the line that the user typed, for the record.
        resume: False starts over.

    Returns:
        The finished run, open for reading; its status is "failed" where a row failed.

    Raises:
        UsageError: settings that do not fit together, or a folder of another run.
        WeightsError: the model or a judge is missing.
        OutputError: the folder cannot be written.
    """
    cells = plan(settings)
    runtime = choose(settings.device, settings.precision)
    restorer = (restorer or load(settings.model)).on(runtime)
    source = faces(settings.faces, restorer.size, limit=settings.limit)
    record = provenance(
        seed=settings.seed,
        runtime=runtime,
        weights={restorer.name: restorer.origin.sha256},
        inputs={"faces": source.digest},
    )
    with RunFolder.open(
        out, verb="audit", settings=settings, provenance=record, command=command, resume=resume
    ) as folder:
        folder.expect(len(source) * len(cells))
        _Audit(restorer, settings, cells, folder).work_through(source, progress)
    return folder


class _Audit:
    """One session of an audit."""

    def __init__(self, restorer: Restorer, settings: AuditSettings, cells: Sequence[Cell], folder: RunFolder) -> None:
        self.restorer = restorer
        self.settings = settings
        self.cells = cells
        self.folder = folder
        self.gallery = Gallery(folder, cells, settings.pictures)

    def work_through(self, source: FaceSource, progress: Progress | None) -> None:
        through = 0
        for batch in source.batches(self.settings.batch):
            for face in batch.failed:
                self._fail(face.name, self.cells, face.reason)
            wanted = [i for i, name in enumerate(batch.names) if self._lacking([name], self.cells)]
            if wanted:
                faces = Faces([batch.names[i] for i in wanted], batch.faces[wanted])
                self._isolated(faces, self.cells, self._examine)
                self.gallery.settle(faces.names)
            through += len(batch.names) + len(batch.failed)
            if progress is not None:
                progress(through, len(source))

    def _isolated(self, faces: Batch, cells: Sequence[Cell], work: Callable[[Batch], None]) -> None:
        """Work on a batch, and where that fails on each face alone: one bad face must not fail its neighbours."""
        try:
            work(faces)
        except _OF_A_FACE as error:
            if len(faces.names) == 1:
                self._fail(faces.names[0], self._lacking(faces.names, cells), str(error))
                return
            for one in faces.each():
                self._isolated(one, cells, work)

    def _examine(self, faces: Faces) -> None:
        specimens = prepare(self.restorer, faces, self.settings)
        self.gallery.show(specimens)
        for cell in self.cells:
            if self._lacking(faces.names, [cell]):
                self._isolated(specimens, [cell], functools.partial(self._measure, cell))

    def _measure(self, cell: Cell, specimens: Specimens) -> None:
        """One cell of a batch; its pictures are written before its rows, so that a row never lacks them."""
        start = time.monotonic()
        if cell.attack is None:
            values = quality(specimens)
        else:
            found = attempt(self.restorer, specimens, cell.attack, self.settings)
            self.gallery.show_attempt(specimens, found)
            values = found.values
        seconds = round((time.monotonic() - start) / len(specimens.names), 4)
        for name, numbers in zip(specimens.names, values, strict=True):
            self.folder.add(cell.name, name, numbers, seconds=seconds)
            self.gallery.rank(name, numbers)

    def _lacking(self, names: Sequence[str], cells: Sequence[Cell]) -> list[Cell]:
        return [cell for cell in cells if not all(self.folder.done(cell.name, name) for name in names)]

    def _fail(self, name: str, cells: Sequence[Cell], reason: str) -> None:
        for cell in cells:
            self.folder.add(cell.name, name, {}, status="failed", reason=reason)
