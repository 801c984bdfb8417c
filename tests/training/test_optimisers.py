"""Muon for kernels and Adam for the rest, as one optimiser."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from facefort.training.optimisers import Mixed, optimiser, orthogonal
from facefort.training.recipe import Recipe


class Network(nn.Module):
    """One of each kind of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(16, 24, 3)
        self.point = nn.Conv2d(24, 20, 1)
        self.linear = nn.Linear(20, 32)
        self.modulated = nn.Parameter(torch.randn(1, 16, 32, 3, 3))
        self.embedding = nn.Embedding(32, 16)
        self.position_emb = nn.Parameter(torch.randn(16, 32))
        self.last = nn.Conv2d(24, 3, 3)


def network(channels_last: bool = False) -> Network:
    torch.manual_seed(0)
    built = Network()
    if channels_last:
        for value in built.parameters():
            if value.ndim == 4:
                value.data = value.data.contiguous(memory_format=torch.channels_last)
    return built


def mixed(built: nn.Module, muon: float = 2.0) -> Mixed:
    return optimiser(built.named_parameters(), Recipe(rate=1e-3, muon=muon))


def fill(built: nn.Module, seed: int = 1) -> None:
    numbers = torch.Generator().manual_seed(seed)
    for value in built.parameters():
        value.grad = torch.randn(value.shape, generator=numbers)


def weights(built: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in built.named_parameters()}


def test_muon_takes_kernels_and_leaves_tables_vectors_and_last_layers_to_adam() -> None:
    built = network()
    names = {id(value): name for name, value in built.named_parameters()}
    _, (muon, multiple) = mixed(built).parts
    assert multiple == 2.0
    taken = {names[id(kernel)] for kernel in muon.param_groups[0]["params"]}
    assert taken == {"body.weight", "point.weight", "linear.weight", "modulated"}
    assert len(mixed(built, muon=0.0).parts) == 1


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("channels_last", [False, True])
def test_steps_are_those_of_the_library_on_the_matrix(channels_last: bool) -> None:
    built = network(channels_last)
    before = weights(built)["body.weight"].reshape(24, -1)
    one = mixed(built)
    one.set_rate(1e-3)
    plain = nn.Parameter(before.clone())
    library = torch.optim.Muon([plain], 2e-3, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for seed in (1, 2):
        fill(built, seed)
        assert built.body.weight.grad is not None
        plain.grad = built.body.weight.grad.reshape(24, -1)
        library.step()
        one.step()
    moved = (plain.detach() - before).abs().mean()
    # The library iterates in bfloat16.
    assert torch.allclose(built.body.weight.reshape(24, -1), plain, atol=0.1 * float(moved))


@pytest.mark.parametrize("shape", [(24, 144), (144, 24), (32, 32)])
def test_what_is_stepped_along_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(left.T @ orthogonal(matrix) @ right.T)
    assert 0.4 < float(values.min()) <= float(values.max()) < 1.3


def test_it_continues_as_it_would_have() -> None:
    built = network(channels_last=True)
    one = mixed(built)
    fill(built, 1)
    one.step()
    other = copy.deepcopy(built)
    again = mixed(other)
    again.load_state_dict(copy.deepcopy(one.state_dict()))
    for run, part in ((one, built), (again, other)):
        run.zero_grad()
        fill(part, 2)
        run.step()
    wanted, got = weights(built), weights(other)
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_a_checkpoint_of_adam_alone_from_before_still_loads() -> None:
    built = network()
    adam = torch.optim.Adam(built.parameters(), 1e-3)
    fill(built)
    adam.step()
    mixed(built, muon=0.0).load_state_dict(adam.state_dict())


def test_a_checkpoint_of_another_optimiser_is_refused() -> None:
    with pytest.raises(ValueError, match=r"zip|size"):
        mixed(network()).load_state_dict(mixed(network(), muon=0.0).state_dict())
