from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from facefort.errors import UsageError, WeightsError
from facefort.models import build, load
from facefort.models.restorers.restoreformer import RestoreFormer, detect

TINY = {"out_size": 64, "n_embed": 16, "embed_dim": 8, "ch": 8, "ch_mult": (1, 2, 2), "z_channels": 12}


def tiny(**options: object) -> RestoreFormer:
    torch.manual_seed(0)
    network = RestoreFormer(**{**TINY, **options})  # type: ignore[arg-type]
    torch.nn.init.normal_(network.quantize.embedding.weight)
    return network.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()


def test_published_counts_and_keys() -> None:
    with torch.device("meta"):
        network = RestoreFormer()
    assert sum(p.numel() for p in network.parameters()) == 72_680_003
    keys = network.state_dict()
    assert len(keys) == 405
    with_attention = {key.split(".attn.")[0] for key in keys if ".attn." in key}
    assert with_attention == {"encoder.down.5", "decoder.up.5"}
    count = {side: len({key.split(".")[4] for key in keys if f"{side}.2.block." in key}) for side in ("down", "up")}
    assert count == {"down": 2, "up": 3}
    block = {key.split(".")[5] for key in keys if key.startswith("encoder.down.5.attn.1.")}
    assert block == {"norm1", "norm2", "q", "k", "v", "proj_out"}
    for key in (
        "encoder.down.1.block.0.nin_shortcut.weight",
        "encoder.down.4.downsample.conv.bias",
        "decoder.up.1.upsample.conv.weight",
        "decoder.mid.attn_1.norm2.weight",
        "decoder.norm_out.bias",
        "quantize.embedding.weight",
        "quant_conv.weight",
        "post_quant_conv.bias",
    ):
        assert key in keys


def test_the_zoos_size_is_small() -> None:
    with torch.device("meta"):
        network = build("restoreformer", "zoo").network
    assert sum(p.numel() for p in network.parameters()) < 7e6


@pytest.mark.parametrize("options", [{}, TINY, {**TINY, "num_res_blocks": 1, "ch": 16, "ch_mult": (1, 1, 4)}])
def test_options_are_read_off_the_keys(options: dict[str, object]) -> None:
    with torch.device("meta"):
        network = RestoreFormer(**options)  # type: ignore[arg-type]
    found = detect(network.state_dict())
    assert found is not None
    assert {key: found[key] for key in options} == options
    with torch.device("meta"):
        again = RestoreFormer(**found)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


def test_results_and_features(x: Tensor) -> None:
    network = tiny()
    picture, loss, found, hs = network(x)
    assert picture.shape == x.shape
    assert loss.ndim == 0
    assert found.indices.shape == (2, 16, 16)
    assert list(hs) == ["in", "block_0", "block_1", "block_2_atten", "mid_atten", "out"]
    codes = network.quantize.look_up(found.indices)
    assert torch.allclose(network.decoder(network.post_quant_conv(codes), hs)[0], picture, atol=1e-5)


def test_the_decoder_asks_with_the_encoders_features(x: Tensor) -> None:
    network = tiny()
    picture, _, found, hs = network(x)
    z = network.post_quant_conv(network.quantize.look_up(found.indices))
    for name in ("mid_atten", "block_2_atten"):
        changed = network.decoder(z, {**hs, name: torch.randn_like(hs[name])})[0]
        assert not torch.allclose(changed, picture, atol=1e-4)
    others = {name: torch.randn_like(value) for name, value in hs.items() if not name.endswith("_atten")}
    assert torch.equal(network.decoder(z, {**hs, **others})[0], network.decoder(z, hs)[0])


def test_the_same_weights_take_other_sizes(x: Tensor) -> None:
    small = tiny(out_size=32)
    small.load_state_dict(tiny().state_dict())
    assert small(x[..., :32, :32])[0].shape == (2, 3, 32, 32)


def test_it_learns(x: Tensor) -> None:
    network = tiny().train()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    small = x.detach()[..., :32, :32]
    target, losses = small.clamp(-1, 1) * 0.5, []
    for _ in range(25):
        picture, codebook, _, _ = network(small)
        loss = (picture - target).abs().mean()
        optimiser.zero_grad()
        (loss + codebook).backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_gradient_modes(x: Tensor) -> None:
    network = tiny()
    pictures, gradients = [], {}
    for mode in ("official", "ste", "soft"):
        network.grad_mode = mode
        picture = network(x)[0]
        pictures.append(picture)
        (gradients[mode],) = torch.autograd.grad(picture.square().mean(), x)
        assert (gradients[mode] != 0).float().mean() > 0.9
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    assert torch.equal(gradients["official"], gradients["ste"])
    assert not torch.allclose(gradients["soft"], gradients["ste"], rtol=0.1)
    with pytest.raises(ValueError, match="grad_mode is one of"):
        network.grad_mode = "none"


@pytest.mark.parametrize("beside", [False, True])
def test_a_checkpoint_of_the_official_training(tmp_path: Path, beside: bool) -> None:
    network = tiny()
    state = {f"vqvae.{key}": value for key, value in network.state_dict().items()}
    if beside:
        state |= {"loss.discriminator.main.0.weight": torch.zeros(3), "loss.net_d_mouth.conv1.0.weight": torch.ones(2)}
    torch.save({"epoch": 3, "global_step": 9, "state_dict": state}, tmp_path / "last.ckpt")
    loaded = load(tmp_path / "last.ckpt")
    assert loaded.architecture.name == "restoreformer"
    face = torch.rand(1, 3, 64, 64)
    assert torch.allclose(loaded(face), (network(face * 2 - 1)[0] + 1) / 2, atol=1e-5)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = tiny().state_dict()
    del state["decoder.up.0.block.0.norm1.weight"]
    torch.save({"params": state}, tmp_path / "RestoreFormer.pth")
    with pytest.raises(WeightsError, match=r"1 missing \(decoder\.up\.0\.block\.0\.norm1\.weight\)"):
        load(tmp_path / "RestoreFormer.pth")


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match="halved 5 times"):
        build("restoreformer", out_size=100)
    with pytest.raises(UsageError, match="heads cannot share"):
        build("restoreformer", **{**TINY, "ch": 6}, head_size=8)
