"""What every registered restorer must do: the same surface, the same promises."""

from __future__ import annotations

import pytest
import torch

from facefort.models import build, load, zoo
from facefort.models.factory import load_part
from facefort.models.restorer import Restorer
from facefort.models.restorers import RESTORERS

CASES = [*(f"build:{name}" for name in RESTORERS.names()), *(f"zoo:{name}" for name in zoo.names())]


@pytest.fixture(params=CASES, scope="module")
def restorer(request: pytest.FixtureRequest) -> Restorer:
    torch.manual_seed(0)
    kind, name = request.param.split(":")
    return build(name, "zoo") if kind == "build" else load(name)


@pytest.fixture
def faces(restorer: Restorer) -> torch.Tensor:
    small = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(small, restorer.size, mode="bilinear").clamp(0, 1)


def test_shape_range_and_type(restorer: Restorer, faces: torch.Tensor) -> None:
    restored = restorer.restore(faces)
    assert restored.shape == faces.shape
    assert restored.dtype == torch.float32
    assert 0 <= restored.min() <= restored.max() <= 1


def test_two_passes_are_equal(restorer: Restorer, faces: torch.Tensor) -> None:
    assert torch.equal(restorer.restore(faces), restorer.restore(faces))


def test_a_batch_equals_its_faces_alone(restorer: Restorer, faces: torch.Tensor) -> None:
    alone = torch.cat([restorer.restore(face[None]) for face in faces])
    assert torch.allclose(restorer.restore(faces), alone, atol=1e-4)


def test_the_gradient_reaches_the_input(restorer: Restorer, faces: torch.Tensor) -> None:
    face = faces[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(restorer(face).square().mean(), face)
    assert bool(gradient.isfinite().all())
    assert (gradient != 0).float().mean() > 0.9


def test_state_is_the_same_after_use(restorer: Restorer, faces: torch.Tensor) -> None:
    before = {key: value.clone() for key, value in restorer.state_dict().items()}
    restorer.restore(faces)
    assert all(torch.equal(value, before[key]) for key, value in restorer.state_dict().items())


def test_the_pass_of_training_draws_the_same_picture_and_names_its_losses(
    restorer: Restorer, faces: torch.Tensor
) -> None:
    clean = faces.flip(3)
    done = restorer.training_pass(faces, clean)
    assert done.restored.shape == faces.shape
    assert torch.allclose(done.restored, restorer(faces), atol=1e-4)
    assert done.own.keys() <= set(restorer.architecture.own_losses)
    assert all(loss.ndim == 0 and bool(loss.isfinite()) for loss in done.own.values())


def test_the_architecture_is_found_from_its_keys(restorer: Restorer) -> None:
    state = restorer.network.state_dict()
    found = {name for name in RESTORERS.names() if RESTORERS.get(name).detect(state) is not None}
    assert found == {restorer.architecture.name}
    options = restorer.architecture.detect(state)
    assert options is not None
    again = restorer.architecture.build(**options)
    again.load_state_dict(state, strict=True)


@pytest.mark.parametrize("name", zoo.names())
def test_the_zoos_card_tells_what_the_file_holds(name: str) -> None:
    from facefort.files import sha256_file

    entry = zoo.find(name)
    assert entry.card["sha256"] == sha256_file(entry.weights)
    assert entry.card["name"] == name
    assert entry.weights.stat().st_size <= 16 * 2**20
    assert entry.card["training"]["steps"] > 0
    assert entry.card["scores"]


@pytest.mark.parametrize("name", zoo.part_names())
def test_the_card_of_a_part_tells_what_its_file_holds(name: str) -> None:
    from facefort.files import sha256_file

    entry = zoo.find_part(name)
    assert entry.card["sha256"] == sha256_file(entry.weights)
    assert entry.weights.stat().st_size <= 16 * 2**20
    assert entry.card["training"]["steps"] > 0
    part = load_part(name)
    assert part.architecture.name == entry.card["architecture"]
    assert not any(parameter.requires_grad for parameter in part.network.parameters())
