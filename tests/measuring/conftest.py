"""Small pictures in folders, and toy metrics in the registries."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from facefort.metrics import METRICS, Metric
from facefort.metrics.sets import SET_METRICS, SetMetric
from facefort.pictures.photo import Photo
from facefort.registry import Entry

TOYS = "facefort_toy_metrics"


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """A seeded picture (H, W, 3) of soft blobs with fine noise on it, on the grid of 8 bits."""

    def make(seed: int, height: int = 48, width: int = 48, noise: float = 0.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width] / max(height, width)
        waves = [np.sin(rng.uniform(3, 9) * x + rng.uniform(3, 9) * y + rng.uniform(0, 6)) for _ in range(3)]
        spoilt = 0.5 + 0.3 * np.stack(waves, 2) + np.random.default_rng(seed + 999).normal(0, noise, (height, width, 3))
        return (spoilt.clip(0, 1) * 255).round().astype(np.float32) / 255

    return make


@pytest.fixture(scope="session")
def write() -> Callable[[Path, np.ndarray], Path]:
    def put(path: Path, pixels: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Photo.from_array(pixels.astype(np.float32)).write(path)
        return path

    return put


@pytest.fixture
def folders(tmp_path, picture, write) -> tuple[Path, Path]:
    """Five noisy pictures t/a0.png ... a4.png and their clean ones in r/."""
    for i in range(5):
        write(tmp_path / "r" / f"a{i}.png", picture(i))
        write(tmp_path / "t" / f"a{i}.png", picture(i, noise=0.02 * (i + 1)))
    return tmp_path / "t", tmp_path / "r"


@pytest.fixture
def toy(monkeypatch) -> Callable[..., None]:
    """Registers a metric by a function of (pictures, reference)."""
    module = types.ModuleType(TOYS)
    monkeypatch.setitem(sys.modules, TOYS, module)

    def register(name: str, compute: Callable[[Tensor, Tensor], Tensor], **values: object) -> None:
        facts = {"weights": values.pop("weights", ())}
        defaults = {
            "direction": "lower",
            "range": (0.0, float("inf")),
            "needs_reference": False,
            "variant": f"a toy called {name}",
            "reference": "nothing",
        }
        metric = Metric(name=name, compute=compute, **(defaults | values))
        attribute = name.replace("-", "_")
        setattr(module, attribute, metric)
        facts |= {"direction": metric.direction, "needs_reference": metric.needs_reference}
        monkeypatch.setitem(METRICS._entries, name, Entry(name, f"{TOYS}:{attribute}", facts))

    return register


@pytest.fixture
def toy_set(monkeypatch, toy) -> Callable[..., list[int]]:
    """Registers a metric of sets on mean colours; returns the list that notes the size of each batch it saw."""

    def register(name: str, **values: object) -> list[int]:
        noted: list[int] = []
        defaults = {
            "direction": "lower",
            "range": (0.0, float("inf")),
            "variant": "distance of mean colours",
            "reference": "nothing",
            "features": partial(_colours, noted),
            "compare": lambda a, b: float(np.abs(a.mean(0) - b.mean(0)).max()),
            "replicate": lambda a, b, counts: np.array(
                [float(np.abs(np.average(a, 0, row) - b.mean(0)).max()) for row in counts]
            ),
            "enough": 3,
        }
        one = SetMetric(name=name, **(defaults | values))
        attribute = name.replace("-", "_")
        setattr(sys.modules[TOYS], attribute, one)
        facts = {"direction": "lower", "weights": ()}
        monkeypatch.setitem(SET_METRICS._entries, name, Entry(name, f"{TOYS}:{attribute}", facts))
        return noted

    return register


def _colours(noted: list[int], pictures: Tensor) -> np.ndarray:
    noted.append(len(pictures))
    return pictures.double().mean((2, 3)).numpy()
