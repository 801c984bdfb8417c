from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.errors import ModelError, UsageError
from facefort.models import build
from facefort.models.blocks.stylegan2_clean import ModulatedConv2d, StyleConv
from facefort.models.restorers.gfpgan import GFPGANv1Clean, detect

SMALL = {"out_size": 32, "num_style_feat": 16, "num_mlp": 0, "narrow": 0.0625, "channel_multiplier": 1}

PUBLISHED = [
    ({}, 86_444_252),
    ({"channel_multiplier": 1}, 76_207_244),
    ({"out_size": 256}, 81_882_484),
    ({"out_size": 256, "channel_multiplier": 1}, 71_887_316),
    ({"out_size": 256, "channel_multiplier": 1, "narrow": 0.5}, 27_853_316),
    ({"out_size": 128, "channel_multiplier": 1}, 67_325_548),
]


@pytest.mark.parametrize(("options", "count"), PUBLISHED)
def test_published_parameter_counts(options: dict[str, float], count: int) -> None:
    with torch.device("meta"):
        network = GFPGANv1Clean(**options)  # type: ignore[arg-type]
    assert sum(p.numel() for p in network.parameters()) == count


def test_published_keys() -> None:
    with torch.device("meta"):
        network = GFPGANv1Clean()
    keys = network.state_dict()
    assert len(keys) == 285
    for key in (
        "conv_body_down.6.skip.weight",
        "final_linear.bias",
        "stylegan_decoder.style_mlp.15.weight",
        "stylegan_decoder.constant_input.weight",
        "stylegan_decoder.style_conv1.modulated_conv.modulation.bias",
        "stylegan_decoder.style_convs.13.weight",
        "stylegan_decoder.to_rgbs.6.bias",
        "stylegan_decoder.noises.noise14",
        "condition_scale.6.2.weight",
        "condition_shift.0.0.bias",
        "toRGB.6.weight",
    ):
        assert key in keys
    decoder = sum(p.numel() for name, p in network.named_parameters() if name.startswith("stylegan_decoder"))
    assert decoder == 30_276_583


@pytest.mark.parametrize(
    "options",
    [
        {"out_size": 512},
        {"out_size": 128, "channel_multiplier": 1.0, "narrow": 0.375, "num_style_feat": 64, "num_mlp": 0},
        {"out_size": 32, "narrow": 0.125, "different_w": False},
        {"out_size": 64, "sft_half": False, "channel_multiplier": 0.5},
    ],
)
def test_options_are_read_off_the_keys(options: dict[str, float]) -> None:
    with torch.device("meta"):
        network = GFPGANv1Clean(**options)  # type: ignore[arg-type]
    found = detect(network.state_dict())
    assert found is not None
    for key, value in options.items():
        if key != "channel_multiplier" or options["out_size"] > 32:
            assert found[key] == value
    with torch.device("meta"):
        again = GFPGANv1Clean(**found)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


def reference_modulated_conv(layer: ModulatedConv2d, x: Tensor, style: Tensor) -> Tensor:
    """The definition: a weight of its own for every picture, applied as a grouped convolution."""
    n, c = x.shape[:2]
    scale = layer.modulation(style).view(n, 1, c, 1, 1)
    weight = layer.weight * scale
    if layer.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    if layer.upsample:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    out = F.conv2d(x.reshape(1, n * c, *x.shape[2:]), weight.flatten(0, 1), padding=layer.padding, groups=n)
    return out.view(n, -1, *out.shape[2:])


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_convolution_equals_its_definition(upsample: bool, demodulate: bool) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(6, 5, 3, 8, demodulate, upsample)
    x, style = torch.randn(3, 6, 8, 8), torch.randn(3, 8)
    assert torch.allclose(layer(x, style), reference_modulated_conv(layer, x, style), atol=1e-5)


def test_style_convolution_adds_noise_bias_and_gain() -> None:
    torch.manual_seed(0)
    layer = StyleConv(4, 4, 8)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x, style, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 8), torch.randn(1, 1, 8, 8)
    out = reference_modulated_conv(layer.modulated_conv, x, style) * 2**0.5 + layer.weight * noise + layer.bias
    for layout in (torch.contiguous_format, torch.channels_last):
        got = layer(x.contiguous(memory_format=layout), style, noise)
        assert torch.allclose(got, F.leaky_relu(out, 0.2), atol=1e-5)


def test_noise_is_off_unless_asked_for() -> None:
    restorer = build("gfpgan", **SMALL)
    for name, value in restorer.network.named_parameters():
        if name.endswith("conv1.weight") or (".style_convs." in name and value.numel() == 1):
            torch.nn.init.ones_(value)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(restorer.network(x)[0], restorer.network(x)[0])
    assert not torch.equal(restorer.network(x, randomize_noise=True)[0], restorer.network(x, randomize_noise=True)[0])


def test_auxiliary_pictures_and_latents() -> None:
    network = build("gfpgan", **SMALL).network
    x = torch.rand(2, 3, 32, 32)
    image, pictures = network(x)
    assert [p.shape[-1] for p in pictures] == [8, 16, 32]
    assert image.shape == x.shape
    assert network(x, return_latents=True)[1].shape == (2, 8, 16)
    assert network(x, return_rgb=False)[1] == []


def test_a_face_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match=r"takes faces of shape \(N, 3, 32, 32\)"):
        build("gfpgan", **SMALL)(torch.rand(1, 3, 64, 64))


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match="power of two"):
        build("gfpgan", out_size=100)
    with pytest.raises(UsageError, match="unexpected keyword"):
        build("gfpgan", depth=3)
