from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from facefort.errors import UsageError, WeightsError
from facefort.models import build, load
from facefort.models.blocks.critics import VQGANDiscriminator
from facefort.models.blocks.vq import GRAD_MODES
from facefort.models.blocks.vqgan import VQAutoEncoder
from facefort.models.restorers.codeformer import CodeFormer, detect

TINY = {
    "input_fusion": False,
    "out_size": 32,
    "nf": 8,
    "ch_mult": (1, 2, 2),
    "codebook_size": 16,
    "emb_dim": 8,
    "dim_embd": 16,
    "n_layers": 2,
}
FROZEN = ("quantize", "generator")

PARTS = {
    "encoder": 29_416_000,
    "quantize": 262_144,
    "generator": 34_061_955,
    "feat_emb": 131_584,
    "ft_layers": 18_925_056,
    "idx_pred_layer": 525_312,
    "fuse_convs_dict": 10_659_584,
}


def tiny(**options: object) -> CodeFormer:
    torch.manual_seed(0)
    network = CodeFormer(**{**TINY, **options})  # type: ignore[arg-type]
    torch.nn.init.normal_(network.quantize.embedding.weight)
    return network.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()


def input_gradient(network: CodeFormer, x: Tensor, **arguments: object) -> Tensor | None:
    picture = network(x, **arguments)[0]
    return torch.autograd.grad(picture.square().mean(), x, allow_unused=True)[0]


def test_published_parameter_counts() -> None:
    with torch.device("meta"):
        network = CodeFormer()
    assert {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()} == PARTS
    assert network.position_emb.numel() == 131_072
    assert sum(p.numel() for p in network.parameters()) == 94_112_707


def test_published_keys() -> None:
    with torch.device("meta"):
        keys = CodeFormer().state_dict()
    assert len(keys) == 515
    layer = {key.removeprefix("ft_layers.8.") for key in keys if key.startswith("ft_layers.8.")}
    attention = {f"self_attn.{key}" for key in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")}
    assert layer == attention | {
        f"{m}.{p}" for m in ("linear1", "linear2", "norm1", "norm2") for p in ("weight", "bias")
    }
    assert {key.split(".")[1] for key in keys if key.startswith("fuse_convs_dict.")} == {"32", "64", "128", "256"}
    fusion = {key.removeprefix("fuse_convs_dict.32.").rsplit(".", 1)[0] for key in keys if "fuse_convs_dict.32." in key}
    residual = {f"encode_enc.{part}" for part in ("norm1", "conv1", "norm2", "conv2", "conv_out")}
    assert fusion == residual | {"scale.0", "scale.2", "shift.0", "shift.2"}
    assert keys["position_emb"].shape == (256, 512)
    assert keys["idx_pred_layer.1.weight"].shape == (1024, 512)
    assert "idx_pred_layer.1.bias" not in keys


def test_the_zoos_size_is_small() -> None:
    with torch.device("meta"):
        network = build("codeformer", "zoo").network
    assert sum(p.numel() for p in network.parameters()) < 7e6


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"out_size": 256},
        TINY,
        {**TINY, "connect_list": (16, 32), "res_blocks": 1},
        {**TINY, "out_size": 64, "attn_resolutions": (32, 16), "n_layers": 1},
    ],
)
def test_options_are_read_off_the_keys(options: dict[str, object]) -> None:
    with torch.device("meta"):
        network = CodeFormer(**options)  # type: ignore[arg-type]
    found = detect(network.state_dict())
    assert found is not None
    assert {key: found[key] for key in options} == options
    with torch.device("meta"):
        again = CodeFormer(**found)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


def test_official_arguments_and_results(x: Tensor) -> None:
    network = tiny()
    picture, logits, feature = network(x)
    assert picture.shape == x.shape
    assert logits.shape == (2, 64, 16)
    assert feature.shape == (2, 8, 8, 8)
    only = network(x, code_only=True)
    assert torch.equal(only[0], logits)
    assert torch.equal(only[1], feature)
    codes = network.quantize.look_up(logits.argmax(-1).view(2, 8, 8))
    assert torch.allclose(network.generator(codes), picture, atol=1e-5)
    pictures = [network(x, w=w, adain=adain)[0] for w in (0, 0.5, 1) for adain in (False, True)]
    assert all(not torch.allclose(a, b) for i, a in enumerate(pictures) for b in pictures[:i])


def test_mixing_in_is_linear_in_w_at_each_level(x: Tensor) -> None:
    fusion = tiny().fuse_convs_dict["16"]
    encoded, decoded = torch.randn(2, 16, 16, 16), torch.randn(2, 16, 16, 16)
    whole = fusion(encoded, decoded, 1.0) - decoded
    assert torch.allclose(fusion(encoded, decoded, 0.5), decoded + whole / 2, atol=1e-5)
    h = fusion.encode_enc(torch.cat([encoded, decoded], 1))
    assert torch.allclose(whole, decoded * fusion.scale(h) + fusion.shift(h), atol=1e-5)


def test_values_are_the_same_in_all_gradient_modes(x: Tensor) -> None:
    network = tiny()
    for arguments in ({"w": 0}, {"w": 0.5, "adain": True}, {"w": 1}):
        pictures = []
        for network.grad_mode in GRAD_MODES:
            for network.detach_skip in (None, True, False):
                pictures.append(network(x, **arguments)[0])
                with torch.no_grad():
                    pictures.append(network(x, **arguments)[0])
        assert all(torch.allclose(picture, pictures[0], rtol=0, atol=1e-6) for picture in pictures)


def share_outside_statistics(network: CodeFormer, x: Tensor, **arguments: object) -> float:
    """Share of the gradient at the encoder's last feature that moving its means and deviations does not explain.

    A gradient through the statistics alone is, in every channel, a constant plus a multiple of the centred feature.
    """
    picture, _, feature = network(x, **arguments)
    (gradient,) = torch.autograd.grad(picture.square().mean(), feature)
    gradient = gradient.flatten(2)
    centred = feature.detach().flatten(2)
    centred = centred - centred.mean(2, keepdim=True)
    rest = gradient - gradient.mean(2, keepdim=True)
    rest = rest - centred * (rest * centred).sum(2, keepdim=True) / centred.square().sum(2, keepdim=True)
    return float(rest.norm() / gradient.norm())


class TestOfficialGradientsMask:
    """The whole table of what the official code's picture tells about its input, and that nothing else is masked."""

    def test_without_anything_there_is_no_graph(self, x: Tensor) -> None:
        network = tiny(grad_mode="official", fix_modules=FROZEN)
        with pytest.raises(RuntimeError, match="does not require grad"):
            input_gradient(network, x, w=0)

    @pytest.mark.parametrize("w", [0.5, 1])
    def test_with_mixing_in_there_is_no_path(self, w: float, x: Tensor) -> None:
        assert input_gradient(tiny(grad_mode="official", fix_modules=FROZEN), x, w=w) is None

    @pytest.mark.parametrize("w", [0, 0.5, 1])
    def test_with_adain_it_flows_through_statistics_alone(self, w: float, x: Tensor) -> None:
        network = tiny(grad_mode="official", fix_modules=FROZEN)
        gradient = input_gradient(network, x, w=w, adain=True)
        assert gradient is not None
        assert gradient.abs().max() > 0
        assert share_outside_statistics(network, x, w=w, adain=True) < 1e-3

    def test_the_first_detachment_makes_no_difference(self, x: Tensor) -> None:
        network = tiny(grad_mode="official", fix_modules=FROZEN)
        with pytest.raises(RuntimeError, match="does not require grad"):
            input_gradient(network, x, w=0, detach_16=False)
        assert input_gradient(network, x, w=1, detach_16=False) is None
        one, other = (input_gradient(network, x, w=1, adain=True, detach_16=cut) for cut in (True, False))
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, atol=1e-9)

    def test_logits_and_feature_tell_everything(self, x: Tensor) -> None:
        network = tiny(grad_mode="official", fix_modules=FROZEN)
        for output in network(x)[1:]:
            (gradient,) = torch.autograd.grad(output.square().mean(), x, retain_graph=True)
            assert (gradient != 0).float().mean() > 0.9

    def test_what_the_attack_says(self, x: Tensor) -> None:
        from facefort.attacks import Budget, attack
        from facefort.errors import ModelError

        masked = build("codeformer", "zoo", **TINY, grad_mode="official", adain=False)
        with pytest.raises(ModelError, match="no differentiable path"):
            attack(masked, torch.randint(256, (1, 3, 32, 32)) / 255, budgets=[Budget(8 / 255)], steps=1)


@pytest.mark.parametrize("adain", [False, True])
@pytest.mark.parametrize("w", [0, 0.5, 1])
@pytest.mark.parametrize("mode", ["ste", "soft"])
def test_other_gradients_are_whole(mode: str, w: float, adain: bool, x: Tensor) -> None:
    network = tiny(grad_mode=mode, fix_modules=FROZEN)
    gradient = input_gradient(network, x, w=w, adain=adain)
    assert gradient is not None
    assert (gradient != 0).float().mean() > 0.9
    assert share_outside_statistics(network, x, w=w, adain=adain) > 0.1


def test_straight_through_is_the_gradient_at_the_codes(x: Tensor) -> None:
    network = tiny(grad_mode="ste")
    picture, logits, feature = network(x)
    codes = network.quantize.look_up(logits.argmax(-1).view(2, 8, 8)).detach().requires_grad_()
    (expected,) = torch.autograd.grad(network.generator(codes).square().mean(), codes)
    (gradient,) = torch.autograd.grad(picture.square().mean(), feature)
    assert torch.allclose(gradient, expected, atol=1e-7)


def test_soft_is_the_gradient_of_the_mixture(x: Tensor) -> None:
    network = tiny(grad_mode="soft", temperature=2.0)
    picture, logits, _ = network(x)
    codes = network.quantize.look_up(logits.argmax(-1).view(2, 8, 8)).detach().requires_grad_()
    (at_codes,) = torch.autograd.grad(network.generator(codes).square().mean(), codes)
    mixed = (logits / 2).softmax(-1) @ network.quantize.embedding.weight
    (expected,) = torch.autograd.grad(mixed, logits, at_codes.flatten(2).transpose(1, 2), retain_graph=True)
    (gradient,) = torch.autograd.grad(picture.square().mean(), logits)
    assert torch.allclose(gradient, expected, atol=1e-8)


def test_a_picture_loss_trains_the_transformer_in_soft_only(x: Tensor) -> None:
    for mode, trained in (("official", False), ("ste", False), ("soft", True)):
        network = tiny(grad_mode=mode)
        network(x, w=0.5, adain=True)[0].square().mean().backward()
        assert (network.idx_pred_layer[1].weight.grad is not None) is trained


def test_it_learns(x: Tensor) -> None:
    network = tiny().train()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    target, losses = x.detach().clamp(-1, 1) * 0.5, []
    for _ in range(25):
        loss = (network(x, w=0.5, adain=True)[0] - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_mixed_features_are_cut_off_where_asked(x: Tensor) -> None:
    network = tiny(grad_mode="soft")
    whole, cut = input_gradient(network, x, w=1), None
    network.detach_skip = True
    cut = input_gradient(network, x, w=1)
    network.detach_skip = None
    network.grad_mode = "official"
    none = input_gradient(network, x, w=1)
    network.detach_skip = False
    skips = input_gradient(network, x, w=1)
    assert none is None
    assert whole is not None
    assert cut is not None
    assert skips is not None
    assert torch.allclose(whole, cut + skips, atol=1e-7)


def test_w_and_adain_can_be_set() -> None:
    restorer = build("codeformer", "zoo", **TINY, w=0.2)
    face = torch.rand(1, 3, 32, 32)
    network = restorer.network
    signal = face * 2 - 1
    assert torch.allclose(restorer(face) * 2 - 1, network(signal, w=0.2, adain=True)[0], atol=1e-5)
    network.w, network.adain = 1.0, False
    assert torch.allclose(restorer(face) * 2 - 1, network(signal, w=1.0)[0], atol=1e-5)


def test_the_first_stage_says_what_it_is(tmp_path: Path) -> None:
    options = {"img_size": 32, "nf": 8, "ch_mult": (1, 2, 2), "codebook_size": 16, "emb_dim": 8}
    torch.save({"params_ema": VQAutoEncoder(**options).state_dict()}, tmp_path / "vqgan.pth")  # type: ignore[arg-type]
    torch.save({"params_d": VQGANDiscriminator(width=4).state_dict()}, tmp_path / "d.pth")
    with pytest.raises(WeightsError, match=r"vqgan\.pth is the VQ auto-encoder of CodeFormer's first stage") as caught:
        load(tmp_path / "vqgan.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match=r"d\.pth is a PatchGAN discriminator"):
        load(tmp_path / "d.pth")


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match="halved 5 times"):
        build("codeformer", out_size=100)
    with pytest.raises(UsageError, match="connect_list holds sides out of 32, 16, 8, not"):
        build("codeformer", **TINY, connect_list=[64])
    with pytest.raises(UsageError, match="grad_mode is one of"):
        build("codeformer", **TINY, grad_mode="none")
    with pytest.raises(UsageError, match="fix_modules holds names out of encoder"):
        build("codeformer", **TINY, fix_modules=["decoder"])
