"""The rows of a run: an SQLite file that survives kill -9 and power loss, and that others can read meanwhile.

Every row is one transaction in write-ahead-log mode with ``synchronous=FULL``: the log is flushed to the disk before
``add`` returns, so nothing that was added is lost with the process or with the power, and (unlike with a rollback
journal) a reader never blocks the writer and costs it one flush instead of three.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from facefort.errors import OutputError, UsageError
from facefort.files import explained
from facefort.runs.codec import decode, encode

SCHEMA = 1
Status = Literal["done", "failed"]

_TABLE = """
CREATE TABLE IF NOT EXISTS rows (
    id INTEGER PRIMARY KEY,
    cell TEXT NOT NULL,
    unit TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    reason TEXT NOT NULL,
    value TEXT NOT NULL,
    seconds REAL NOT NULL,
    UNIQUE (cell, unit)
)"""
_PUT = """
INSERT INTO rows (cell, unit, status, reason, value, seconds) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (cell, unit) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, value = excluded.value, seconds = excluded.seconds"""
_PAGE = """
SELECT id, cell, unit, status, reason, value, seconds FROM rows
WHERE id > ? AND cell GLOB ? ORDER BY id LIMIT 256"""


@dataclass(frozen=True)
class Row:
    """One unit of work in one cell of an experiment.

    Attributes:
        cell: what was done ("quality", "pix_self eps=8/255").
        unit: with what ("00012.png").
        status: "done" or "failed".
        reason: why it failed, or a remark; empty otherwise.
        values: numbers and plain facts by name.
        seconds: wall time that the unit took.
    """

    cell: str
    unit: str
    status: Status
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class RowReader:
    """Rows in one SQLite file, for reading, also while another process writes; holds nothing open between calls.

    Args:
        path: the file.

    Raises:
        UsageError: the file was written by another version of the format.
        OutputError: the file cannot be opened, or is damaged; every method raises it too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._connection() as db:
            _check_schema(path, db, SCHEMA)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with sqlite_explained(self.path), contextlib.closing(_connect(self.path, "ro")) as db:
            yield db

    def has(self, cell: str, unit: str) -> bool:
        """Whether a finished row of that cell and unit exists."""
        query = "SELECT 1 FROM rows WHERE cell = ? AND unit = ? AND status = 'done'"
        with self._connection() as db:
            return db.execute(query, (cell, unit)).fetchone() is not None

    def select(self, cell: str) -> Iterator[Row]:
        """Rows whose cell matches a shell pattern, in the order of insertion, read a page at a time."""
        last = 0
        while True:
            with self._connection() as db:
                page = db.execute(_PAGE, (last, cell)).fetchall()
            if not page:
                return
            for _, name, unit, status, reason, value, seconds in page:
                yield Row(name, unit, status, reason, decode(value), seconds)
            last = page[-1][0]

    def counts(self) -> dict[str, int]:
        """How many rows are done, and how many failed."""
        with self._connection() as db:
            found = dict(db.execute("SELECT status, COUNT(*) FROM rows GROUP BY status").fetchall())
        return {"done": found.get("done", 0), "failed": found.get("failed", 0)}


class RowWriter(RowReader):
    """Rows in one SQLite file, made where it is missing; usable from several threads of one process.

    Args:
        path: the file.

    Raises:
        UsageError: the file was written by another version of the format.
        OutputError: the file cannot be opened, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with sqlite_explained(path):
            self._db = _connect(path, "rwc")
            try:
                _check_schema(path, self._db, 0, SCHEMA)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute(_TABLE)
                self._db.execute(f"PRAGMA user_version={SCHEMA}")
            except BaseException:
                self._db.close()
                raise

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with sqlite_explained(self.path):
            yield self._db

    def put(self, row: Row) -> None:
        """Write a row, durably, before returning; a row of the same cell and unit is replaced in its place.

        Raises:
            OutputError: no space, no permission, a damaged file.
        """
        value = encode(row.values)
        with self._connection() as db:
            db.execute(_PUT, (row.cell, row.unit, row.status, row.reason, value, row.seconds))

    def close(self) -> None:
        """Close the file; it is left as one plain file without a log, which a read-only place can serve."""
        # A reader that looks on just now keeps the log in use: the file is as complete with it.
        with contextlib.suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA busy_timeout=0")
            self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30, isolation_level=None, check_same_thread=False
    )


def _check_schema(path: Path, db: sqlite3.Connection, *known: int) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in known:
        raise UsageError(f"{path} has row format {version}, not {SCHEMA}; use the facefort version that wrote it")


@contextlib.contextmanager
def sqlite_explained(path: Path) -> Iterator[None]:
    """Turn an SQLite error about ``path`` into an :class:`OutputError` of one line."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the primary code; the rest says which system call met it.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise OutputError(
                f"{path} is damaged; start the run over with --force, or choose another folder with -o"
            ) from error
        with explained(path):
            raise OSError(_ERRNO.get(code, 0), str(error)) from error


_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}
