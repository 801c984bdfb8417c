from __future__ import annotations

import torch
from tests.attacks.conftest import pictures

from facefort.attacks import Budget, random_signs


def test_every_channel_moves_by_the_whole_budget_and_stays_in_range() -> None:
    clean = pictures(2, 16)
    clean[:, :, :4] = 0
    clean[:, :, 4:8] = 1
    moved = random_signs(clean, Budget(8 / 255), names=["a", "b"])
    change = (moved - clean) * 255
    assert torch.allclose(change.abs(), torch.tensor(8.0), atol=1e-3)
    assert 0.4 < float((change[:, :, 8:] > 0).float().mean()) < 0.6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert torch.equal((moved * 255).round() / 255, moved)


def test_a_draw_depends_on_seed_and_name_alone() -> None:
    clean = pictures(2, 16)
    both = random_signs(clean, Budget(2 / 255), names=["a", "b"])
    assert torch.equal(random_signs(clean[1:], Budget(2 / 255), names=["b"]), both[1:])
    assert not torch.equal(random_signs(clean, Budget(2 / 255), names=["a", "b"], seed=1), both)
    assert torch.equal(random_signs(clean, Budget(0), names=["a", "b"]), clean)
