"""A stand-in network, recogniser and detector whose answers can be worked out by hand, and photos to use them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort.faces.align import landmarks_in_box
from facefort.faces.face import Face, share_outside
from facefort.models.judges.identity import Recogniser
from facefort.models.restorer import Origin, Restorer
from facefort.models.spec import Architecture
from facefort.pictures.photo import Photo
from facefort.restoring import tools
from facefort.restoring.pipeline import Tools

SIZE = 64


class Network(nn.Module):
    """Any function of a batch as a network; counts the batches it is given."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.batches: list[int] = []

    def forward(self, faces: Tensor) -> Tensor:
        self.batches.append(len(faces))
        return self.function(faces)


class Eye(Recogniser):
    """Embeds a face as its mean red, green and blue; strangers are 0.2 apart."""

    name = "eye"
    dimension = 3
    threshold = 0.2

    def forward(self, faces: Tensor, layout: str = "ffhq") -> Tensor:
        return faces.mean((2, 3))

    def embed(self, chips: Tensor) -> Tensor:
        return chips.mean((2, 3))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().sum(1)


def restorer_of(function: Callable[[Tensor], Tensor], size: int = SIZE) -> Restorer:
    architecture = Architecture(
        name="toy",
        title="Toy",
        paper="none",
        licence="none",
        build=nn.Identity,
        presets={},
        detect=lambda state: None,
        run=lambda network, faces: network(faces),
        low=0.0,
        high=1.0,
    )
    return Restorer(Network(function), architecture, {"out_size": size}, Origin("toy", "0" * 64)).eval()


def brighter(faces: Tensor) -> Tensor:
    return faces + 0.2


def face_at(x: float, y: float, side: float, width: int = 10_000, height: int = 10_000) -> Face:
    box = (x, y, x + side, y + side)
    return Face(box, 0.9, landmarks_in_box(box), share_outside(box, width, height))


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A sharp, colourful picture: every crop of it tells who it is."""
    noise = torch.rand(1, 3, max(height // 4, 2), max(width // 4, 2), generator=torch.Generator().manual_seed(seed))
    picture = F.interpolate(noise, (height, width), mode="bicubic")[0].permute(1, 2, 0)
    return np.ascontiguousarray((picture * 0.5 + 0.1).clamp(0, 0.7).numpy())


@pytest.fixture
def make_tools() -> Callable[..., Tools]:
    def make(function: Callable[[Tensor], Tensor] = brighter, faces: tuple[Face, ...] = (), size: int = SIZE) -> Tools:
        return Tools(restorer_of(function, size), lambda pixels: list(faces), Eye())

    return make


@pytest.fixture
def photo() -> Photo:
    return Photo.from_array(texture(240, 320))


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector finds one face in the middle of every photo that is not black; the recogniser compares colours."""

    def detector(name: str, *, threshold: float | None, min_size: float) -> Callable[[np.ndarray], list[Face]]:
        def find(pixels: np.ndarray) -> list[Face]:
            height, width = pixels.shape[:2]
            side = min(height, width) / 2
            if pixels.max() < 0.05 or side < min_size:
                return []
            return [face_at((width - side) / 2, (height - side) / 2, side, width, height)]

        return find

    monkeypatch.setattr(tools, "detector", detector)
    monkeypatch.setattr(tools, "recogniser", lambda name: Eye())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos and one file that is none."""
    place = tmp_path / "photos"
    for seed, name in enumerate(("a.jpg", "b.png", "c.jpg")):
        Photo.from_array(texture(96, 128, seed)).write(place / name)
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return place
