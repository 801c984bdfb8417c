"""One writer per run folder, on every system: the lock of an SQLite file dies with its process, however it dies."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from facefort.errors import UsageError
from facefort.runs.rows import sqlite_explained

LOCK = ".lock"


class FolderLock:
    """The right to write into ``folder``, held until :meth:`release` or the end of the process.

    Raises:
        UsageError: another process, or another part of this one, writes there.
        OutputError: the lock file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        with sqlite_explained(folder / LOCK):
            self._db = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                self._db.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                self._db.close()
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                raise UsageError(
                    f"another facefort writes to {folder}; wait for it, or choose another folder with -o"
                ) from None

    def release(self) -> None:
        """Let others write."""
        self._db.close()
