"""The published judge of SDD-FIQA (Ou et al., CVPR 2021): ArcFace's IR-R50 with one output; weights by the user.

Layout and entry names are those of ``SDD_FIQA_checkpoints_r50.pth`` (Tencent/TFace, branch quality). That project's own
script fills in entries that a file lacks with random numbers; here they are an error.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from facefort.models.judges.quality import QualityJudge, load_strictly

_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""Channels and blocks; the first block of a stage halves the picture."""
_LAST_SIDE = 7


class OfficialSDD(QualityJudge):
    """Rates the whole aligned face at 112 px on 0-100; the output is not clipped."""

    name = "sdd-official"
    size = 112
    tight = False
    licence = "the owner's"

    def __init__(self) -> None:
        super().__init__()
        first = _STAGES[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.PReLU(first)
        )
        blocks, width = [], first
        for channels, count in _STAGES:
            for index in range(count):
                blocks.append(_Block(width, channels, 2 if index == 0 else 1))
                width = channels
        self.body = nn.Sequential(*blocks)
        flat = width * _LAST_SIDE**2
        self.quality = nn.Sequential(nn.Flatten(), nn.PReLU(flat), nn.Dropout(0.5), nn.Linear(flat, 1))

    def rate(self, chips: Tensor) -> Tensor:
        """Rate pictures, (N, 3, 112, 112) RGB in [0, 1] -> (N,)."""
        score: Tensor = self.quality(self.body(self.input_layer(chips * 2 - 1)))
        return score.squeeze(1)


class _Block(nn.Module):
    """Improved residual unit (IR): normalise, convolve, PReLU, convolve, normalise."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = (
            nn.MaxPool2d(1, stride)
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, signal: Tensor) -> Tensor:
        shortcut: Tensor = self.shortcut_layer(signal)
        change: Tensor = self.res_layer(signal)
        return shortcut + change


def load(path: Path) -> OfficialSDD:
    """The network with the weights of a checkpoint, every entry accounted for.

    Raises:
        WeightsError: missing, damaged, or an entry is missing, unknown or of another size.
        UnsafeCheckpointError: unpickling it would run code.
    """
    return load_strictly(OfficialSDD, path)
