from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from facefort.errors import ModelError
from facefort.models.restorer import Origin, Restorer
from facefort.models.spec import Architecture
from facefort.runtime import Runtime


class Toy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def toy(run: object = None) -> Restorer:
    architecture = Architecture(
        "toy",
        "Toy",
        "",
        "",
        lambda **o: Toy(),
        {},
        lambda s: None,
        run or (lambda net, x: net(x)),  # type: ignore[arg-type]
    )
    return Restorer(Toy(), architecture, {"out_size": 16}, Origin("toy"))


def test_the_networks_range_is_its_own_matter() -> None:
    face = torch.full((1, 3, 16, 16), 0.75)
    assert torch.allclose(toy()(face), torch.ones(1))  # 0.75 is 0.5 on [-1, 1]; doubled it is 1
    wide = toy()
    wide.architecture = dataclasses.replace(wide.architecture, low=0.0)
    assert torch.allclose(wide(face), torch.full((1,), 1.5))


def test_use_clamps_and_training_does_not() -> None:
    face = torch.linspace(0, 1, 768).view(1, 3, 16, 16)
    assert toy()(face).max() > 1
    assert toy().restore(face).max() == 1
    assert toy()(face.requires_grad_()).requires_grad
    assert not toy().restore(face).requires_grad


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda net, x: x * float("nan"), "returned NaN"),
        (lambda net, x: x * 0, "flat picture"),
        (lambda net, x: x[..., :8], "returned"),
    ],
)
def test_a_broken_network_is_caught(run: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        toy(run).restore(torch.rand(2, 3, 16, 16))


def test_a_bfloat16_failure_is_tried_again_in_float32() -> None:
    def fails_in_bf16(net: nn.Module, x: Tensor) -> Tensor:
        return x * float("nan") if torch.is_autocast_enabled("cpu") else x

    restorer = toy(fails_in_bf16).on(Runtime("cpu", "bf16"))
    face = torch.rand(1, 3, 16, 16)
    assert torch.allclose(restorer.restore(face), face, atol=1e-6)
    assert restorer.runtime.precision == "bf16"
