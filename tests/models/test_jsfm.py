from __future__ import annotations

import pytest
import torch
from torch import nn

from facefort.models import build
from facefort.models.parts.parsenet import CELEBAMASK, MESH, Classes, ParseNet, adjusted, classes_of
from facefort.models.parts.parsenet import detect as detect_parser
from facefort.models.restorers.jsfm import ARCHITECTURE, JSFMGAN

PARSER = {"out_size": 32, "min_feat_size": 8, "base_ch": 8, "parsing_ch": 11, "res_depth": 1, "ch_range": (8, 16)}
TINY = {"out_size": 32, "width": 8, "widest": 16, "scales": 3, "parser": PARSER}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_parsers_published_size() -> None:
    assert count(ParseNet()) == 21_303_254


def test_the_parsers_keys_are_those_of_the_released_file() -> None:
    keys = ParseNet(64, 32, 8, 19, 1).state_dict().keys()
    for key in (
        "encoder.0.conv2d.bias",
        "encoder.1.shortcut_func.conv2d.weight",
        "encoder.1.conv1.norm.norm.running_mean",
        "body.0.conv2.conv2d.weight",
        "decoder.0.conv1.conv2d.weight",
        "out_img_conv.conv2d.weight",
        "out_mask_conv.conv2d.bias",
    ):
        assert key in keys


def test_a_parser_is_found_from_its_shapes() -> None:
    network = ParseNet(**PARSER)
    options = detect_parser(network.state_dict())
    assert options is not None
    ParseNet(**options).load_state_dict(network.state_dict())
    assert detect_parser({"encoder.0.conv2d.weight": torch.zeros(1)}) is None


def test_left_and_right_become_one_and_the_map_symmetric() -> None:
    classes = Classes(MESH)
    groups = [[MESH[i] for i in group] for group in classes.merged()]
    assert ["l_eye", "r_eye"] in groups
    assert ["u_lip", "l_lip"] in groups
    assert ["mouth"] in groups
    assert [MESH[i] for i in classes.mirrored()][3:7] == ["r_eye", "l_eye", "r_brow", "l_brow"]
    maps = torch.rand(2, 11, 8, 8).softmax(1)
    merged = adjusted(maps, classes)
    assert torch.allclose(merged.sum(1), torch.ones(2, 8, 8))
    assert torch.allclose(merged, merged.flip(3))
    assert len(classes_of(19).merged()) == len(CELEBAMASK) - 4
    with pytest.raises(ValueError, match="19 or 11 classes apart, not 5"):
        classes_of(5)


@pytest.mark.parametrize(
    "left_out",
    [{}, *({name: False} for name in ("joint", "stage_features", "ufsb", "adjusted_parsing", "progressive"))],
)
def test_every_ablation_is_found_from_its_keys(left_out: dict[str, bool]) -> None:
    network = JSFMGAN(**TINY, **left_out)
    options = ARCHITECTURE.detect(network.state_dict())
    assert options == {**options, **TINY, **left_out}
    again = JSFMGAN(**options)
    again.load_state_dict(network.state_dict())
    face = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(again.eval()(face)[0], network.eval()(face)[0])


def test_what_is_left_out_changes_the_picture() -> None:
    face = torch.rand(1, 3, 32, 32) * 2 - 1
    whole = JSFMGAN(**TINY)
    state = whole.state_dict()
    encoder_guided = JSFMGAN(**TINY, stage_features=False)
    encoder_guided.load_state_dict({**state, "flags": encoder_guided.flags})
    assert not torch.allclose(whole(face)[0], encoder_guided(face)[0])


def test_training_gives_the_stages_loss_and_leaves_the_parser_alone() -> None:
    restorer = build("jsfm", "zoo", **TINY).train()
    restorer.requires_grad_(True)
    before = {name: value.clone() for name, value in restorer.network.parser.state_dict().items()}
    degraded, clean = torch.rand(2, 2, 3, 32, 32)
    done = restorer.training_pass(degraded, clean)
    assert [picture.shape[-1] for picture in done.pyramid] == [8, 16, 32]
    coarse = done.pyramid[-1] * 2 - 1
    smaller = sum(
        nn.functional.l1_loss(p * 2 - 1, nn.functional.adaptive_avg_pool2d(clean * 2 - 1, p.shape[-1]))
        for p in done.pyramid[:-1]
    )
    assert torch.allclose(done.own["stages"], smaller + nn.functional.l1_loss(coarse, clean * 2 - 1), atol=1e-5)
    assert done.regions is not None
    assert done.regions.shape[:2] == (2, 7)
    done.restored.mean().backward()
    assert all(torch.equal(value, before[name]) for name, value in restorer.network.parser.state_dict().items())
