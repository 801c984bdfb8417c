from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.errors import UsageError
from facefort.models import build, load
from facefort.models.blocks.spade import SPADE, BatchNorm, PictureNorm, SimplifiedLIP
from facefort.models.blocks.spectral import SpectralConv2d
from facefort.models.restorers.hifacegan import HiFaceGAN, detect

PUBLISHED = [
    ({"ngf": 64}, 130_568_012),
    ({"ngf": 48}, 79_873_084),
    ({"ngf": 64, "variant": "lipspade"}, 120_269_708),
    ({"ngf": 48, "variant": "lipspade"}, 72_223_660),
]


def small(variant: str = "hifacegan", norm: str = "batch", **options: object) -> HiFaceGAN:
    torch.manual_seed(0)
    network = HiFaceGAN(4, variant, norm, widest=4, **options)  # type: ignore[arg-type]
    for layer in network.to_rgbs:
        layer.weight.data.mul_(8)  # fresh weights make a nearly grey picture
    return network.eval()


def faces(n: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=64, mode="bilinear") * 2 - 1


@pytest.mark.parametrize(("options", "count"), PUBLISHED)
def test_published_parameter_counts(options: dict[str, object], count: int) -> None:
    with torch.device("meta"):
        network = HiFaceGAN(**options)  # type: ignore[arg-type]
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_zoos_size() -> None:
    with torch.device("meta"):
        network = build("hifacegan", "zoo").network
    assert sum(p.numel() for p in network.parameters()) < 7e6


def test_published_keys() -> None:
    with torch.device("meta"):
        state = HiFaceGAN().state_dict()
        lip = HiFaceGAN(48, "lipspade", "instance", "basicsr").state_dict()
    for key, shape in {
        "fc.weight": (1024, 3, 3, 3),
        "head_0.conv_0.weight_orig": (1024, 1024, 3, 3),
        "head_0.conv_0.weight_u": (1024,),
        "head_0.conv_0.weight_v": (9216,),
        "head_0.conv_1.bias": (1024,),
        "head_0.norm_0.param_free_norm.running_var": (1024,),
        "head_0.norm_0.param_free_norm.num_batches_tracked": (),
        "head_0.norm_0.mlp_shared.0.weight": (128, 1024, 3, 3),
        "head_0.norm_0.mlp_shared.0.bias": (128,),
        "head_0.norm_0.mlp_gamma.weight": (1024, 128, 3, 3),
        "G_middle_1.norm_1.mlp_beta.weight": (1024, 128, 3, 3),
        "ups.0.conv_s.weight_orig": (512, 1024, 1, 1),
        "ups.0.norm_s.mlp_shared.0.weight": (128, 512, 3, 3),
        "ups.3.norm_1.mlp_gamma.weight": (64, 64, 3, 3),
        "to_rgbs.0.weight": (3, 512, 3, 3),
        "encoder.head.0.weight": (64, 3, 3, 3),
        "encoder.encoder_0.0.logit.0.weight": (64, 64, 3, 3),
        "encoder.encoder_4.0.logit.1.bias": (1024,),
        "encoder.encoder_4.1.weight": (1024, 1024, 3, 3),
    }.items():
        assert tuple(state[key].shape) == shape
    for absent in ("head_0.norm_0.mlp_gamma.bias", "ups.0.conv_s.bias", "encoder.head.0.bias", "head_0.conv_0.weight"):
        assert absent not in state
    for key, shape in {
        "g_middle_0.norm_0.mlp_shared.0.weight": (128, 3, 3, 3),
        "lip_encoder.model.0.weight": (48, 3, 3, 3),
        "lip_encoder.model.3.logit.0.weight": (48, 48, 3, 3),
        "lip_encoder.model.4.weight": (96, 48, 3, 3),
        "lip_encoder.model.20.weight": (768, 768, 3, 3),
    }.items():
        assert tuple(lip[key].shape) == shape
    assert not any("running_mean" in key for key in lip)


@pytest.mark.parametrize(
    "options",
    [
        {"ngf": 64},
        {"ngf": 48, "variant": "lipspade"},
        {"ngf": 48, "variant": "lipspade", "norm": "instance", "naming": "basicsr"},
        {"ngf": 16, "widest": 8},
    ],
)
def test_options_are_read_off_the_keys(options: dict[str, object]) -> None:
    with torch.device("meta"):
        state = HiFaceGAN(**options).state_dict()  # type: ignore[arg-type]
    found = detect(state)
    assert found is not None
    assert found.pop("out_size") == (512 if options["ngf"] in (48, 64) else 128)
    assert options.items() <= found.items()
    with torch.device("meta"):
        again = HiFaceGAN(**found).state_dict()
    assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in state.items()}


def test_a_raw_checkpoint_loads(tmp_path: Path) -> None:
    network = small()
    network.calibrate([faces(4)])
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    restorer = load(tmp_path / "latest_net_G.pth")
    assert restorer.architecture.name == "hifacegan"
    assert torch.allclose(restorer.network(faces(1))[0], network(faces(1))[0], atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_spectral_convolution_equals_pytorchs(stride: int) -> None:
    torch.manual_seed(0)
    peer = torch.nn.utils.spectral_norm(torch.nn.Conv2d(5, 7, 3, stride, 1))
    own = SpectralConv2d(5, 7, 3, stride, 1)
    own.load_state_dict(peer.state_dict(), strict=True)
    x = torch.randn(2, 5, 9, 9)
    for training in (False, True, True, False):
        peer.train(training)
        own.train(training)
        results = [layer(x) for layer in (peer, own)]
        gradients = [
            torch.autograd.grad(out.square().sum(), layer.weight_orig)[0]
            for out, layer in zip(results, (peer, own), strict=True)
        ]
        assert torch.allclose(*results, atol=1e-5)
        assert torch.allclose(*gradients, rtol=1e-4, atol=1e-4)
        assert torch.allclose(peer.weight_u, own.weight_u, atol=1e-6)
        assert torch.allclose(peer.weight_v, own.weight_v, atol=1e-6)


def test_picture_norm_equals_pytorchs_instance_norm() -> None:
    x = torch.randn(2, 5, 6, 7) * 3 + 2
    own, peer = PictureNorm(5, affine=True), torch.nn.InstanceNorm2d(5, affine=True)
    for value in own.parameters():
        torch.nn.init.normal_(value)
    peer.load_state_dict(own.state_dict())
    assert torch.allclose(own(x), peer(x), atol=1e-5)


def test_local_importance_pooling_equals_its_definition() -> None:
    torch.manual_seed(0)
    layer = SimplifiedLIP(3)
    x = torch.randn(2, 3, 8, 8)
    convolved = F.conv2d(x, layer.logit[0].weight, padding=1)  # type: ignore[arg-type]
    weight = (12 * torch.sigmoid(F.instance_norm(convolved))).exp()
    got = layer(x)
    assert got.shape == (2, 3, 4, 4)
    for y, z in ((0, 0), (2, 1), (3, 3)):
        rows, columns = slice(max(2 * y - 1, 0), 2 * y + 2), slice(max(2 * z - 1, 0), 2 * z + 2)
        w = weight[:, :, rows, columns]
        wanted = (x[:, :, rows, columns] * w).sum((2, 3)) / w.sum((2, 3))
        assert torch.allclose(got[:, :, y, z], wanted, atol=1e-5)


def test_modulation_multiplies_by_gamma_not_by_one_more() -> None:
    layer = SPADE(4, 3, "instance")
    for convolution in (layer.mlp_gamma, layer.mlp_beta):
        torch.nn.init.zeros_(convolution.weight)
    assert torch.equal(layer(torch.randn(1, 4, 8, 8), torch.randn(1, 3, 2, 2)), torch.zeros(1, 4, 8, 8))


def test_batch_norm_of_a_fresh_network_is_that_of_training_with_one_picture() -> None:
    norm = BatchNorm(4).eval()
    x = torch.randn(3, 4, 8, 8) * 2 + 1
    assert not norm.calibrated
    fresh = norm(x)
    alone = torch.cat([BatchNorm(4).train()(picture[None]) for picture in x])
    assert torch.allclose(fresh, alone, atol=1e-5)
    norm.train()
    norm(x)
    norm.eval()
    assert norm.calibrated
    assert not torch.allclose(norm(x), alone, atol=1e-2)


@pytest.mark.parametrize("variant", ["hifacegan", "lipspade"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("calibrated", [False, True])
def test_faces_of_a_batch_do_not_mix(variant: str, norm: str, calibrated: bool) -> None:
    # In float64: a norm over the four pixels of the smallest size amplifies rounding a hundredfold.
    network = small(variant, norm).double()
    if calibrated:
        network.calibrate([faces(4, seed).double() for seed in range(2)])
    x = faces(3).double()
    with torch.no_grad():
        together, alone = network(x)[0], torch.cat([network(face[None])[0] for face in x])
    assert together.std() > 0.05
    assert together.abs().max() <= 1
    assert torch.allclose(together, alone, atol=1e-8)


def test_calibration_measures_what_training_mode_sees() -> None:
    network = small().double()
    assert not network.calibrated
    before = {key: value.clone() for key, value in network.state_dict().items()}
    batch = faces(8).double()
    network.calibrate([batch])
    assert network.calibrated
    assert not network.training
    after = network.state_dict()
    changed = {key.rsplit(".", 1)[1] for key in after if not torch.equal(after[key], before[key])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    # A running variance divides by one value less than the batch's own does; without that, both modes are one.
    for norm in network.modules():
        if isinstance(norm, BatchNorm):
            norm.register_forward_pre_hook(unbiased_to_biased)
    with torch.no_grad():
        calibrated = network(batch)[0]
        for norm in network.modules():
            if isinstance(norm, BatchNorm):
                norm.train()
        assert torch.allclose(calibrated, network(batch)[0], atol=1e-8)


def unbiased_to_biased(norm: BatchNorm, given: tuple[Tensor]) -> None:
    if not norm.training:
        values = given[0].numel() / given[0].shape[1]
        norm.running_var *= (values - 1) / values


def test_a_mean_over_the_batches_whatever_their_order() -> None:
    first, second = small(), small()
    batches = [faces(4, seed) for seed in range(3)]
    first.calibrate(batches)
    second.calibrate([faces(4, 9)])
    second.calibrate(batches[::-1])  # begins anew
    for key, value in first.state_dict().items():
        if "running" in key:
            assert torch.allclose(value, second.state_dict()[key], atol=1e-4)


def test_use_changes_nothing_and_training_does() -> None:
    network = small()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network(faces(2))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.train()
    network(faces(2))
    moved = {
        key.rsplit(".", 1)[1] for key, value in network.state_dict().items() if not torch.equal(value, before[key])
    }
    assert moved == {"weight_u", "weight_v", "running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize("variant", ["hifacegan", "lipspade"])
def test_the_gradient_reaches_the_input_and_all_weights(variant: str) -> None:
    network = small(variant)
    x = faces(1).requires_grad_()
    image, pictures = network(x, return_rgb=True)
    loss = sum((picture.square().mean() for picture in pictures), image.square().mean())
    loss.backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.9
    unused = {name for name, value in network.named_parameters() if value.grad is None}
    assert unused == ({"fc.weight", "fc.bias"} if variant == "lipspade" else set())


def test_the_gradient_equals_finite_differences() -> None:
    network = small(norm="instance").double()
    x = faces(1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda signal: network(signal)[0].mean((2, 3)), (x,), atol=1e-6, fast_mode=True)


def test_smaller_pictures_from_small_to_large() -> None:
    image, pictures = small()(faces(1), return_rgb=True)
    assert image.shape[-1] == 64
    assert [picture.shape[-1] for picture in pictures] == [8, 16, 32]
    restorer = build("hifacegan", "zoo")
    pyramid = restorer.training_pass(*torch.rand(2, 1, 3, 128, 128)).pyramid
    assert [picture.shape[-1] for picture in pyramid] == [16, 32, 64]


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = HiFaceGAN(4, widest=2).train()
    x, target = faces(3), faces(3, 1)
    optimiser = torch.optim.Adam(network.parameters(), 0.005)
    losses = []
    for _ in range(12):
        loss = F.l1_loss(network(x)[0], target)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


def test_impossible_options_are_refused() -> None:
    for options, message in (
        ({"out_size": 100}, "multiple of 32"),
        ({"variant": "spade"}, "hifacegan or lipspade"),
        ({"norm": "group"}, "batch or instance"),
        ({"naming": "mine"}, "official or basicsr"),
        ({"widest": 0}, "at least 1"),
        ({"depth": 3}, "unexpected keyword"),
    ):
        with pytest.raises(UsageError, match=message):
            build("hifacegan", **{"ngf": 4, **options})
    with pytest.raises(ValueError, match="multiples of 32"):
        small()(torch.rand(1, 3, 48, 64))
