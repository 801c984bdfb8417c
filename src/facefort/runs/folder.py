"""The run folder: ``settings.yaml``, ``run.json``, ``rows.sqlite`` and ``pictures/`` under one path."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from facefort.config import to_plain, to_yaml
from facefort.errors import OutputError, UsageError
from facefort.files import explained, write_text
from facefort.runs.codec import decode, encode
from facefort.runs.lock import FolderLock
from facefort.runs.provenance import version
from facefort.runs.rows import Row, RowReader, RowWriter, Status

SETTINGS, INFO, ROWS, PICTURES = "settings.yaml", "run.json", "rows.sqlite", "pictures"
RunStatus = Literal["running", "interrupted", "failed", "done"]
_PARTIAL = re.compile(r"\..+\.[a-z0-9_]{8}\.part")
"""Names that :func:`facefort.files.atomic` gives to what it has not finished."""

_log = logging.getLogger(__name__)


class RunFolder:
    """A run on disk, open for writing (:meth:`open`) or for reading (:meth:`read`); a context manager.

    A run that has been left or finished can still be read.
    Leaving the block settles the status: "done"; "failed" where a row failed or an error came through;
    "interrupted" by ctrl-C, or where fewer units than expected were worked on. A killed process leaves "running",
    which the next :meth:`open` reports as ``previous == "killed"``.

    Attributes:
        path: the folder.
        previous: how the run stood before it was opened again: "killed", "interrupted", "failed", "done"; "" if new.
    """

    def __init__(self, path: Path, info: dict[str, Any], rows: RowReader, lock: FolderLock | None) -> None:
        self.path = path
        self.previous = ""
        self._info = info
        self._rows = rows
        self._lock = lock
        self._before = float(info["seconds"])
        self._clock = time.monotonic()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        verb: str,
        settings: Any,  # noqa: ANN401 - a dataclass of options, or a mapping
        provenance: Mapping[str, Any],
        command: str = "",
        resume: bool = True,
    ) -> RunFolder:
        """Start a run in ``path``, or go on with the one that is there.

        Args:
            path: the folder; made where it is missing.
            verb: what is run ("audit").
            settings: resolved settings; a run goes on only under the same ones.
            provenance: see :func:`facefort.runs.provenance.provenance`.
            command: the line that the user typed.
            resume: go on with an existing run; False starts it over and removes its rows and pictures.

        Raises:
            UsageError: the folder holds a run of another verb, other settings, other weights or other inputs, or
                another process writes to it.
            OutputError: the folder cannot be written.
        """
        with explained(path):
            (path / PICTURES).mkdir(parents=True, exist_ok=True)
        lock = FolderLock(path)
        try:
            if not resume:
                _clear(path)
            info = _new_info(verb, settings, provenance, command)
            old = _read_info(path) if (path / INFO).exists() else None
            if old is not None:
                _refuse_other(path, old, info)
                info |= {key: old[key] for key in ("started", "seconds", "expected")}
            elif (path / ROWS).exists():
                raise UsageError(f"{path} has rows but no {INFO}; add --force to start over, or choose another -o")
            else:
                # Before the rows: whatever dies here, rows never lie without the settings they were made with.
                write_text(path / SETTINGS, to_yaml(settings))
                _write_info(path, info, {"done": 0, "failed": 0})
            run = cls(path, info, RowWriter(path / ROWS), lock)
        except BaseException:
            lock.release()
            raise
        if old is not None:
            run._go_on(old["status"])
        return run

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """Open a run for reading only, also while another process writes it.

        Raises:
            UsageError: the folder holds no run, or one of another format.
        """
        if not (path / INFO).is_file() or not (path / ROWS).is_file():
            raise UsageError(f"{path} is not a run folder (no {INFO} and {ROWS}); give the folder that -o named")
        return cls(path, _read_info(path), RowReader(path / ROWS), None)

    def _go_on(self, status: str) -> None:
        self.previous = "killed" if status == "running" else status
        if self.previous != "done":
            kept = self._rows.counts()["done"]
            _log.warning("%s: the last run was %s; its %d finished rows are kept", self.path, self.previous, kept)
        try:
            if self.previous == "killed":
                _sweep(self.path)
            self._save()
        except BaseException:
            self._close()
            raise

    @property
    def info(self) -> dict[str, Any]:
        """Content of ``run.json``, with the counts as they are now.

        Keys: facefort, verb, status, reason, started, ended (UTC, ISO 8601), seconds (over all sessions), command,
        expected, counts {done, failed, left}, provenance, settings.
        """
        info = self._info if self._lock else _read_info(self.path)
        return _counted(info, self._rows.counts())

    def expect(self, n: int) -> None:
        """Say how many rows the whole run will have; what is missing counts as left."""
        self._info["expected"] = n
        self._save()

    def done(self, cell: str, unit: str) -> bool:
        """Whether a finished row exists; a failed one is to be tried again."""
        return self._rows.has(cell, unit)

    def add(
        self,
        cell: str,
        unit: str,
        values: Mapping[str, Any],
        *,
        status: Status = "done",
        reason: str = "",
        seconds: float = 0.0,
    ) -> None:
        """Write one row, durable when this returns; a row of the same cell and unit is replaced.

        Args:
            cell: what was done.
            unit: with what.
            values: numbers and plain facts; infinities and NaN are kept.
            status: "done" or "failed".
            reason: why it failed.
            seconds: wall time that the unit took.

        Raises:
            OutputError: no space, no permission.
        """
        if not isinstance(self._rows, RowWriter):
            raise ValueError(f"{self.path} is open for reading")
        self._rows.put(Row(cell, unit, status, reason, values, seconds))

    def rows(self, cell: str = "*") -> Iterator[Row]:
        """Rows whose cell matches a shell pattern, in the order they were first added, streamed."""
        return self._rows.select(cell)

    def picture(self, unit: str, role: str, suffix: str = ".png") -> Path:
        """Where a picture of a unit lies or goes: ``pictures/<unit>.<role>.png``.

        Args:
            unit: any name; characters that a file name cannot hold are replaced, and a hash keeps it unique.
            role: what the picture shows, in lower case ("restored").
            suffix: ending of the file name.
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", role):
            raise ValueError(f"a role is a lower-case word, not '{role}'")
        return self.path / PICTURES / f"{_file_stem(unit)}.{role}{suffix}"

    def finish(self, status: RunStatus | None = None, reason: str = "") -> None:
        """Settle the status, write ``run.json`` and close; leaving the block does this.

        Args:
            status: None decides by the rows, as the class describes.
            reason: why, where the status is not "done".
        """
        if self._lock is None:
            return
        try:
            counts = self.info["counts"]
            if status is None:
                status = "failed" if counts["failed"] else "interrupted" if counts["left"] else "done"
            self._info |= {"status": status, "reason": reason, "ended": _now()}
            self._save()
        finally:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        elif self._lock is not None:
            status: RunStatus = "failed" if isinstance(error, Exception) else "interrupted"
            try:
                self.finish(status, str(error) or type(error).__name__)
            except OutputError as second:
                error.add_note(str(second))  # the first error is on its way up, often the same full disk

    def _save(self) -> None:
        self._info["seconds"] = round(self._before + time.monotonic() - self._clock, 3)
        _write_info(self.path, self._info, self._rows.counts())

    def _close(self) -> None:
        if isinstance(self._rows, RowWriter):
            self._rows.close()
            self._rows = RowReader(self.path / ROWS)
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _new_info(verb: str, settings: Any, provenance: Mapping[str, Any], command: str) -> dict[str, Any]:  # noqa: ANN401
    return {
        "facefort": version(),
        "verb": verb,
        "status": "running",
        "reason": "",
        "started": _now(),
        "ended": None,
        "seconds": 0.0,
        "command": command,
        "expected": 0,
        "provenance": dict(provenance),
        "settings": decode(encode(to_plain(settings))),
    }


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = decode((path / INFO).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path / INFO}: {error.strerror}") from None
    except ValueError:
        info = None
    if not isinstance(info, dict) or not {"verb", "status", "seconds", "expected", "settings"} <= info.keys():
        raise UsageError(f"{path / INFO} is not a run's record; give another folder")
    return info


def _counted(info: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    return {**info, "counts": {**counts, "left": max(0, info["expected"] - sum(counts.values()))}}


def _write_info(path: Path, info: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    write_text(path / INFO, encode(_counted(info, counts), indent=2) + "\n")


def _refuse_other(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    way_out = "add --force to start it over, or choose another folder with -o"
    if old["verb"] != new["verb"]:
        raise UsageError(f"{path} holds a run of '{old['verb']}', this is '{new['verb']}'; {way_out}")
    found = _difference(old["settings"], new["settings"])
    if found is not None:
        key, before, now = found
        raise UsageError(f"{path} holds a run with {key} = {before}, now {key} = {now}; {way_out}")
    for kind in ("weights", "inputs"):
        found = _difference(old["provenance"].get(kind, {}), new["provenance"].get(kind, {}))
        if found is not None:
            raise UsageError(f"{path} holds a run with other {kind} ({found[0]} has changed); {way_out}")


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Dotted key and both values of the first setting that differs."""
    for key in [*new, *(key for key in old if key not in new)]:
        before, now = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            inner = _difference(before, now)
            if inner is not None:
                return f"{key}.{inner[0]}", inner[1], inner[2]
        elif encode(before) != encode(now):  # by text, so that a NaN equals itself
            return key, before, now
    return None


def _sweep(path: Path) -> None:
    """Remove what a killed process has left of files that :func:`facefort.files.atomic` was writing."""
    with explained(path):
        for left_over in path.rglob(".*.part"):
            if _PARTIAL.fullmatch(left_over.name):
                left_over.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove what a run has written, and nothing in a folder that holds no run."""
    if not (path / INFO).exists() and not (path / ROWS).exists():
        return
    with explained(path):
        shutil.rmtree(path / PICTURES)
        (path / PICTURES).mkdir()
        for name in (ROWS, f"{ROWS}-wal", f"{ROWS}-shm", f"{ROWS}-journal", SETTINGS, INFO):
            (path / name).unlink(missing_ok=True)


def _file_stem(unit: str) -> str:
    stem = re.sub(r"[^\w.-]", "_", unit)[:100].lstrip(".")
    if stem == unit:
        return stem
    return f"{stem}-{hashlib.sha256(unit.encode()).hexdigest()[:8]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
