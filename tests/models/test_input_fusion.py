"""The last layer that this project's own small restorers end with, in every architecture that takes it."""

from __future__ import annotations

import pytest
import torch

from facefort.models.blocks.input_fusion import InputFusion
from facefort.models.factory import build
from facefort.models.restorers import RESTORERS
from facefort.models.spec import Options

WITH = sorted(name for name in RESTORERS.names() if "input_fusion" in RESTORERS.get(name).presets.get("zoo", {}))


def test_the_eight_that_the_field_names_take_it() -> None:
    named = {"hifacegan", "gfpgan", "vqfr", "vqfr_v2", "gpen", "codeformer", "restoreformer", "jsfm", "mssg"}
    assert named <= set(WITH)


@pytest.mark.parametrize("name", WITH)
class TestEveryRestorer:
    def test_its_weights_tell_that_it_is_there(self, name: str) -> None:
        architecture = RESTORERS.get(name)
        assert architecture.detect is not None
        for options in ({}, {"input_floor": 0.25}, {"input_fusion": False}):
            state = build(name, "zoo", **options).network.state_dict()
            found = architecture.detect(state)
            wanted: Options = {**architecture.presets["zoo"], **options}
            assert found is not None
            assert found["input_fusion"] == wanted["input_fusion"]
            if wanted["input_fusion"]:
                assert found["input_floor"] == pytest.approx(wanted["input_floor"])

    def test_a_floor_of_one_returns_the_input(self, name: str) -> None:
        restorer = build(name, "zoo", input_floor=1.0)
        faces = torch.rand(1, 3, 128, 128)
        with torch.no_grad():
            assert torch.allclose(restorer(faces), faces, atol=1e-5)

    def test_without_it_the_network_is_the_published_one(self, name: str) -> None:
        torch.manual_seed(0)
        plain = build(name, "zoo", input_fusion=False)
        fused = build(name, "zoo", input_floor=0.0)
        state = {key: value for key, value in fused.network.state_dict().items() if not key.startswith("input_fusion.")}
        plain.network.load_state_dict(state)
        assert fused.network.get_submodule("input_fusion").last.bias is not None
        faces = torch.rand(1, 3, 128, 128)
        with torch.no_grad():
            drawn, mixed = plain(faces), fused(faces)
        share = torch.sigmoid(torch.tensor(-3.0))
        assert torch.allclose(mixed, drawn + share * (faces - drawn), atol=1e-4)


def test_the_floor_travels_with_the_weights() -> None:
    fusion = InputFusion(4, floor=0.5)
    other = InputFusion(4)
    other.load_state_dict(fusion.state_dict())
    assert float(other.floor) == 0.5
