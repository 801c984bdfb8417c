"""FID's Inception: parity with the carrier's own program, and reading that file without running it."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from facefort import assets
from facefort.errors import ModelError, UnsafeCheckpointError, WeightsError
from facefort.models.judges import inception as module
from facefort.models.judges.torchscript_weights import read_parameters

WEIGHTS = pytest.mark.weights("inception-fid")


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3)
        self.inner = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.first(x).mean((2, 3)))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.jit.script(Tiny()).save(str(tmp_path / "tiny.pt"))
    return tmp_path / "tiny.pt"


def rewritten(source: Path, change: dict[str, bytes | None]) -> Path:
    """The archive with other members: bytes by the end of their name, None for left out."""
    target = source.with_name("changed.pt")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = next((data for end, data in change.items() if name.endswith(end)), old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def test_parameters_of_a_torchscript_file_are_read_without_running_it(tiny: Path) -> None:
    torch.manual_seed(0)
    wanted = Tiny().state_dict()
    found = read_parameters(tiny)
    assert list(found) == ["first.weight", "first.bias", "inner.0.weight", "inner.0.bias"]
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_a_pickle_that_asks_for_more_is_refused(tiny: Path) -> None:
    mark = tiny.with_name("ran")

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {mark}",)

    with pytest.raises(UnsafeCheckpointError, match="system"):
        read_parameters(rewritten(tiny, {"/data.pkl": pickle.dumps(Evil())}))
    assert not mark.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"/data.pkl": None},
        {"/data.pkl": b""},
        {"/data.pkl": b"\x80\x02K\x01."},
        {"/data/0": b"\x00" * 8},
        {"/data/0": None},
        {"/data/0": b"\xff" * (4 * 108)},
    ],
    ids=["no tree", "empty tree", "a number", "a short storage", "no storage", "not a number"],
)
def test_a_damaged_file_is_refused(tiny: Path, change: dict[str, bytes | None]) -> None:
    with pytest.raises(WeightsError):
        read_parameters(rewritten(tiny, change))


def test_what_is_no_archive_is_refused(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"no archive")
    for bad in (tmp_path / "x.pt", tmp_path / "none.pt"):
        with pytest.raises(WeightsError):
            read_parameters(bad)
    with pytest.raises(WeightsError, match=r"convolutions|layer .* is not"):
        module.load(tiny)


def test_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match="299"):
        module.Inception()(torch.zeros(1, 3, 224, 224))


@WEIGHTS
def test_features_are_those_of_the_carriers_own_program() -> None:
    theirs = torch.jit.load(str(assets.path(module.ASSET))).eval()
    pictures = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pictures.requires_grad_()
    ours = module.inception()(pictures)
    with torch.no_grad():
        wanted = theirs(pictures)
    assert ours.shape == (1, 2048)
    torch.testing.assert_close(ours.detach(), wanted, atol=3e-5, rtol=1e-4)
    (gradient,) = torch.autograd.grad(ours.sum(), pictures)
    assert bool(gradient.isfinite().all())
    assert gradient.abs().max() > 0


@WEIGHTS
def test_the_network_is_shared_and_frozen() -> None:
    assert module.inception() is module.inception()
    assert not module.inception().training
    assert not any(parameter.requires_grad for parameter in module.inception().parameters())
