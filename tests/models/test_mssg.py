from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facefort.errors import UnknownNameError, WeightsError
from facefort.models import build, load
from facefort.models.blocks.vqgan import VQAutoEncoder
from facefort.models.factory import load_part
from facefort.models.parts import PARTS
from facefort.models.restorers.mssg import ARCHITECTURE, MSSGNet

PARSER = {"out_size": 32, "min_feat_size": 8, "base_ch": 8, "parsing_ch": 11, "res_depth": 1, "ch_range": (8, 16)}
CODES = {"nf": 8, "ch_mult": (1, 2, 2), "codebook_size": 16, "emb_dim": 8}
TINY = {"out_size": 32, **CODES, "dim_embd": 16, "n_layers": 1, "parser": PARSER}


@pytest.mark.parametrize(
    "left_out", [{}, {"codebook": False}, {"guidance": False}, {"scales": 0}, {"skip": False}], ids=str
)
def test_every_ablation_is_found_from_its_keys(left_out: dict[str, object]) -> None:
    network = MSSGNet(**{**TINY, **left_out}).eval()
    options = ARCHITECTURE.detect(network.state_dict())
    assert options is not None
    again = MSSGNet(**options).eval()
    again.load_state_dict(network.state_dict())
    face = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(again(face)[0], network(face)[0])


def test_values_do_not_depend_on_how_gradients_are_taken() -> None:
    face = (torch.rand(1, 3, 32, 32) * 2 - 1).requires_grad_()
    network = MSSGNet(**{**TINY, "skip": False, "guidance": False}).eval()
    pictures, slopes = [], []
    for mode in ("official", "ste", "soft"):
        network.grad_mode = mode
        picture = network(face)[0]
        pictures.append(picture.detach())
        reached = picture.requires_grad
        slope = torch.autograd.grad(picture.square().sum(), face, allow_unused=True)[0] if reached else None
        slopes.append(0.0 if slope is None else float(slope.abs().sum()))
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])
    assert slopes[0] == 0
    assert slopes[1] > 0
    assert slopes[2] > 0


def test_w_0_draws_without_the_inputs_features() -> None:
    network = MSSGNet(**TINY).eval()
    torch.nn.init.normal_(network.guides["0"].add.weight)
    face = torch.rand(1, 3, 32, 32) * 2 - 1
    assert not torch.allclose(network(face, w=0)[0], network(face, w=1)[0])


def test_training_learns_the_codes_of_the_clean_face() -> None:
    restorer = build("mssg", "zoo", **TINY).train()
    restorer.requires_grad_(True)
    teacher = VQAutoEncoder(32, 8, (1, 2, 2), codebook_size=16, emb_dim=8).eval()
    degraded, clean = torch.rand(2, 2, 3, 32, 32)
    done = restorer.training_pass(degraded, clean, teacher)
    assert done.own.keys() == {"code", "feature"}
    assert done.latent is not None
    wanted = teacher.codes(clean * 2 - 1)
    torch.manual_seed(0)
    _, logits, _ = restorer.network.eval()(degraded * 2 - 1)
    by_hand = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
    again = ARCHITECTURE.train(restorer.network, degraded * 2 - 1, clean * 2 - 1, teacher)
    assert torch.allclose(again.own["code"], by_hand, atol=1e-5)


VQFR_CODES = {"out_size": 32, "base_channels": 8, "num_code": 16, "code_dim": 8}
TINY_PARTS: dict[str, dict[str, object]] = {
    "gfpgan_prior": {"out_size": 32, "num_style_feat": 8, "narrow": 0.03125},
    "gpen_prior": {"out_size": 32, "style_dim": 8, "n_mlp": 2, "narrow": 0.03125},
    "parsenet": PARSER,
    "vqgan": {"img_size": 32, **CODES},
    "vqgan_v1": VQFR_CODES,
    "vqgan_v2": VQFR_CODES,
}


@pytest.mark.parametrize("name", PARTS.names())
def test_a_part_is_built_saved_found_and_refused_as_a_restorer(name: str, tmp_path: Path) -> None:
    part = build(name, "zoo", **TINY_PARTS[name])
    torch.save(part.network.state_dict(), tmp_path / "part.pth")
    again = load_part(tmp_path / "part.pth")
    assert again.architecture.name == name
    with pytest.raises(WeightsError, match="restores n"):
        load(tmp_path / "part.pth")
    with pytest.raises(UnknownNameError):
        load_part("no-such-part")
