"""Protocols: every variant fixed, what is missing named, the rest still measured."""

from __future__ import annotations

import pytest

import facefort
from facefort.errors import UnknownNameError, UsageError
from facefort.measuring.conditions import parse
from facefort.measuring.protocol import protocol, protocols
from facefort.metrics import METRICS
from facefort.metrics.sets import SET_METRICS


@pytest.mark.parametrize("rule", protocols().values(), ids=lambda rule: rule.name)
def test_a_protocol_is_whole(rule):
    assert rule.title
    assert rule.source
    assert rule.pictures.bits == 8
    assert rule.pictures.size in (256, 512)
    assert len(set(rule.metrics)) == len(rule.metrics)
    assert all(parse(text).name in rule.metrics for text in rule.exclude)
    assert all(piece.metric in rule.metrics and piece.what and piece.where for piece in rule.bring)
    known = {name for name in rule.metrics if name in METRICS or name in SET_METRICS}
    assert known or all(rule.piece(name) for name in rule.metrics)


def test_protocols_are_those_of_the_field():
    assert set(protocols()) == {"asfiba", "codeformer", "gfpgan", "idguard", "restoreformer", "vqfr"}
    with pytest.raises(UnknownNameError, match="unknown protocol 'gfpgann'; did you mean gfpgan"):
        protocol("gfpgann")


@pytest.mark.parametrize("name", ["gfpgan", "vqfr", "restoreformer", "codeformer"])
def test_restoration_tables_take_fid_from_the_published_statistics(name):
    assert "fid-ffhq512" in protocol(name).metrics
    assert "inception_FFHQ_512" in protocol(name).piece("fid-ffhq512")


def test_corrected_and_plain_psnr_are_never_mixed():
    for rule in protocols().values():
        assert not {"psnr-mvc", "psnr-rgb"} <= set(rule.metrics)
    assert "psnr-mvc" in protocol("vqfr").metrics
    assert "psnr-rgb" in protocol("restoreformer").metrics


@pytest.fixture(scope="module")
def faces512(tmp_path_factory, picture, write):
    tmp_path = tmp_path_factory.mktemp("faces")
    for i in range(2):
        write(tmp_path / "r" / f"{i}.png", picture(i, 512, 512))
        write(tmp_path / "t" / f"{i}.png", picture(i, 512, 512, noise=0.05))
    write(tmp_path / "r" / "2.png", picture(2, 256, 256))
    write(tmp_path / "t" / "2.png", picture(2, 256, 256, noise=0.05))
    return tmp_path / "t", tmp_path / "r"


def test_a_protocol_runs_with_what_is_there_and_names_the_rest(faces512, monkeypatch):
    from facefort.measuring import plan

    monkeypatch.setattr(plan.assets, "missing", lambda names: [name for name in names if name != "niqe-pristine"])
    found = facefort.measure(*faces512, protocol="restoreformer")
    assert [one.name for one in found.summary if one.name in ("psnr-rgb", "ssim-rgb")] == ["psnr-rgb", "ssim-rgb"]
    assert found["psnr-rgb"].n == 2
    assert found.unmeasured["fid-ffhq512"]
    assert any("divides by the number of clean pictures" in note for note in found.notes)
    assert found.rows[2].reason == "the protocol restoreformer measures 512 x 512 pictures, not 256 x 256"
    assert found.exit_code() == 1


def test_the_piece_to_bring_is_named(faces512, monkeypatch):
    from facefort.measuring import plan

    monkeypatch.setattr(plan.assets, "missing", lambda names: [])
    rule = protocol("vqfr")
    settings = plan.MeasureSettings(test=str(faces512[0]), reference=str(faces512[1]), protocol="vqfr")
    made = plan.make_plan(settings)
    assert made.unmeasured["fid-ffhq512"].startswith("bring inception_FFHQ_512-f7b384ab.pth")
    assert "--set-reference" in made.unmeasured["fid-ffhq512"]
    assert "alignment_WFLW_4HG.pth" in made.unmeasured["lmd"]
    assert [str(one) for one in made.exclude] == ["deg < 1"]
    assert made.how.size == 512
    assert not made.face_check
    assert made.protocol == rule


def test_a_protocol_fixes_its_metrics_and_its_crop(faces512):
    with pytest.raises(UsageError, match="--protocol gfpgan fixes the metrics; leave -M out"):
        facefort.measure(*faces512, metrics=["psnr-rgb"], protocol="gfpgan")
    with pytest.raises(UsageError, match="--protocol gfpgan crops 0 px"):
        facefort.measure(*faces512, protocol="gfpgan", crop_border=4)


def test_the_exclusion_of_a_protocol_is_that_of_its_script(faces512, toy):
    if "deg" in METRICS:
        pytest.skip("the real metric is there; its own tests judge it")
    toy("deg", lambda pictures, reference: (pictures - reference).abs().mean((1, 2, 3)) * 0, needs_reference=True)
    found = facefort.measure(*faces512, protocol="gfpgan")
    assert (found["deg"].mean, found["deg"].excluded, found["deg"].failed) == (None, 2, 1)
    assert found.rows[0].excluded == {"deg": "deg < 1 is left out"}
