"""The run folder: durable rows, resuming, one writer, readers beside it, honest status."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from facefort.errors import OutputError, UsageError
from facefort.runs import RunFolder

WRITER = """
import sys
from pathlib import Path
from facefort.runs import RunFolder
with RunFolder.open(Path(sys.argv[1]), verb="test", settings={"a": 1}, provenance={}) as run:
    run.expect(100000)
    for i in range(100000):
        if not run.done("cell", str(i)):
            run.add("cell", str(i), {"value": i})
            print(i, flush=True)
"""


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Settings:
    model: str = "toy"
    epsilon: tuple[float, ...] = (0.1, 0.2)
    inner: Inner = Inner()


def start(path: Path, settings: object = None, **more: object) -> RunFolder:
    options: dict = {"verb": "test", "settings": settings or Settings(), "provenance": {}} | more
    return RunFolder.open(path, **options)


def test_rows_come_back_in_order_with_their_values(tmp_path: Path) -> None:
    with start(tmp_path / "run") as run:
        run.add("b", "1", {"psnr-rgb": math.inf, "ssim": math.nan, "low": -math.inf, "n": 3}, seconds=0.5)
        run.add("a", "1", {"x": np.float32(0.5), "k": np.int64(7), "list": (1, [2.0, None]), "text": "é", "ok": True})
        run.add("b", "2", {}, status="failed", reason="no face")
    rows = list(RunFolder.read(tmp_path / "run").rows())
    assert [(r.cell, r.unit, r.status, r.reason, r.seconds) for r in rows] == [
        ("b", "1", "done", "", 0.5),
        ("a", "1", "done", "", 0.0),
        ("b", "2", "failed", "no face", 0.0),
    ]
    assert rows[0].values["psnr-rgb"] == math.inf
    assert math.isnan(rows[0].values["ssim"])
    assert rows[0].values["low"] == -math.inf
    assert rows[1].values == {"x": 0.5, "k": 7, "list": [1, [2.0, None]], "text": "é", "ok": True}


def test_a_value_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with start(tmp_path) as run, pytest.raises(TypeError, match="plain values, not"):
        run.add("a", "1", {"path": Path("x")})


def test_a_row_is_replaced_in_its_place_and_failed_ones_are_not_done(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.add("a", "1", {}, status="failed", reason="why")
        run.add("a", "2", {})
        assert not run.done("a", "1")
        assert run.done("a", "2")
        assert not run.done("b", "2")
        run.add("a", "1", {"v": 2})
        assert run.done("a", "1")
        assert [(r.unit, r.reason) for r in run.rows()] == [("1", ""), ("2", "")]
        assert run.info["counts"] == {"done": 2, "failed": 0, "left": 0}


def test_cells_are_chosen_by_a_shell_pattern(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        for cell in ("quality", "robust eps=1/255", "robust eps=2/255"):
            run.add(cell, "1", {})
        assert [r.cell for r in run.rows("robust*")] == ["robust eps=1/255", "robust eps=2/255"]
        assert [r.cell for r in run.rows("quality")] == ["quality"]


def test_rows_are_streamed_over_pages_while_rows_are_added(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        for i in range(600):
            run.add("a", f"{i}", {"v": i})
        seen = []
        for row in run.rows():
            seen.append(row.values["v"])
            if len(seen) == 10:
                run.add("a", "late", {"v": 600})
        assert seen == list(range(601))


def test_status_follows_the_way_the_block_is_left(tmp_path: Path) -> None:
    with start(tmp_path / "done") as run:
        assert json.loads((tmp_path / "done/run.json").read_text())["status"] == "running"
        run.expect(1)
        run.add("a", "1", {})
    assert run.info["status"] == "done"
    assert run.info["ended"]
    assert [r.unit for r in run.rows()] == ["1"]

    with start(tmp_path / "failed") as run:
        run.add("a", "1", {}, status="failed", reason="x")
    assert run.info["status"] == "failed"

    with start(tmp_path / "short") as run:
        run.expect(3)
        run.add("a", "1", {})
    assert run.info["status"] == "interrupted"
    assert run.info["counts"] == {"done": 1, "failed": 0, "left": 2}

    with pytest.raises(KeyboardInterrupt), start(tmp_path / "stopped"):
        raise KeyboardInterrupt
    info = RunFolder.read(tmp_path / "stopped").info
    assert (info["status"], info["reason"]) == ("interrupted", "KeyboardInterrupt")

    with pytest.raises(UsageError), start(tmp_path / "broken"):
        raise UsageError("one line")
    info = RunFolder.read(tmp_path / "broken").info
    assert (info["status"], info["reason"]) == ("failed", "one line")


def test_resuming_keeps_rows_start_and_time_and_names_the_last_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(tmp_path)
    run.add("a", "1", {})
    time.sleep(0.05)
    run.finish("interrupted")
    first = run.info
    with start(tmp_path) as run:
        assert run.previous == "interrupted"
        assert "interrupted; its 1 finished rows are kept" in caplog.text
        assert run.done("a", "1")
        assert run.info["status"] == "running"
    assert run.info["started"] == first["started"]
    assert run.info["seconds"] >= first["seconds"] > 0.04
    assert run.info["status"] == "done"


def test_another_setting_verb_or_input_is_refused_by_name(tmp_path: Path) -> None:
    hashes = {"weights": {"toy": "aa"}, "inputs": {}}
    with start(tmp_path, provenance=hashes) as run:
        run.add("a", "1", {})
    with pytest.raises(UsageError, match=r"inner\.rate = 0\.1, now inner\.rate = 0\.3; add --force .* -o"):
        start(tmp_path, Settings(inner=Inner(0.3)), provenance=hashes)
    with pytest.raises(UsageError, match=r"epsilon = \[0\.1, 0\.2\], now epsilon = \[0\.1\]"):
        start(tmp_path, Settings(epsilon=(0.1,)), provenance=hashes)
    with pytest.raises(UsageError, match="a run of 'test', this is 'audit'"):
        start(tmp_path, verb="audit", provenance=hashes)
    with pytest.raises(UsageError, match=r"other weights \(toy has changed\)"):
        start(tmp_path, provenance={"weights": {"toy": "bb"}, "inputs": {}})
    with start(tmp_path, provenance=hashes) as run:
        assert run.done("a", "1")


def test_force_starts_over_and_removes_only_what_a_run_wrote(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.add("a", "1", {})
        run.picture("1", "clean").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("mine")
    with start(tmp_path, Settings(model="other"), resume=False) as run:
        assert run.previous == ""
        assert not list(run.rows())
        assert not run.picture("1", "clean").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_force_in_a_folder_that_holds_no_run_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/holiday.jpg").write_bytes(b"x")
    with start(tmp_path, resume=False):
        pass
    assert (tmp_path / "pictures/holiday.jpg").exists()


def test_rows_without_their_record_are_refused(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.add("a", "1", {})
    (tmp_path / "run.json").unlink()
    with pytest.raises(UsageError, match=r"rows but no run\.json"):
        start(tmp_path)


def test_a_second_writer_is_refused_and_the_lock_is_given_back(tmp_path: Path) -> None:
    with start(tmp_path), pytest.raises(UsageError, match="another facefort writes"):
        start(tmp_path)
    with pytest.raises(UsageError, match="model"):
        start(tmp_path, Settings(model="x"))
    with start(tmp_path):
        pass


def test_reading_beside_a_writer_sees_every_added_row(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.expect(3)
        reader = RunFolder.read(tmp_path)
        run.add("a", "1", {})
        assert [r.unit for r in reader.rows()] == ["1"]
        run.add("a", "2", {})
        assert [r.unit for r in reader.rows()] == ["1", "2"]
        assert reader.info["status"] == "running"
        assert reader.info["counts"] == {"done": 2, "failed": 0, "left": 1}
        with pytest.raises(ValueError, match="reading"):
            reader.add("a", "3", {})


def test_a_finished_run_is_plain_files_that_a_read_only_place_can_serve(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.add("a", "1", {})
    assert {p.name for p in tmp_path.iterdir()} == {".lock", "pictures", "rows.sqlite", "run.json", "settings.yaml"}
    with sqlite3.connect(f"file:{tmp_path / 'rows.sqlite'}?immutable=1", uri=True) as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert db.execute("SELECT COUNT(*) FROM rows").fetchone()[0] == 1


def test_every_commit_is_flushed(tmp_path: Path) -> None:
    with start(tmp_path) as run, run._rows._connection() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_a_full_disk_is_one_line_and_keeps_what_is_done(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        run.add("a", "1", {})
        with run._rows._connection() as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(OutputError, match=r"no space left .*rows\.sqlite; .*what is done is kept") as caught:
            run.add("a", "2", {"long": "x" * 100_000})
    assert "\n" not in str(caught.value)
    assert [r.unit for r in RunFolder.read(tmp_path).rows()] == ["1"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_the_first_error_survives_a_record_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import facefort.runs.folder as module

    def full(path: Path, text: str) -> None:
        raise OutputError(f"no space left to write {path}")

    with pytest.raises(RuntimeError, match="first") as caught, start(tmp_path):  # noqa: PT012
        monkeypatch.setattr(module, "write_text", full)
        raise RuntimeError("first")
    assert "no space left" in caught.value.__notes__[0]
    monkeypatch.undo()
    with start(tmp_path) as run:  # the lock was given back, and the record still says what it said
        assert run.previous == "killed"


def test_damage_and_strangers_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        RunFolder.read(tmp_path)
    with start(tmp_path / "run"):
        pass
    (tmp_path / "run/rows.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(OutputError, match="damaged; start the run over with --force"):
        RunFolder.read(tmp_path / "run")
    with start(tmp_path / "run", resume=False):
        pass
    with sqlite3.connect(tmp_path / "run/rows.sqlite") as db:
        db.execute("PRAGMA user_version=9")
    with pytest.raises(UsageError, match="row format 9, not 1"):
        RunFolder.read(tmp_path / "run")
    (tmp_path / "run/run.json").write_text("{")
    with pytest.raises(UsageError, match=r"run\.json is not a run's record"):
        start(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        start(tmp_path / "file")


def test_pictures_have_safe_and_unique_names(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        units = ["00012", "a/b.jpg", "a_b.jpg", "../../etc/passwd", "face #2", ".hidden", "é" * 300, ""]
        paths = [run.picture(unit, "clean") for unit in units]
        assert len(set(paths)) == len(units)
        for path in paths:
            assert path.parent == tmp_path / "pictures"
            path.write_bytes(b"x")
        assert paths[0].name == "00012.clean.png"
        assert run.picture("1", "diff", ".jpg").name == "1.diff.jpg"
        with pytest.raises(ValueError, match="role"):
            run.picture("1", "../x")


def test_rows_can_be_added_from_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with start(tmp_path) as run:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: run.add("a", str(i), {"v": i}), range(200)))
        assert sorted(r.values["v"] for r in run.rows()) == list(range(200))


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_kill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    draw = random.Random(0)
    reported: list[str] = []
    for round_ in range(4):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(draw.uniform(0, 0.25))
        child.send_signal(signal.SIGKILL)
        reported += [first.strip(), *(line.strip() for line in child.stdout if line.endswith("\n"))]
        assert child.wait() == -signal.SIGKILL
        run = RunFolder.read(tmp_path)
        units = [row.unit for row in run.rows()]
        assert units == [str(i) for i in range(len(units))]  # nothing lost, nothing twice, in order
        assert set(reported) <= set(units)
        assert len(reported) == len(set(reported))  # a finished unit was not worked on again
        assert run.info["status"] == "running"
        assert len(units) - len(reported) <= round_ + 1  # at most the row that was added and not yet reported
    with RunFolder.open(tmp_path, verb="test", settings={"a": 1}, provenance={}) as run:
        assert run.previous == "killed"
