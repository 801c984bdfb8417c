from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facefort.errors import ModelError, WeightsError
from facefort.models.judges import dists as module
from facefort.models.judges.dists import dists

pytestmark = pytest.mark.weights("lpips", "dists")


def test_weights_add_up_to_one() -> None:
    judge = dists()
    assert judge.texture.shape == judge.structure.shape == (1475,)
    assert (judge.texture.sum() + judge.structure.sum()).item() == pytest.approx(1, abs=1e-6)
    assert judge.texture.min() >= 0
    assert judge.structure.min() >= 0


def test_another_sample_of_a_texture_is_nearer_than_another_texture() -> None:
    """What the distance is for: structure is compared by correlation, texture by means only."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2))
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=generator), 64)
    assert dists()(one, other) < 0.5 * dists()(one, coarse)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 31, 64)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="DISTS needs"):
        dists()(torch.rand(shape), torch.rand(shape))


@pytest.mark.parametrize("state", [{"alpha": torch.ones(1475)}, {"alpha": torch.ones(5), "beta": torch.ones(5)}])
def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict) -> None:
    place = tmp_path / "weights.pt"
    torch.save(state, place)
    monkeypatch.setattr(module.assets, "path", lambda name: place)
    with pytest.raises(WeightsError, match="weights fetch dists"):
        dists.__wrapped__()
