"""Parts of vector-quantised networks: against their definitions, and the promises that every user of them relies on."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.critics import VQGANDiscriminator
from facefort.models.blocks.preactivation import GroupNorm, norm_swish_conv
from facefort.models.blocks.vq import (
    GRAD_MODES,
    AttnBlock,
    CrossAttnBlock,
    Downsample,
    ResBlock,
    Upsample,
    VectorQuantizer,
    adain,
    mixture,
    norm_groups,
    with_gradient_of,
)
from facefort.models.blocks.vqgan import VQAutoEncoder, read_options

TINY = {"img_size": 32, "nf": 8, "ch_mult": (1, 2, 2), "codebook_size": 16, "emb_dim": 8}


def kinds(keys: set[str], part: str) -> str:
    """Blocks of a flat list as letters: Convolution, Residual, Attention, Down or up, Norm."""
    marks = {"conv1.weight": "R", "q.weight": "A", "conv.weight": "D"}
    letters = ""
    for i in itertools.count():
        prefix = f"{part}.blocks.{i}."
        inside = {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
        if not inside:
            return letters
        letters += next((letter for mark, letter in marks.items() if mark in inside), "-")
    raise AssertionError


def test_published_autoencoder() -> None:
    with torch.device("meta"):
        network = VQAutoEncoder()
    assert sum(p.numel() for p in network.parameters()) == 63_740_099
    assert sum(p.numel() for p in network.encoder.parameters()) == 29_416_000
    assert sum(p.numel() for p in network.generator.parameters()) == 34_061_955
    keys = set(network.state_dict())
    assert kinds(keys, "encoder") == "-RRDRRDRRDRRDRRDRARARAR--"
    assert kinds(keys, "generator") == "-RARRARADRRDRRDRRDRRDRR--"
    assert "encoder.blocks.4.conv_out.weight" in keys  # 64 -> 128
    assert network.encoder.taps == [2, 5, 8, 11, 14, 18]
    assert network.generator.taps == [21, 18, 15, 12, 9, 6]


def test_published_discriminator() -> None:
    with torch.device("meta"):
        network = VQGANDiscriminator()
        assert network(torch.rand(1, 3, 512, 512)).shape == (1, 1, 30, 30)
    assert sum(p.numel() for p in network.parameters()) == 6_960_961
    assert {"main.0.weight", "main.3.running_mean", "main.14.bias"} <= set(network.state_dict())


@pytest.mark.parametrize(
    "options",
    [
        TINY,
        {**TINY, "img_size": 64, "ch_mult": (1, 1, 2, 4), "res_blocks": 1, "attn_resolutions": (32, 8)},
        {**TINY, "attn_resolutions": ()},
        {},
    ],
)
def test_options_of_an_autoencoder_are_read_off_its_keys(options: dict[str, object]) -> None:
    with torch.device("meta"):
        network = VQAutoEncoder(**options)  # type: ignore[arg-type]
    found = read_options(network.state_dict(), network.codes_per_side)
    assert found is not None
    assert {key: found[key] for key in options} == options
    with torch.device("meta"):
        again = VQAutoEncoder(**found)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


def test_an_autoencoder_draws_its_codes() -> None:
    torch.manual_seed(0)
    network = VQAutoEncoder(**TINY).eval()  # type: ignore[arg-type]
    x = torch.rand(2, 3, 32, 32)
    picture, loss, found = network(x)
    assert picture.shape == x.shape
    assert loss > 0
    assert 1 <= found.perplexity <= 16
    assert torch.equal(network.codes(x), found.indices)
    assert torch.allclose(network.decode(found.indices), picture, atol=1e-5)
    with pytest.raises(ValueError, match="halved 2 times"):
        VQAutoEncoder(**{**TINY, "img_size": 30})  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("frozen", [False, True])
def test_fused_operation_equals_its_definition(layout: torch.memory_format, frozen: bool) -> None:
    torch.manual_seed(0)
    norm, conv = nn.GroupNorm(4, 8, eps=1e-6).double(), nn.Conv2d(8, 6, 3, 1, 1).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    weights = [] if frozen else [*norm.parameters(), *conv.parameters()]
    for parameter in (*norm.parameters(), *conv.parameters()):
        parameter.requires_grad_(not frozen)
    x = torch.randn(2, 8, 6, 5).double().contiguous(memory_format=layout).requires_grad_()
    fused, plain = norm_swish_conv(x, norm, conv), conv(F.silu(norm(x)))
    assert torch.allclose(fused, plain, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(norm_swish_conv(x, norm, conv), plain, atol=1e-12)
    towards = torch.randn_like(plain)
    gradients = torch.autograd.grad((fused * towards).sum(), [x, *weights])
    expected = torch.autograd.grad((plain * towards).sum(), [x, *weights])
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(gradients, expected, strict=True))


def test_normalisation_equals_its_definition() -> None:
    torch.manual_seed(0)
    ours, plain = GroupNorm(2, 6, eps=1e-6).double(), nn.GroupNorm(2, 6, eps=1e-6).double()
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    plain.load_state_dict(ours.state_dict())
    x = (torch.randn(3, 6, 4, 5).double() * 2 + 3).requires_grad_()
    towards = torch.randn_like(x)
    gradients = torch.autograd.grad((ours(x) * towards).sum(), [x, ours.weight, ours.bias])
    expected = torch.autograd.grad((plain(x) * towards).sum(), [x, plain.weight, plain.bias])
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(gradients, expected, strict=True))
    with torch.no_grad():
        assert torch.equal(ours(x), plain(x))


def test_bfloat16_gradients_are_those_of_float32_but_for_rounding() -> None:
    torch.manual_seed(0)
    norm, conv = nn.GroupNorm(4, 16, eps=1e-6), nn.Conv2d(16, 16, 3, 1, 1)
    x = torch.randn(2, 16, 24, 24).contiguous(memory_format=torch.channels_last)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        z = x.to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            out = norm_swish_conv(z, norm, conv)
        assert out.dtype is dtype
        gradients.append(torch.autograd.grad(out.float().square().mean(), [z, norm.weight, conv.weight, conv.bias]))
    for exact, rough in zip(*gradients, strict=True):
        assert (exact - rough).norm() < 0.02 * exact.norm()


def test_the_input_survives_where_no_gradient_is_kept() -> None:
    norm, conv = nn.GroupNorm(1, 2), nn.Conv2d(2, 2, 3, 1, 1)
    x = torch.randn(1, 2, 4, 4)
    before = x.clone()
    with torch.no_grad():
        norm_swish_conv(x, norm, conv)
        ResBlock(2, 2, 1)(x)
    assert torch.equal(x, before)


def test_a_residual_block_keeps_two_maps_for_the_backward_pass() -> None:
    block = ResBlock(8, 8, 2).requires_grad_(False)
    x = torch.randn(1, 8, 16, 16, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        block(x)
    assert sum(t.numel() == x.numel() for t in kept) == 2


def test_shortcuts_have_the_name_that_the_method_gives_them() -> None:
    for name in ("conv_out", "nin_shortcut", "shortcut_conv"):
        block = ResBlock(4, 8, 2, name)
        assert f"{name}.weight" in block.state_dict()
        x = torch.randn(1, 4, 5, 5)
        inner = block.conv2(F.silu(block.norm2(block.conv1(F.silu(block.norm1(x))))))
        assert torch.allclose(block(x), inner + block.get_submodule(name)(x), atol=1e-6)
    assert len(ResBlock(4, 4, 2).state_dict()) == 8


def reference_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    n, c, h, w = q.shape
    q, k, v = (x.reshape(n, heads, c // heads, h * w) for x in (q, k, v))
    weights = (torch.einsum("nhci,nhcj->nhij", q, k) * (c // heads) ** -0.5).softmax(-1)
    return torch.einsum("nhij,nhcj->nhci", weights, v).reshape(n, c, h, w)


def test_attention_equals_its_definition() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 8, 3, 4), torch.randn(2, 8, 3, 4)
    alone = AttnBlock(8, 2)
    h = alone.norm(x)
    expected = x + alone.proj_out(reference_attention(alone.q(h), alone.k(h), alone.v(h), 1))
    assert torch.allclose(alone(x), expected, atol=1e-5)
    cross = CrossAttnBlock(8, 4, 2)
    h, asking = cross.norm1(x), cross.norm2(y)
    expected = x + cross.proj_out(reference_attention(cross.q(asking), cross.k(h), cross.v(h), 4))
    assert torch.allclose(cross(x, y), expected, atol=1e-5)
    expected = x + cross.proj_out(reference_attention(cross.q(h), cross.k(h), cross.v(h), 4))
    assert torch.allclose(cross(x), expected, atol=1e-5)
    with pytest.raises(ValueError, match="3 heads cannot share 8 channels"):
        CrossAttnBlock(8, 3)


def test_resampling_equals_its_definition() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 6)
    up, down = Upsample(4), Downsample(4)
    assert torch.allclose(up(x), up.conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3)), atol=1e-5)
    padded = torch.zeros(2, 4, 7, 7)
    padded[:, :, :6, :6] = x
    assert torch.allclose(down(x), down.conv(padded))


def test_the_nearest_code_and_its_losses() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(7, 3)
    nn.init.normal_(quantizer.embedding.weight)
    z = torch.randn(2, 3, 4, 5)
    quantised, loss, found = quantizer(z)
    vectors = z.permute(0, 2, 3, 1).reshape(-1, 3)
    distances = torch.cdist(vectors, quantizer.embedding.weight) ** 2
    nearest = distances.argmin(1)
    assert torch.equal(found.indices.flatten(), nearest)
    assert torch.allclose(found.distances.reshape(-1, 7), distances, atol=1e-4)
    assert torch.equal(quantised, quantizer.look_up(found.indices))
    error = (quantised - z).square().mean()
    assert torch.allclose(loss, error * 1.25)
    share = torch.bincount(nearest, minlength=7) / 40
    entropy = -(share[share > 0] * share[share > 0].log()).sum()
    assert torch.allclose(found.perplexity, entropy.exp(), atol=1e-3)


def test_beta_weights_the_term_that_the_variant_says() -> None:
    for legacy, weights in ((True, (1.0, 0.25)), (False, (0.25, 1.0))):
        quantizer = VectorQuantizer(4, 3, beta=0.25, legacy=legacy)
        z = torch.randn(1, 3, 2, 2, requires_grad=True)
        quantised, loss, _ = quantizer(z)
        to_z, to_codes = torch.autograd.grad(loss, [z, quantizer.embedding.weight])
        difference = 2 * (z - quantised).detach() / z.numel()
        assert torch.allclose(to_z, weights[0] * difference)
        assert torch.allclose(to_codes.sum(0), -weights[1] * difference.sum((0, 2, 3)), atol=1e-6)


def test_gradient_modes_change_the_gradient_and_nothing_else() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(5, 3, temperature=2.0)
    nn.init.normal_(quantizer.embedding.weight)
    z = torch.randn(1, 3, 2, 2, requires_grad=True)
    towards = torch.randn_like(z)
    values, gradients = [], {}
    for mode in GRAD_MODES:
        quantizer.grad_mode = mode
        quantised = quantizer(z)[0]
        values.append(quantised)
        (gradients[mode],) = torch.autograd.grad((quantised * towards).sum(), z)
    assert all(torch.equal(value, values[0]) for value in values)
    assert torch.equal(gradients["official"], towards)
    assert torch.equal(gradients["ste"], towards)
    vectors = z.permute(0, 2, 3, 1)
    distances = (vectors[..., None, :] - quantizer.embedding.weight).square().sum(-1)
    soft = ((-distances / 2).softmax(-1) @ quantizer.embedding.weight).permute(0, 3, 1, 2)
    (expected,) = torch.autograd.grad((soft * towards).sum(), z)
    assert torch.allclose(gradients["soft"], expected, atol=1e-5)


def test_an_unknown_gradient_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="official, ste, soft, not 'hard'"):
        VectorQuantizer(4, 3, grad_mode="hard")


def test_values_of_one_gradient_of_another() -> None:
    values, path = torch.randn(3), torch.randn(3, requires_grad=True)
    out = with_gradient_of(values, path * 2)
    assert torch.equal(out, values)
    assert torch.equal(torch.autograd.grad(out.sum(), path)[0], torch.full((3,), 2.0))
    assert torch.allclose(mixture(torch.zeros(2, 4), torch.eye(4)), torch.full((2, 4), 0.25))


def test_adain_takes_over_mean_and_deviation() -> None:
    torch.manual_seed(0)
    content, style = torch.randn(2, 3, 8, 8) * 4 + 1, torch.randn(2, 3, 8, 8) - 2
    out = adain(content, style)
    assert torch.allclose(out.mean((2, 3)), style.mean((2, 3)), atol=1e-5)
    assert torch.allclose(out.std((2, 3)), style.std((2, 3)), atol=1e-4)


def test_narrow_networks_have_more_than_one_channel_in_a_group() -> None:
    assert [norm_groups(width) for width in (3, 8, 32, 64, 128)] == [1, 2, 8, 32, 32]
