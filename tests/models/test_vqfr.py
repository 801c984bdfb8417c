from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facefort.errors import UsageError, WeightsError
from facefort.models import build, load
from facefort.models.blocks.vq import norm_groups
from facefort.models.blocks.vqfr import Codebook, GroupNorm
from facefort.models.parts.vqgan_v1 import VQGANv1
from facefort.models.parts.vqgan_v2 import VQGANv2
from facefort.models.restorers import RESTORERS, vqfr, vqfr_v2
from facefort.models.restorers.vqfr import VQFRv1
from facefort.models.restorers.vqfr_v2 import VQFRv2

SMALL = {"out_size": 64, "base_channels": 8, "channel_multipliers": (1, 2, 4), "num_code": 16, "code_dim": 8}
SMALL_WARPING = {**SMALL, "inpfeat_dim": 4, "deformable_groups": 2}

PUBLISHED = [
    (VQGANv1, 52_781_827, 275),
    (VQFRv1, 76_563_583, 459),
    (VQGANv2, 63_740_099, 329),
    (VQFRv2, 83_486_539, 503),
]

SKELETON_V1 = (
    "inpfeat_extraction.conv.weight",
    "encoder.conv_in.bias",
    "encoder.encoder_dict.Level_32.1.norm2.weight",
    "encoder.pre_downsample_dict.Level_2.conv.weight",
    "encoder.enc_convout_dict.Level_32.2.bias",
    "quantizer.quantize_dict.Level_32.quant_conv.weight",
    "quantizer.quantize_dict.Level_32.post_quant_conv.bias",
    "quantizer.quantize_dict.Level_32.embedding.weight",
    "decoder.decoder_dict.Level_1.2.conv2.weight",
    "decoder.pre_upsample_dict.Level_16.conv.bias",
    "decoder.conv_out.2.weight",
    "main_decoder.align_func_dict.Level_2.downsample.conv.weight",
    "main_decoder.align_func_dict.Level_32.offset_conv1.6.weight",
    "main_decoder.align_func_dict.Level_1.offset_conv2.1.bias",
    "main_decoder.align_func_dict.Level_8.dcn.conv_offset.weight",
    "main_decoder.decoder_dict.Level_16.shortcut_conv.weight",
    "main_decoder.pre_upsample_dict.Level_1.conv.weight",
    "main_decoder.conv_out_1.0.weight",
    "main_decoder.conv_out.0.bias",
)
SKELETON_V2 = (
    "encoder.blocks.5.4.proj_out.weight",
    "encoder.blocks.3.1.residual_func.weight",
    "encoder.mid_blocks.1.q.weight",
    "encoder.conv_out.2.weight",
    "feat2index.0.weight",
    "feat2index.1.bias",
    "decoder.blocks.1.0.conv.weight",
    "main_branch.align_func_dict.Level_32.dcn.weight",
    "main_branch.pre_upsample_dict.Level_16.1.weight",
    "main_branch.decoder_dict.Level_4.residual_func.bias",
    "inpfeat_extraction.weight",
    "quantizer.embedding.weight",
)


def small(version: int, **options: Any) -> Any:
    torch.manual_seed(0)
    network = (VQFRv1 if version == 1 else VQFRv2)(**SMALL_WARPING, **options)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.2 * torch.randn_like(value))
    return network.eval()


def picture(side: int = 64, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def empty(network_class: type[nn.Module], **options: Any) -> nn.Module:
    with torch.device("meta"):
        return network_class(**options)


# What the published networks are


@pytest.mark.parametrize(("network_class", "parameters", "tensors"), PUBLISHED)
def test_published_parameter_counts(network_class: type[nn.Module], parameters: int, tensors: int) -> None:
    network = empty(network_class)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors


def test_published_parts_of_version_1() -> None:
    network = empty(VQFRv1)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert sizes == {
        "encoder": 22_880_640,
        "decoder": 29_376_131,
        "main_decoder": 23_780_860,
        "quantizer": 525_056,
        "inpfeat_extraction": 896,
    }


@pytest.mark.parametrize(("network_class", "skeleton"), [(VQFRv1, SKELETON_V1), (VQFRv2, SKELETON_V2)])
def test_published_keys(network_class: type[nn.Module], skeleton: tuple[str, ...]) -> None:
    assert set(skeleton) <= set(empty(network_class).state_dict())


@pytest.mark.parametrize("name", ["vqfr", "vqfr_v2"])
def test_the_zoo_preset_is_small(name: str) -> None:
    architecture = RESTORERS.get(name)
    with torch.device("meta"):
        network = architecture.build(**architecture.presets["zoo"])
    assert sum(p.numel() for p in network.parameters()) < 7_000_000


def drawn(network: nn.Module) -> nn.Module:
    """Weights as `benchmarks/parity_vqfr.py` draws them."""
    network = network.to_empty(device="cpu").eval()
    for name, value in network.state_dict().items():
        normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(value.shape, np.float32)
        if name.endswith("bias"):
            numbers = 0.1 * normal
        elif value.ndim == 1:
            numbers = 1 + 0.1 * normal
        else:
            numbers = normal if "embedding" in name else normal / np.sqrt(value[0].numel(), dtype=np.float32)
        value.copy_(torch.from_numpy(numbers))
    return network


@pytest.mark.parametrize(
    ("name", "network_class", "options", "arguments"),
    [
        ("vqfr_v1-64x64", VQFRv1, {}, {"return_keys": ("dec", "feat_dict")}),
        ("vqfr_v2-64x64-0.5", VQFRv2, {"grad_mode": "official"}, {"fidelity_ratio": 0.5}),
    ],
)
def test_values_and_gradients_are_those_of_the_official_code(
    name: str, network_class: type[nn.Module], options: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """`vqfr_official.npz` holds every fourth pixel of what the official classes gave in that benchmark."""
    stored = np.load(Path(__file__).parent / "vqfr_official.npz")
    network = drawn(empty(network_class, **options))
    x = torch.from_numpy(stored["picture"]).requires_grad_()
    found = network(x, **arguments)
    (gradient,) = torch.autograd.grad(found["main_dec"].square().mean(), x)
    found["gradient"] = gradient / gradient.abs().max()
    wanted = {key.removeprefix(f"{name}/"): stored[key] for key in stored.files if key.startswith(name)}
    assert {"main_dec", "gradient"} < set(wanted)
    for key, value in wanted.items():
        got = found[key].detach()[:, :, ::4, ::4]
        torch.testing.assert_close(got, torch.from_numpy(value), atol=1e-4, rtol=0)


# What they return


def test_version_1_returns_both_pictures_by_their_official_names() -> None:
    network, x = small(1), picture()
    assert set(network(x)) == {"dec", "main_dec"}
    assert set(network(x, return_keys="dec")) == {"dec", "main_dec"}
    (level,) = network(x, return_keys=("feat_dict",))["feat_dict"].items()
    assert level[0] == "Level_4"
    assert {key: value.shape for key, value in level[1].items()} == {
        "z_conv": (1, 8, 16, 16),
        "z_quant_before_conv": (1, 8, 16, 16),
    }
    alone = network(x, return_keys=("main_dec",), fidelity_ratio=0.3)
    assert torch.equal(alone["main_dec"], network(x)["main_dec"])


def test_version_2_returns_its_parts_by_their_official_names() -> None:
    network, x = small(2), picture()
    shapes = {key: value.shape for key, value in network(x).items()}
    pictures = {"texture_dec": (1, 3, 64, 64), "main_dec": (1, 3, 64, 64)}
    assert shapes == {"enc_feat": (1, 8, 16, 16), "quant_logit": (1, 256, 16), **pictures}
    nearest = small(2, code_selection_mode="Nearest")
    assert "quant_logit" not in nearest(x)


def test_the_fidelity_ratio_weights_the_warped_feature() -> None:
    network, x = small(2), picture()
    with torch.no_grad():
        none, tenth, whole = (network(x, fidelity_ratio=ratio) for ratio in (0.0, 0.1, 1.0))
    assert torch.equal(none["main_dec"], none["texture_dec"])
    assert torch.equal(network(x, fidelity_ratio=0.0)["main_dec"], none["main_dec"])
    away = [(found["main_dec"] - none["main_dec"]).abs().mean() for found in (tenth, whole)]
    assert 0 < away[0] < away[1]
    assert torch.equal(network(x)["main_dec"], whole["main_dec"])


def test_a_restorer_runs_version_2_with_the_ratio_of_the_network() -> None:
    restorer = build("vqfr_v2", **SMALL_WARPING, fidelity_ratio=0.25)
    x = picture() / 2 + 0.5
    wanted = restorer.network(x * 2 - 1, fidelity_ratio=0.25)["main_dec"] / 2 + 0.5
    torch.testing.assert_close(restorer(x), wanted)
    restorer.network.fidelity_ratio = 0.0
    assert not torch.allclose(restorer(x), wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["vqfr", "vqfr_v2"])
def test_training_asks_the_texture_branch_for_the_clean_face(name: str) -> None:
    restorer = build(name, **SMALL_WARPING)
    x = picture() / 2 + 0.5
    done = restorer.training_pass(x, x.flip(3))
    torch.testing.assert_close(done.restored, restorer(x))
    branch = restorer.network(x * 2 - 1)["dec" if name == "vqfr" else "texture_dec"]
    torch.testing.assert_close(done.own["texture"], (branch - (x.flip(3) * 2 - 1)).abs().mean())


@pytest.mark.parametrize("version", [1, 2])
def test_other_sizes(version: int) -> None:
    network = small(version)
    wide = torch.cat([picture(32), picture(32)], 3)
    assert network(wide)["main_dec"].shape == (1, 3, 32, 64)
    with pytest.raises(ValueError, match="multiples of 4 px"):
        network(picture(30))


@pytest.mark.parametrize("network_class", [VQGANv1, VQGANv2])
def test_the_codebook_models_reproduce_and_tell_their_loss(network_class: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network, x = network_class(**SMALL), picture()
    found, loss = network(x)
    assert found["dec"].shape == x.shape
    (gradient,) = torch.autograd.grad(
        loss, network.get_parameter(next(n for n, _ in network.named_parameters() if "embedding" in n))
    )
    assert gradient.abs().sum() > 0
    assert "dec" not in network(x, return_keys=())[0]
    if network_class is VQGANv2:
        assert found["quant_index"].shape == (1, 256)
        assert torch.equal(found["quant_feat"], network.quantizer.codes(found["quant_index"].view(1, 16, 16)))


def test_the_codes_are_the_nearest_and_the_loss_is_the_official_one() -> None:
    torch.manual_seed(0)
    book = Codebook(7, 3)
    torch.nn.init.normal_(book.embedding.weight)
    z = torch.randn(2, 3, 4, 5)
    codes, loss, indices = book(z)
    vectors = z.permute(0, 2, 3, 1).reshape(-1, 3)
    distances = torch.cdist(vectors, book.embedding.weight)
    assert torch.equal(indices.flatten(), distances.argmin(1))
    torch.testing.assert_close(loss, 1.25 * distances.min(1).values.square().mean() / 3)
    assert codes.shape == z.shape


def test_warm_up_leaves_the_vectors_as_they_are() -> None:
    network = VQGANv1(**SMALL, warmup_iters=10)
    found, loss = network(picture(), iters=9, return_keys=("feat_dict",))
    (vectors,) = found["feat_dict"].values()
    assert torch.equal(vectors["z_conv"], vectors["z_quant_before_conv"])
    assert loss == 0
    for after in ({"iters": 10}, {}):
        network.train("iters" in after)
        found, loss = network(picture(), return_keys=("feat_dict",), **after)
        (vectors,) = found["feat_dict"].values()
        assert not torch.equal(vectors["z_conv"], vectors["z_quant_before_conv"])
        assert loss > 0


def test_frozen_keys_do_not_train() -> None:
    for network in (VQFRv1(**SMALL_WARPING, fix_keys=("embedding",)), VQFRv2(**SMALL_WARPING, fix_keys=("embedding",))):
        fixed = [name for name, value in network.named_parameters() if not value.requires_grad]
        assert [name.rsplit(".", 2)[1] for name in fixed] == ["embedding"]


def test_normalisation_is_exact_on_large_maps() -> None:
    torch.manual_seed(0)
    norm = GroupNorm(2, 8, eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    given = [value.detach().requires_grad_() for value in (torch.randn(2, 8, 150, 131) + 1, *norm.parameters())]
    given[0] = given[0].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    exact = [value.detach().double().requires_grad_() for value in given]
    got = torch.func.functional_call(norm, dict(zip(("weight", "bias"), given[1:], strict=True)), given[0])
    wanted = nn.functional.group_norm(exact[0], 2, exact[1], exact[2], 1e-6)
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got.double(), wanted, atol=3e-6, rtol=0)
    gradients = torch.autograd.grad(got.pow(3).mean(), given)
    for gradient, other in zip(gradients, torch.autograd.grad(wanted.pow(3).mean(), exact), strict=True):
        torch.testing.assert_close(gradient.double(), other, atol=1e-4 * float(other.abs().max()), rtol=0)


# Gradients


def gradient_of(network: nn.Module, x: Tensor, **arguments: float) -> Tensor | None:
    x = x.clone().requires_grad_()
    out = network(x, **arguments)["main_dec"].square().mean()
    return torch.autograd.grad(out, x, allow_unused=True)[0] if out.requires_grad else None


def test_values_are_the_same_in_every_gradient_mode() -> None:
    x = picture(batch=2)
    found = []
    for mode in ("official", "ste", "soft"):
        network = small(2, grad_mode=mode)
        for trained in (True, False):
            found.append(network.requires_grad_(trained)(x.requires_grad_(trained), fidelity_ratio=0.5))
    for other in found[1:]:
        assert all(torch.equal(other[key], found[0][key]) for key in found[0])
    first, second = (small(1, grad_mode=mode)(x)["main_dec"] for mode in ("official", "soft"))
    assert torch.equal(first, second)


def test_the_official_gradient_of_version_2_passes_one_convolution_only() -> None:
    """The trap: nothing comes from the encoder, and where the input does not mix in, nothing comes at all."""
    network, x = small(2, grad_mode="official"), picture()
    whole = gradient_of(network, x)
    assert whole is not None
    assert (whole != 0).float().mean() > 0.9
    grads = torch.autograd.grad(network(x)["main_dec"].square().mean(), list(network.parameters()), allow_unused=True)
    used = {
        name.split(".")[0]
        for (name, _), grad in zip(network.named_parameters(), grads, strict=True)
        if grad is not None
    }
    assert used == {"main_branch", "inpfeat_extraction", "decoder"}
    decoder = [
        name
        for (name, _), grad in zip(network.named_parameters(), grads, strict=True)
        if name.startswith("decoder") and grad is not None
    ]
    assert all(name.startswith("decoder.conv_out") for name in decoder)
    nn.init.zeros_(network.inpfeat_extraction.weight)
    cut = gradient_of(network, x)
    assert cut is not None
    assert not cut.any()
    none = gradient_of(small(2, grad_mode="official"), x, fidelity_ratio=0.0)
    assert none is not None
    assert not none.any()


@pytest.mark.parametrize(("mode", "classifier"), [("ste", False), ("soft", True)])
def test_the_other_gradients_of_version_2_come_through_the_codes(mode: str, classifier: bool) -> None:
    network, x = small(2, grad_mode=mode), picture()
    nn.init.zeros_(network.inpfeat_extraction.weight)
    for ratio in (0.0, 1.0):
        gradient = gradient_of(network, x, fidelity_ratio=ratio)
        assert gradient is not None
        assert (gradient != 0).float().mean() > 0.9
    network.zero_grad()
    network(x)["main_dec"].square().mean().backward()
    assert network.encoder.conv_in.weight.grad.abs().sum() > 0
    assert network.decoder.conv_in.weight.grad.abs().sum() > 0
    assert (network.feat2index[1].weight.grad is not None) == classifier


def test_the_mode_can_be_changed_later() -> None:
    network, x = small(2), picture()
    assert network.grad_mode == "soft"
    gradients = {}
    for mode in ("official", "ste", "soft"):
        network.grad_mode = mode
        gradients[mode] = gradient_of(network, x)
    assert not torch.equal(gradients["ste"], gradients["soft"])
    assert not torch.equal(gradients["official"], gradients["soft"])
    with pytest.raises(ValueError, match="grad_mode is one of official, ste, soft"):
        network.grad_mode = "hard"


def test_version_1_passes_gradients_straight_through_as_the_official_code_does() -> None:
    network, x = small(1), picture()
    with torch.no_grad():
        network.inpfeat_extraction.conv.weight.zero_()
        network.main_decoder.conv_out[0].weight[:, -3:].zero_()  # the input's own channels
    gradient = gradient_of(network, x)
    assert gradient is not None
    assert (gradient != 0).float().mean() > 0.9


# What checkpoints are


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vqfr", {}),
        ("vqfr_v2", {}),
        ("vqfr", {**SMALL_WARPING, "encoder_num_blocks": 1, "decoder_num_blocks": 4}),
        ("vqfr_v2", {**SMALL_WARPING, "num_enc_blocks": 3, "num_dec_blocks": 1, "use_enc_attention": False}),
        ("vqfr_v2", {**SMALL_WARPING, "use_dec_attention": False, "code_selection_mode": "Nearest"}),
        ("vqfr", {**SMALL_WARPING, "base_channels": 4, "channel_multipliers": (3, 2, 5, 1), "out_size": 128}),
    ],
)
def test_options_are_read_off_the_keys(name: str, options: dict[str, Any]) -> None:
    architecture = RESTORERS.get(name)
    with torch.device("meta"):
        network = architecture.build(**options)
    state = network.state_dict()
    found = architecture.detect(state)
    assert found is not None
    assert all(found[key] == value for key, value in options.items())
    assert found["out_size"] == options.get("out_size", 512)
    with torch.device("meta"):
        again = architecture.build(**found)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in state.items()}
    others = [entry.name for entry in RESTORERS if entry.name != name]
    assert all(RESTORERS.get(other).detect(state) is None for other in others)


@pytest.mark.parametrize(("module", "network_class"), [(vqfr, VQGANv1), (vqfr_v2, VQGANv2)])
def test_options_of_a_codebook_model_are_read_off_its_keys(module: Any, network_class: type[nn.Module]) -> None:
    for given in ({}, SMALL):
        state = empty(network_class, **given).state_dict()
        assert module.detect(state) is None
        options = module.detect_codebook(state)
        again = empty(network_class, **options).state_dict()
        assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in state.items()}
    assert module.detect_codebook({"quantizer.embedding.weight": torch.zeros(2, 2)}) is None
    assert module.explain({"a": torch.zeros(1)}) is None


@pytest.mark.parametrize(
    ("network_class", "said"), [(VQGANv1, "VQGAN v1, the codebook model"), (VQGANv2, "VQGAN v2, the codebook model")]
)
def test_a_codebook_model_given_as_a_restorer_is_named(
    tmp_path: Path, network_class: type[nn.Module], said: str
) -> None:
    torch.save({"params": network_class(**SMALL).state_dict()}, tmp_path / "codebook.pth")
    with pytest.raises(WeightsError, match=said) as caught:
        load(tmp_path / "codebook.pth")
    assert "\n" not in str(caught.value)
    assert "codebook.pth" in str(caught.value)


@pytest.mark.parametrize("version", [1, 2])
def test_a_checkpoint_under_the_official_key_loads(tmp_path: Path, version: int) -> None:
    network, x = small(version), picture()
    torch.save({"params": network.state_dict()}, tmp_path / "net_sr.pth")
    restorer = load(tmp_path / "net_sr.pth")
    assert restorer.size == 64
    torch.testing.assert_close(restorer.network(x)["main_dec"], network(x)["main_dec"])


@pytest.mark.parametrize("name", ["vqfr", "vqfr_v2"])
def test_impossible_options_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="multiple of 32, not 100"):
        build(name, out_size=100)
    with pytest.raises(UsageError, match="grad_mode is one of"):
        build(name, **SMALL_WARPING, grad_mode="hard")
    with pytest.raises(UsageError, match="unexpected keyword"):
        build(name, **SMALL_WARPING, depth=3)


def test_selection_mode_and_groups() -> None:
    with pytest.raises(UsageError, match="Predict or Nearest"):
        build("vqfr_v2", **SMALL_WARPING, code_selection_mode="Guess")
    assert (norm_groups(128), norm_groups(64), norm_groups(24), norm_groups(2)) == (32, 32, 6, 1)
