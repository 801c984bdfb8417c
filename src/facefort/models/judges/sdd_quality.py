"""The quality judge that ships: a small network trained here by the method of SDD-FIQA (Ou et al., CVPR 2021).

Its labels come from a recogniser, not from people: how far a picture's similarities to its own person lie from those to
strangers. How it was trained, and on which faces, is said by the card beside its weights and by ``docs/quality.md``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from facefort.models.judges.quality import QualityJudge, load_strictly

WEIGHTS = Path(__file__).parent / "weights" / "quality-sdd.safetensors"

_STAGES = ((16, 0), (32, 1), (64, 2), (128, 1))
"""Channels, and residual blocks after the convolution that halves the picture."""


class SDDQuality(QualityJudge):
    """Rates ArcFace's part of the face at 112 px, on 0-100."""

    name = "sdd"
    size = 112
    tight = True
    licence = "Apache-2.0"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for channels, blocks in _STAGES:
            layers += [*_conv(width, channels, stride=2), nn.ReLU(inplace=True)]
            layers += [_Block(channels) for _ in range(blocks)]
            width = channels
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * width, 1)

    def rate(self, chips: Tensor) -> Tensor:
        """Rate pictures, (N, 3, 112, 112) RGB in [0, 1] -> (N,) in [0, 100]."""
        maps: Tensor = self.body((chips * 2 - 1).contiguous(memory_format=torch.channels_last))
        # A face is as bad as its worst part, so the spread over the places counts beside the mean.
        pooled = torch.cat([maps.mean((2, 3)), maps.var((2, 3), correction=0).add(1e-6).sqrt()], 1)
        score: Tensor = self.head(pooled.float())
        return 100 * score.squeeze(1).sigmoid()


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_conv(channels, channels), nn.ReLU(inplace=True), *_conv(channels, channels))

    def forward(self, signal: Tensor) -> Tensor:
        change: Tensor = self.layers(signal)
        return torch.relu(signal + change)


def _conv(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]


def load(path: Path | None = None) -> SDDQuality:
    """The network with its weights.

    Args:
        path: a checkpoint of this architecture; None takes the one that ships.

    Raises:
        WeightsError: missing, damaged or of another network.
    """
    return load_strictly(SDDQuality, path or WEIGHTS)
