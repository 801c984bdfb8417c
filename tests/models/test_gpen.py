from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.errors import UsageError
from facefort.models import build, load
from facefort.models.blocks.stylegan2 import ConvLayer, ModulatedConv2d, StyledConv
from facefort.models.restorers.gpen import FullGenerator, detect

SMALL = {"size": 32, "style_dim": 16, "n_mlp": 2, "channel_multiplier": 1, "narrow": 1 / 32}

PUBLISHED = [
    ({}, 71_005_223),
    ({"size": 256, "channel_multiplier": 1, "narrow": 0.5}, 18_879_010),
    ({"size": 256}, 70_447_138),
    ({"size": 128, "channel_multiplier": 1, "narrow": 0.5}, 18_673_693),
    ({"size": 1024}, 71_210_540),
]


def small(**options: float) -> FullGenerator:
    """A little network whose biases and noise weights are not zero, so that every path counts."""
    torch.manual_seed(0)
    network = FullGenerator(**{**SMALL, **options}).eval()  # type: ignore[arg-type]
    for value in network.parameters():
        if value.ndim == 1:
            torch.nn.init.normal_(value, value.mean().item(), 0.5)
    return network


@pytest.mark.parametrize(("options", "count"), PUBLISHED)
def test_published_parameter_counts(options: dict[str, float], count: int) -> None:
    with torch.device("meta"):
        network = FullGenerator(**options)  # type: ignore[arg-type]
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_zoos_size() -> None:
    network = build("gpen", "zoo").network
    assert sum(p.numel() for p in network.parameters()) < 7e6


def test_published_keys() -> None:
    with torch.device("meta"):
        state = FullGenerator().state_dict()
    assert len(state) == 163
    for key, shape in {
        "generator.style.8.weight": (512, 512),
        "generator.input.input": (1, 512, 4, 4),
        "generator.conv1.conv.weight": (1, 512, 512, 3, 3),
        "generator.conv1.noise.weight": (1,),
        "generator.conv1.activate.bias": (1024,),
        "generator.to_rgb1.bias": (1, 3, 1, 1),
        "generator.convs.0.conv.weight": (1, 512, 1024, 3, 3),
        "generator.convs.0.conv.blur.kernel": (4, 4),
        "generator.convs.13.conv.modulation.weight": (128, 512),
        "generator.convs.13.conv.modulation.bias": (128,),
        "generator.to_rgbs.6.upsample.kernel": (4, 4),
        "generator.to_rgbs.6.conv.weight": (1, 3, 128, 1, 1),
        "ecd0.0.0.weight": (64, 3, 1, 1),
        "ecd0.0.1.bias": (64,),
        "ecd1.0.0.kernel": (4, 4),
        "ecd7.0.1.weight": (512, 512, 3, 3),
        "ecd7.0.2.bias": (512,),
        "final_linear.0.weight": (512, 8192),
    }.items():
        assert tuple(state[key].shape) == shape
    assert "generator.convs.1.conv.blur.kernel" not in state
    assert "generator.to_rgb1.upsample.kernel" not in state


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 256, "channel_multiplier": 1.0, "narrow": 0.5},
        {"size": 128, "style_dim": 128, "n_mlp": 4, "narrow": 0.25},
        {"size": 16, "narrow": 0.25, "isconcat": False},
        {"size": 64, "channel_multiplier": 0.7, "narrow": 0.3},
        {"size": 32, "narrow": 0.25, "blur_kernel": (1, 2, 1)},
    ],
)
def test_options_are_read_off_the_keys(options: dict[str, float]) -> None:
    with torch.device("meta"):
        network = FullGenerator(**options)  # type: ignore[arg-type]
    state = network.state_dict()
    found = detect(state)
    assert found is not None
    assert found["out_size"] == options.get("size", 512)
    with torch.device("meta"):
        again = FullGenerator(found.pop("out_size"), **found).state_dict()
    assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in state.items()}


def test_the_variant_with_a_larger_picture_is_another_architecture() -> None:
    with torch.device("meta"):
        state = FullGenerator(size=64, narrow=0.25).state_dict()
    assert detect({key: value for key, value in state.items() if not key.startswith("ecd4")}) is None


@pytest.mark.parametrize("wrapper", [None, "g_ema"])
def test_checkpoints_as_they_are_found(tmp_path: Path, wrapper: str | None) -> None:
    state = small().state_dict()
    torch.save({wrapper: state} if wrapper else state, tmp_path / "gpen.pth")
    restorer = load(tmp_path / "gpen.pth")
    assert restorer.architecture.name == "gpen"
    assert restorer.size == 32
    face = torch.rand(1, 3, 32, 32)
    assert torch.allclose(restorer(face), small()(face * 2 - 1)[0] / 2 + 0.5, atol=1e-5)


def filtered(x: Tensor, kernel: Tensor, pad: int) -> Tensor:
    n, c, height, width = x.shape
    flipped = kernel.flip(0, 1)[None, None]
    return F.conv2d(F.pad(x, [pad] * 4).reshape(n * c, 1, height + 2 * pad, width + 2 * pad), flipped).unflatten(
        0, (n, c)
    )[:, :, 0]


def reference_modulated_conv(layer: ModulatedConv2d, x: Tensor, style: Tensor) -> Tensor:
    """The definition: each picture is convolved with weights of its own, then blurred where it was doubled."""
    results = []
    modulation = style @ layer.modulation.weight.t() / math.sqrt(style.shape[1]) + layer.modulation.bias
    for picture, scale in zip(x, modulation, strict=True):
        weight = layer.weight[0] / math.sqrt(layer.weight[0, 0].numel()) * scale[:, None, None]
        if layer.demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.blur is None:
            results.append(F.conv2d(picture[None], weight, padding=layer.padding))
        else:
            doubled = F.conv_transpose2d(picture[None], weight.transpose(0, 1), stride=2)
            results.append(filtered(doubled, layer.blur.kernel, 1))
    return torch.cat(results)


@pytest.mark.parametrize("side", [4, 16])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_convolution_equals_its_definition(side: int, batch: int, upsample: bool, demodulate: bool) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(6, 5, 3, 8, demodulate, upsample)
    x, style = torch.randn(batch, 6, side, side), torch.randn(batch, 8)
    wanted = reference_modulated_conv(layer, x, style)
    bias = torch.randn(5)
    assert torch.allclose(layer(x, style), wanted, atol=1e-5)
    assert torch.allclose(layer(x, style, 1.5, bias), wanted * 1.5 + bias[:, None, None], atol=1e-5)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("isconcat", [False, True])
@pytest.mark.parametrize("upsample", [False, True])
def test_noise_goes_beside_or_onto_the_activations(grad: bool, isconcat: bool, upsample: bool) -> None:
    torch.manual_seed(0)
    layer = StyledConv(6, 4, 3, 8, upsample, isconcat=isconcat)
    torch.nn.init.normal_(layer.noise.weight)
    torch.nn.init.normal_(layer.activate.bias)
    x, style = torch.randn(2, 6, 8, 8), torch.randn(2, 8)
    plain = reference_modulated_conv(layer.conv, x, style)
    noise = torch.randn(plain.shape)
    entered = torch.cat([plain, layer.noise.weight * noise], 1) if isconcat else plain + layer.noise.weight * noise
    wanted = F.leaky_relu(entered + layer.activate.bias[:, None, None], 0.2) * math.sqrt(2)
    for layout in (torch.contiguous_format, torch.channels_last):
        with torch.set_grad_enabled(grad):
            got = layer(x.contiguous(memory_format=layout), style, noise.contiguous(memory_format=layout))
        assert torch.allclose(got, wanted, atol=1e-5)


def test_encoder_layer_equals_its_definition() -> None:
    torch.manual_seed(0)
    layer = ConvLayer(4, 6, 3, downsample=True)
    blur, convolution, activation = layer
    torch.nn.init.normal_(activation.bias)  # type: ignore[arg-type]
    x = torch.randn(2, 4, 16, 16)
    out = F.conv2d(filtered(x, blur.kernel, 2), convolution.weight / 6, stride=2)  # type: ignore[operator,arg-type]
    wanted = F.leaky_relu(out + activation.bias[:, None, None], 0.2) * math.sqrt(2)  # type: ignore[index]
    assert wanted.shape == (2, 6, 8, 8)
    assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_each_feature_enters_twice_and_the_small_ones_first() -> None:
    network = small()
    seen: list[Tensor] = []
    layers = [network.generator.conv1, *network.generator.convs]
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, given: seen.append(given[2]))
    features: list[Tensor] = []
    for level in range(4):
        network.get_submodule(f"ecd{level}").register_forward_hook(lambda m, i, out: features.append(out))
    network(torch.rand(1, 3, 32, 32))
    order = [3, 2, 2, 1, 1, 0, 0]  # the encoder's features from 32 px (0) to 4 px (3), as the seven layers get them
    assert [next(i for i, f in enumerate(features) if f is got) for got in seen] == order


def test_the_styles_options() -> None:
    network = small()
    x = torch.rand(2, 3, 32, 32)
    image, nothing = network(x)
    assert nothing is None
    same, latents = network(x, return_latents=True)
    assert torch.equal(image, same)
    assert latents is not None
    assert latents.shape == (2, 8, 16)
    mean = torch.zeros(1, 16)
    drawn = network(x, truncation=0.25, truncation_latent=mean, return_latents=True)[1]
    assert drawn is not None
    assert torch.allclose(drawn, latents * 0.25, atol=1e-6)
    skipped = network(x, input_is_latent=True, return_latents=True)[1]
    assert skipped is not None
    assert torch.allclose(network.generator.style(skipped[:, 0]), latents[:, 0], atol=1e-5)
    with pytest.raises(ValueError, match="truncation_latent"):
        network(x, truncation=0.5)


def test_the_gradient_equals_finite_differences() -> None:
    network = small(size=8).double()
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda faces: network(faces)[0], (x,), atol=1e-6, fast_mode=True)


def test_all_weights_learn() -> None:
    network = small(size=16).train()
    x, target = torch.rand(4, 3, 16, 16) * 2 - 1, torch.rand(4, 3, 4, 4) * 2 - 1
    target = F.interpolate(target, size=16, mode="bilinear")
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(25):
        loss = F.l1_loss(network(x)[0], target)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())
    assert losses[-1] < 0.5 * losses[0]


def test_a_pass_without_gradient_equals_one_with() -> None:
    network = small()
    x = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        quick = network(x)[0]
    assert torch.allclose(quick, network(x)[0], atol=1e-5)


def test_widths_halve_from_64_pixels_on() -> None:
    from facefort.models.blocks.stylegan2 import stylegan2_channels

    width = stylegan2_channels(2, 1)
    assert [width[2**i] for i in range(2, 12)] == [512, 512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert all(big <= 2 * half for half, big in pairwise([width[2**i] for i in range(11, 5, -1)]))


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match="power of two"):
        build("gpen", out_size=100)
    with pytest.raises(UsageError, match="unexpected keyword"):
        build("gpen", depth=3)
