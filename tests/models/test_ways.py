"""The fastest way whose pictures are float32's is found once, taken, and said."""

import json

import pytest
import torch

from facefort.errors import UsageError
from facefort.models import load, ways
from facefort.models.ways import PLAIN, Way


@pytest.fixture
def restorer(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEFORT_CACHE", str(tmp_path))
    monkeypatch.setattr(ways, "has_bf16", lambda: True)
    monkeypatch.setattr(ways, "_has_openvino", lambda: False)
    return load("gfpgan-128")


def clock(monkeypatch, **milliseconds: float) -> list[Way]:
    """Let each arithmetic take a time of its own; returns what was timed."""
    timed: list[Way] = []

    def time(model, face):
        model.restore(face)
        way = Way("openvino" if model.compiled else "torch", model.runtime.precision)
        timed.append(way)
        return milliseconds[way.precision if way.backend == "torch" else "openvino"]

    monkeypatch.setattr(ways, "_time", time)
    return timed


def test_the_fastest_is_taken_said_and_remembered(restorer, monkeypatch) -> None:
    timed = clock(monkeypatch, fp32=100, bf16=40)
    choice = ways.take(restorer, "cpu")
    assert choice.way == Way("torch", "bf16")
    assert restorer.runtime.precision == "bf16"
    assert str(choice).startswith("torch in bfloat16, 40 ms a face (torch in float32: 100 ms; ")
    assert len(timed) == 2
    assert ways.take(load("gfpgan-128"), "cpu") == choice
    assert len(timed) == 2, "the second process must not measure again"


def test_a_way_that_draws_other_pictures_is_out_however_fast(restorer, monkeypatch) -> None:
    clock(monkeypatch, fp32=100, bf16=1)
    plain = restorer.network.forward

    def rough(*given, **more):
        done = plain(*given, **more)
        first = done[0] if isinstance(done, tuple) else done
        if torch.is_autocast_enabled("cpu"):
            first += 0.05
        return done

    monkeypatch.setattr(restorer.network, "forward", rough)
    choice = ways.take(restorer, "cpu")
    assert choice.way == PLAIN
    assert restorer.runtime.precision == "fp32"
    assert "torch in bfloat16 is out: " in str(choice)
    assert "50 are asked for" in str(choice)


def test_a_slower_way_is_not_taken(restorer, monkeypatch) -> None:
    clock(monkeypatch, fp32=10, bf16=40)
    assert ways.take(restorer, "cpu").way == PLAIN


def test_a_named_way_is_taken_unmeasured(restorer, monkeypatch) -> None:
    timed = clock(monkeypatch, fp32=10, bf16=40)
    choice = ways.take(restorer, "cpu", precision="bf16", backend="torch")
    assert (choice.way, choice.tried, timed) == (Way("torch", "bf16"), (), [])
    assert str(choice) == "torch in bfloat16"


def test_without_a_choice_nothing_is_measured(restorer, monkeypatch) -> None:
    monkeypatch.setattr(ways, "has_bf16", lambda: False)
    timed = clock(monkeypatch, fp32=10)
    assert ways.take(restorer, "cpu").way == PLAIN
    assert timed == []


@pytest.mark.parametrize("content", ["", "{}", '{"tried": [{"way": 1}]}', "[]", '{"tried": 3}'])
def test_a_damaged_memory_is_measured_anew(restorer, monkeypatch, tmp_path, content) -> None:
    timed = clock(monkeypatch, fp32=100, bf16=40)
    ways.take(restorer, "cpu")
    (file,) = (tmp_path / "ways").iterdir()
    json.loads(file.read_text())
    file.write_text(content)
    assert ways.take(restorer, "cpu").way == Way("torch", "bf16")
    assert len(timed) == 4


def test_random_weights_are_not_remembered(restorer, monkeypatch, tmp_path) -> None:
    from dataclasses import replace

    clock(monkeypatch, fp32=100, bf16=40)
    restorer.origin = replace(restorer.origin, sha256="")
    ways.take(restorer, "cpu")
    assert not (tmp_path / "ways").exists()


def test_openvino_draws_float32s_pictures_and_keeps_its_graph(restorer, monkeypatch, tmp_path) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(ways, "_has_openvino", lambda: True)
    clock(monkeypatch, fp32=100, bf16=60, openvino=40)
    faces = ways.probe(restorer.size, 2)
    wanted = restorer.restore(faces)
    choice = ways.take(restorer, "cpu")
    assert choice.way.backend == "openvino"
    assert float((restorer.restore(faces) - wanted).abs().max()) < 0.02
    (graph,) = (tmp_path / "openvino").glob("*.xml")
    graph.write_text("damaged")
    again = load("gfpgan-128")
    assert ways.take(again, "cpu") == choice
    assert float((again.restore(faces) - wanted).abs().max()) < 0.02


def test_a_gradient_is_torchs_whatever_the_way(restorer, monkeypatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(ways, "_has_openvino", lambda: True)
    ways.take(restorer, "cpu", precision="fp32", backend="openvino")
    face = ways.probe(restorer.size, 1).requires_grad_()
    restorer(face).mean().backward()
    assert float(face.grad.abs().sum()) > 0


def test_unknown_and_absent_backends_are_refused(restorer, monkeypatch) -> None:
    with pytest.raises(UsageError, match="unknown backend 'onnx'"):
        ways.take(restorer, "cpu", backend="onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install"):
        ways.take(restorer, "cpu", backend="openvino")
