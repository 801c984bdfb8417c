"""A prior learns to draw the generator's faces from their codes."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facefort import config
from facefort.errors import TrainingError
from facefort.training.data import Batches, CodedBatches, FaceBank, seeds_of
from facefort.training.recipe import DataSettings, Recipe
from facefort.training.run import train

STILL = {"flip": False, "jitter": 0.0, "warp": 0.0, "colour": 0.0, "sharpen": 0.0}
TINY = {"out_size": 32, "style_dim": 8, "n_mlp": 1, "narrow": 0.03125}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Twelve grey faces, each of a level of its own."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"{i:06d}.png"), np.full((64, 64, 3), 20 * i, np.uint8))
    return folder


def coded(faces: Path, rank: int = 0, world: int = 1, **changes: object) -> CodedBatches:
    settings = config.validate(DataSettings, {"faces": str(faces), **STILL, **changes})
    bank = FaceBank(sorted(faces.iterdir()), 32)
    numbers = torch.tensor(seeds_of(bank.names), dtype=torch.float32)[:, None]
    return CodedBatches(Batches(bank, settings, 0, 4, rank, world), numbers)


def test_every_face_comes_with_its_own_code(faces: Path) -> None:
    for step in range(5):
        clean, codes = coded(faces)[step]
        assert codes.shape == (4, 1, 1, 1)
        assert torch.allclose(clean.mean((1, 2, 3)) * 255, 20 * codes.flatten(), atol=0.6)


def test_processes_share_a_batch(faces: Path) -> None:
    whole = coded(faces)[2]
    parts = [coded(faces, rank, 2)[2] for rank in range(2)]
    for all_of_it, shares in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(all_of_it[0::2], shares[0])
        assert torch.equal(all_of_it[1::2], shares[1])


@pytest.mark.parametrize("change", [{"flip": True}, {"jitter": 0.1}, {"warp": 0.01}, {"colour": 0.1}])
def test_a_face_that_is_changed_is_not_its_codes_any_more(faces: Path, change: dict[str, object]) -> None:
    with pytest.raises(TrainingError, match="set flip, jitter, warp and colour"):
        coded(faces, **change)


def test_faces_without_seeds_are_refused() -> None:
    assert seeds_of(["000123", "synthetic-000007"]) == [123, 7]
    with pytest.raises(TrainingError, match="called by their seeds; anna is not"):
        seeds_of(["1", "anna"])


@pytest.mark.weights("mobilestylegan", "lpips")
def test_training_lowers_the_loss_and_draws_a_sheet(faces: Path, tmp_path: Path) -> None:
    recipe = config.validate(
        Recipe,
        {
            "model": "gpen_prior",
            "options": TINY,
            "data": {"faces": str(faces), **STILL},
            "losses": [{"l1": 1.0, "lpips": 0.0}],
            "steps": 60,
            "batch": 4,
            "warmup": 1,
            "decay": 5,
            "rate": 0.003,
            "precision": "fp32",
            "sample_steps": 60,
            "samples": "synthetic:8000..8001",
        },
    )
    done = train(recipe, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    losses = [float(row["loss.l1"]) for row in rows]
    assert losses[-1] < 0.7 * losses[0], losses
    assert done.architecture.name == "gpen_prior"
    assert (tmp_path / "run" / "sheets" / "000060.png").exists()
    (scores,) = csv.DictReader((tmp_path / "run" / "scores.csv").open())
    assert set(scores) == {"step", "lpips-alex", "lpips-vgg", "psnr-rgb"}
