"""pytorch-QualityFace: a MobileNetV2 (Sandler et al. 2018) that rates faces, trained by its author on WIDER FACE."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from facefort import assets
from facefort.errors import WeightsError
from facefort.models.judges.quality import QualityJudge
from facefort.models.weights import read_checkpoint

ASSET = "qualityface"

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and first stride (table 2 of the paper)."""
_LAST = 1280
# The file holds its backbone twice, under two names of one module, and a classifier of ImageNet that is not used.
_BACKBONE = "backbone.net."
_UNUSED = ("backbone.backbone.", "backbone.net.classifier.")


class MobileNetQuality(QualityJudge):
    """Rates the whole aligned face at 128 px; no fixed range, most faces lie between 0 and 1."""

    name = "mobilenet"
    size = 128
    tight = False
    licence = "MIT"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 32, 3, stride=2)]
        width = 32
        for expansion, channels, blocks, stride in _STAGES:
            for index in range(blocks):
                layers.append(_Inverted(width, channels, stride if index == 0 else 1, expansion))
                width = channels
        layers.append(_conv(width, _LAST, 1))
        self.features = nn.Sequential(*layers)
        self.classify = nn.Linear(_LAST, 1)

    def rate(self, chips: Tensor) -> Tensor:
        """Rate pictures, (N, 3, 128, 128) RGB in [0, 1] -> (N,)."""
        score: Tensor = self.classify(self.features(chips * 2 - 1).mean((2, 3)))
        return score.squeeze(1)


class _Inverted(nn.Module):
    """Widen, convolve per channel, narrow; added to its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([_conv(inputs, width, 1)] if expansion > 1 else []),
            _conv(width, width, 3, stride, groups=width),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, signal: Tensor) -> Tensor:
        change: Tensor = self.conv(signal)
        return signal + change if self.adds else change


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def load(path: Path | None = None) -> MobileNetQuality:
    """The published network.

    Args:
        path: the ``.pth`` file; None takes the fetched one.

    Raises:
        WeightsError: missing, damaged or another network.
        UnsafeCheckpointError: unpickling it would run code.
    """
    path = path or assets.path(ASSET)
    stored = read_checkpoint(path).state
    state = {key.removeprefix(_BACKBONE): value for key, value in stored.items() if not key.startswith(_UNUSED)}
    network = MobileNetQuality()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path.name} is another network; run `facefort weights fetch --force {ASSET}`") from error
    return network
