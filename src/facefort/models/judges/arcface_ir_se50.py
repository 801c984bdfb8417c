"""ArcFace IR-SE50, the recogniser of many identity losses and of ID-Guard.

The network of TreB1eN/InsightFace_Pytorch (``Backbone(50, mode="ir_se")``), 43,797,696 parameters: 24 improved residual
units with squeeze and excitation. No package carries its weights (``model_ir_se50.pth``, in facexlib
``recognition_arcface_ir_se50.pth``); the user brings them.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort import assets
from facefort.errors import ModelError
from facefort.models.judges.chips import ARCFACE
from facefort.models.weights import fill

CHIP = ARCFACE
"""Size and landmarks of the picture that the network was trained on."""

_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""Channels, units; the first unit of each halves the picture."""


class ArcFaceIRSE50(nn.Module):
    """Faces (N, 3, 112, 112) RGB in [0, 1] -> unit embeddings (N, 512). Names of the parts are the checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        units: list[nn.Module] = []
        inputs = 64
        for width, count in _STAGES:
            units += [_Unit(inputs, width, 2), *(_Unit(width, width, 1) for _ in range(count - 1))]
            inputs = width
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512), nn.Dropout(), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512)
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces.

        Raises:
            ModelError: not pictures of 112 px.
        """
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, CHIP.size, CHIP.size):
            raise ModelError(f"ArcFace IR-SE50 takes (N, 3, {CHIP.size}, {CHIP.size}), not {tuple(faces.shape)}")
        return F.normalize(self.output_layer(self.body(self.input_layer(faces * 2 - 1))))


class _Unit(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != width:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            _SqueezeExcitation(width),
        )

    def forward(self, signal: Tensor) -> Tensor:
        total: Tensor = self.res_layer(signal) + self.shortcut_layer(signal)
        return total


class _SqueezeExcitation(nn.Module):
    """Channels weighted by what all of them hold on average (Hu et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(width // 16, width, 1, bias=False)

    def forward(self, signal: Tensor) -> Tensor:
        mean = signal.mean((2, 3), keepdim=True)
        return signal * torch.sigmoid(self.fc2(F.relu(self.fc1(mean))))


def load(path: Path | None = None) -> ArcFaceIRSE50:
    """The network with the official weights, every one of them.

    Args:
        path: the checkpoint; None takes the one that was added.

    Raises:
        WeightsError: missing, damaged, or of another network.
    """
    return fill(ArcFaceIRSE50(), path or assets.path("arcface-ir-se50"))


@functools.cache
def shared() -> ArcFaceIRSE50:
    """One instance for all, in evaluation mode, parameters frozen (errors as in :func:`load`)."""
    return load().eval().requires_grad_(False)
