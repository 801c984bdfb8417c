"""Rules of the house that no linter holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= 70, f"{node.name} has {length} lines"


def test_rooms_know_only_the_rooms_below() -> None:
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]


def test_every_registered_thing_can_be_imported() -> None:
    from facefort.app.cli.ls import KINDS

    for kind, rows in KINDS.items():
        listed = rows()
        assert listed or kind == "models", kind
        assert len({row["name"] for row in listed}) == len(listed), kind


def test_every_verb_has_a_command() -> None:
    import click

    from facefort.app.cli.main import VERBS, main

    context = click.Context(main)
    for verb in VERBS:
        command = main.get_command(context, verb)
        assert command is not None
        assert command.name == verb
        assert command.help
