"""Graphs for other programs draw what torch draws."""

import logging
import sys
from pathlib import Path

import pytest
import torch

from facefort.errors import ModelError, UsageError
from facefort.models import build, conversion, load
from facefort.models.conversion import Parity
from facefort.models.restorers import RESTORERS


@pytest.mark.parametrize("name", RESTORERS.names())
def test_every_restorer_is_the_same_in_openvino(name: str) -> None:
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    restorer = build(name, preset="zoo")
    faces = conversion.probe(restorer.size, 2)
    run = conversion.run_openvino(conversion.to_openvino(restorer))
    parity = Parity.of(run(faces), restorer.restore(faces))
    assert parity.psnr > 100, parity


@pytest.mark.parametrize("name", RESTORERS.names())
def test_every_restorer_is_the_same_in_onnx_and_one_file(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    restorer = build(name, preset="zoo")
    target = tmp_path / "made" / "restorer.onnx"
    with conversion.staged(target) as made:
        conversion.save_onnx(restorer, made)
    faces = conversion.probe(restorer.size, 2)
    parity = Parity.of(conversion.run_onnx(target)(faces), restorer.restore(faces))
    assert parity.psnr > 100, parity
    assert [file.name for file in target.parent.iterdir()] == [target.name]


def test_an_openvino_graph_that_was_kept_draws_the_same(tmp_path) -> None:
    pytest.importorskip("openvino")
    restorer = load("jsfm-128")
    target = tmp_path / "jsfm.xml"
    with conversion.staged(target) as made:
        conversion.save_openvino(conversion.to_openvino(restorer), made)
    faces = conversion.probe(restorer.size, 2)
    assert Parity.of(conversion.run_openvino(target)(faces), restorer.restore(faces)).psnr > 100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["jsfm.bin", "jsfm.xml"]


def test_a_network_that_cannot_be_traced_is_named() -> None:
    pytest.importorskip("openvino")
    restorer = load("gfpgan-128")

    def refuse(*_: object) -> torch.Tensor:
        raise RuntimeError("no such operation\nand a long trace")

    restorer.forward = refuse  # type: ignore[method-assign]
    level = logging.getLogger().level
    with pytest.raises(ModelError, match="OpenVINO cannot convert gfpgan-128"):
        conversion.to_openvino(restorer)
    assert logging.getLogger().level == level


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'facefort\[openvino\]'"):
        conversion.needs("openvino", "openvino")


def test_parity_is_that_of_the_worst_face() -> None:
    ours = torch.zeros(2, 3, 4, 4)
    theirs = ours.clone()
    theirs[1] += 0.1
    parity = Parity.of(ours, theirs)
    assert parity.psnr == pytest.approx(20)
    assert parity.largest == pytest.approx(0.1)
    assert str(Parity.of(ours, ours)).startswith("equal over 2 faces")


def test_the_probe_is_made_of_different_faces_of_the_asked_size() -> None:
    faces = conversion.probe(64, 3)
    assert faces.shape == (3, 3, 64, 64)
    assert float((faces[0] - faces[1]).abs().mean()) > 0.02
    assert torch.equal(faces, conversion.probe(64, 3))
