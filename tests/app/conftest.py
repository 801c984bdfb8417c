"""The command line in this process, a small restorer to run it with, and photos of the sample faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facefort import models, samples
from facefort.app.cli.main import run
from facefort.pictures.photo import Photo


@dataclass(frozen=True)
class Said:
    """What a command line returned and printed."""

    code: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """The one line on standard error; fails where there is not exactly one of ours."""
        assert self.err.startswith("facefort: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n"), self.err
        return self.err.strip()


@pytest.fixture
def facefort(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `facefort ARGUMENTS` in this process."""

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GFP-GAN of 64 px with random weights: fast, and what it draws is not flat."""
    torch.manual_seed(0)
    restorer = models.build("gfpgan", "zoo", out_size=64, narrow=0.125, num_style_feat=16)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pth"
    torch.save(restorer.network.state_dict(), path)
    return path


@pytest.fixture
def restore(facefort: Callable[..., Said], checkpoint: Path, tmp_path: Path) -> Callable[..., Said]:
    """Runs `facefort restore ARGUMENTS` with the small restorer, into ``tmp_path / "out"`` unless -o says otherwise."""

    def call(*arguments: object) -> Said:
        place = () if "-o" in arguments else ("-o", tmp_path / "out")
        return facefort("restore", *arguments, *place, "-m", checkpoint)

    return call


class Scenes:
    """Photos of the sample faces, as arrays (H, W, 3) in [0, 1]."""

    def __init__(self) -> None:
        self.faces = [Photo.read(path).pixels for path in samples.faces()]

    def array(self, *which: int, side: int = 128, columns: int = 4) -> np.ndarray:
        """A soft ground with those faces on it, row by row."""
        cell = side + 32
        rows = -(-len(which) // columns)
        width, height = cell * max(1, min(columns, len(which))), cell * max(1, rows)
        scene = np.repeat(np.linspace(0.35, 0.65, width, dtype=np.float32)[None, :, None], height, axis=0)
        scene = np.repeat(scene, 3, axis=2)
        for place, number in enumerate(which):
            y, x = (cell * part + 16 for part in divmod(place, columns))
            face = self.faces[number % len(self.faces)]
            scene[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        return scene

    def write(self, path: Path, *which: int, side: int = 128) -> Path:
        """The same in a file."""
        Photo.from_array(self.array(*which, side=side)).write(path)
        return path


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    if not samples.faces():
        pytest.skip("no samples yet")
    return Scenes()
