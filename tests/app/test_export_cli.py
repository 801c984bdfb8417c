"""`facefort export`."""

import pytest

from facefort.app.cli.main import run
from facefort.models import conversion


def test_a_graph_is_written_compared_and_described(tmp_path, capsys) -> None:
    pytest.importorskip("openvino")
    target = tmp_path / "model.xml"
    assert run(["export", "jsfm-128", "--openvino", str(target)]) == 0
    said = capsys.readouterr().out
    assert "float32 (1, 3, 128, 128) RGB in [0, 1] in and out" in said
    assert "against torch in float32: " in said
    assert target.exists()
    assert target.with_suffix(".bin").exists()


def test_a_graph_that_draws_other_pictures_is_not_left_behind(tmp_path, capsys, monkeypatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(conversion, "run_openvino", lambda file: lambda faces: faces.flip(3))
    (tmp_path / "model.xml").write_text("an older graph")
    assert run(["export", "jsfm-128", "--openvino", str(tmp_path / "model.xml")]) != 0
    assert "draws other pictures" in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model.xml", "an older graph")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what to write"),
        (["--onnx", "model.pt"], "ends in .onnx"),
        (["--openvino", "model.bin"], "ends in .xml"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, message, capsys) -> None:
    assert run(["export", "gfpgan-128", *words]) == 2
    assert message in capsys.readouterr().err
