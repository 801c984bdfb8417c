"""Provenance: enough to get a result again, and nothing that tells where it was made."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import torch

import facefort
from facefort.runs.provenance import LIBRARIES, commit, provenance
from facefort.runtime import Runtime


def test_it_names_versions_machine_seed_and_hashes() -> None:
    found = provenance(seed=3, runtime=Runtime(), weights={"toy": "ab"}, inputs={"faces": "cd"})
    assert found["facefort"] == facefort.__version__
    assert found["seed"] == 3
    assert found["weights"] == {"toy": "ab"}
    assert found["inputs"] == {"faces": "cd"}
    assert found["machine"]["torch"] == torch.__version__
    assert set(found["libraries"]) == set(LIBRARIES)


def test_it_tells_neither_host_nor_path() -> None:
    text = json.dumps(provenance(seed=0, runtime=Runtime()))
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text


def test_a_checkout_names_its_commit() -> None:
    found = commit()
    if not (Path(facefort.__file__).parents[2] / ".git").exists():
        assert found is None
    else:
        assert found is not None
        assert len(found.removesuffix("-dirty")) == 40


def test_a_package_outside_a_checkout_has_no_commit(tmp_path: Path, monkeypatch) -> None:
    # The package's function of the same name hides the module from attribute access.
    monkeypatch.setattr(sys.modules["facefort.runs.provenance"], "PACKAGE", tmp_path / "lib/facefort")
    assert commit() is None
