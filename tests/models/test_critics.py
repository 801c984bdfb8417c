from __future__ import annotations

import pytest
import torch
from torch import nn

from facefort.models.blocks.critics import MultiscaleDiscriminator, StyleGAN2Discriminator, VQGANDiscriminator


@pytest.mark.parametrize(
    ("make", "count", "tensors"),
    [
        (StyleGAN2Discriminator, 28_982_849, 57),
        (lambda: StyleGAN2Discriminator(256, 1, narrow=0.5), 6_002_977, 50),
        (MultiscaleDiscriminator, 5_533_826, 26),
        (VQGANDiscriminator, 6_960_961, 28),
    ],
)
def test_published_parameter_counts(make: type[nn.Module], count: int, tensors: int) -> None:
    with torch.device("meta"):
        critic = make()
    assert sum(p.numel() for p in critic.parameters()) == count
    assert len(critic.state_dict()) == tensors


def test_published_keys() -> None:
    with torch.device("meta"):
        style = StyleGAN2Discriminator().state_dict()
        patches = MultiscaleDiscriminator().state_dict()
        vqgan = VQGANDiscriminator().state_dict()
    for state, key, shape in (
        (style, "convs.0.0.weight", (64, 3, 1, 1)),
        (style, "convs.1.conv1.1.bias", (64,)),
        (style, "convs.1.conv2.0.kernel", (4, 4)),
        (style, "convs.7.skip.1.weight", (512, 512, 1, 1)),
        (style, "final_conv.0.weight", (512, 513, 3, 3)),
        (style, "final_linear.1.bias", (1,)),
        (patches, "discriminator_1.model0.0.bias", (64,)),
        (patches, "discriminator_1.model3.0.0.weight_orig", (512, 256, 4, 4)),
        (patches, "discriminator_0.model4.0.weight", (1, 512, 4, 4)),
        (vqgan, "main.3.running_mean", (128,)),
        (vqgan, "main.14.bias", (1,)),
    ):
        assert tuple(state[key].shape) == shape


@pytest.mark.parametrize("batch", [1, 4, 5, 6])
def test_a_score_per_picture_whatever_the_batch(batch: int) -> None:
    critic = StyleGAN2Discriminator(16, narrow=1 / 32)
    assert critic(torch.rand(batch, 3, 16, 16)).shape == (batch, 1)


def test_equal_pictures_of_a_group_show_in_the_deviation() -> None:
    torch.manual_seed(0)
    critic = StyleGAN2Discriminator(16, narrow=1 / 32)
    seen: list[torch.Tensor] = []
    critic.final_conv.register_forward_pre_hook(lambda module, given: seen.append(given[0][:, -1]))
    critic(torch.rand(1, 3, 16, 16).expand(4, -1, -1, -1))
    critic(torch.rand(4, 3, 16, 16))
    assert seen[0].max() <= 1.1e-4
    assert seen[1].min() > 1e-3


def test_scores_of_patches_and_features() -> None:
    scales = MultiscaleDiscriminator(width=8)(torch.rand(2, 6, 64, 64))
    assert [len(features) for features in scales] == [5, 5]
    assert [features[-1].shape[1] for features in scales] == [1, 1]
    assert scales[0][0].shape == (2, 8, 33, 33)
    assert scales[1][0].shape == (2, 8, 17, 17)
    assert VQGANDiscriminator(width=8)(torch.rand(2, 3, 64, 64)).shape == (2, 1, 2, 2)


@pytest.mark.parametrize(
    "critic", [StyleGAN2Discriminator(16, narrow=1 / 32), MultiscaleDiscriminator(3, 8), VQGANDiscriminator(width=8)]
)
def test_the_gradient_reaches_the_picture(critic: nn.Module) -> None:
    side = 16 if isinstance(critic, StyleGAN2Discriminator) else 64
    picture = torch.rand(2, 3, side, side, requires_grad=True)
    out = critic(picture)
    score = out[0][-1] if isinstance(out, list) else out
    score.square().mean().backward()
    assert picture.grad is not None
    assert bool(picture.grad.isfinite().all())
    assert picture.grad.abs().sum() > 0
