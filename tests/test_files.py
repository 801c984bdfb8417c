from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from facefort import files
from facefort.errors import OutputError


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    files.write_text(place, "old")
    with pytest.raises(ZeroDivisionError), files.atomic(place) as stream:
        stream.write(b"half" * (1 // 0))
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_kill_9_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    files.write_text(place, "old")
    code = (
        "import sys, time; from pathlib import Path; from facefort import files\n"
        f"with files.atomic(Path({str(place)!r})) as s:\n"
        "    s.write(b'half'); s.flush(); print('here', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"here\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert place.read_text() == "old"


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "no permission"), (errno.EISDIR, "a file stands where")],
)
def test_an_os_error_becomes_one_line(tmp_path: Path, number: int, message: str) -> None:
    with pytest.raises(OutputError, match=message), files.explained(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        files.write_text(tmp_path / "f" / "g", "x")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_the_cache_follows_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path))
    assert files.cache_dir() == tmp_path
    monkeypatch.delenv(files.CACHE_VARIABLE)
    assert files.cache_dir().name == "facefort"


def test_hashes_agree(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_file(tmp_path / "a") == files.sha256_bytes(b"abc") == known
