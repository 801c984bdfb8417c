"""ArcFace ResNet-18 on grey pictures, the recogniser inside GFP-GAN's training and the papers' ``Deg``.

The network of ronghuaiyang/arcface-pytorch (``resnet_face18(use_se=False)``), 25,627,081 parameters: improved residual
blocks with one PReLU slope each, and a fully connected layer over the last 8 x 8 map. No package carries its weights
(``resnet18_110.pth``, also ``arcface_resnet18.pth``); the user brings them.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from facefort import assets
from facefort.errors import ModelError
from facefort.models.weights import fill

SIZE = 128
"""Side of the pictures that the network takes, in pixels."""

_WIDTHS = (64, 128, 256, 512)


class ArcFaceResNet18(nn.Module):
    """Grey faces (N, 1, 128, 128) -> embeddings (N, 512); what range they come in is a matter of the protocol.

    Names of the parts are those of the checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, _WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.prelu = nn.PReLU()
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(_Block(inputs, width), _Block(width, width))
            for inputs, width in zip((_WIDTHS[0], *_WIDTHS), _WIDTHS, strict=False)
        )
        self.bn4 = nn.BatchNorm2d(_WIDTHS[-1])
        self.fc5 = nn.Linear(_WIDTHS[-1] * 8 * 8, 512)
        self.bn5 = nn.BatchNorm1d(512)

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces.

        Raises:
            ModelError: not grey pictures of 128 px.
        """
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (1, SIZE, SIZE):
            raise ModelError(f"ArcFace ResNet-18 takes (N, 1, {SIZE}, {SIZE}), not {tuple(faces.shape)}")
        signal = F.max_pool2d(self.prelu(self.bn1(self.conv1(faces))), 2)
        signal = self.layer4(self.layer3(self.layer2(self.layer1(signal))))
        embedding: Tensor = self.bn5(self.fc5(self.bn4(signal).flatten(1)))
        return embedding


class _Block(nn.Module):
    """Two convolutions, added to the input; halves the picture where it widens."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        stride = 1 if inputs == width else 2
        self.bn0 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Sequential()
            if stride == 1
            else nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, signal: Tensor) -> Tensor:
        change = self.prelu(self.bn1(self.conv1(self.bn0(signal))))
        total: Tensor = self.prelu(self.bn2(self.conv2(change)) + self.downsample(signal))
        return total


def load(path: Path | None = None) -> ArcFaceResNet18:
    """The network with the official weights, every one of them.

    Args:
        path: the checkpoint; None takes the one that was added.

    Raises:
        WeightsError: missing, damaged, or of another network.
    """
    return fill(ArcFaceResNet18(), path or assets.path("arcface-resnet18"))


@functools.cache
def shared() -> ArcFaceResNet18:
    """One instance for all, in evaluation mode, parameters frozen (errors as in :func:`load`)."""
    return load().eval().requires_grad_(False)
