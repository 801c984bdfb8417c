"""ArcFace's small recogniser: a MobileFaceNet (Chen et al. 2018) trained on WebFace600K with the ArcFace loss.

Batch normalisation is folded into the convolutions of the published file, so the network here is convolutions, PReLU
and sums. Its weights are for non-commercial research only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort import assets
from facefort.errors import WeightsError
from facefort.models.judges.chips import ARCFACE
from facefort.models.judges.identity import Recogniser
from facefort.models.judges.onnx_weights import Node, read_nodes

_OPERATORS = {nn.Conv2d: "Conv", nn.PReLU: "PRelu", nn.Linear: "Gemm", nn.BatchNorm1d: "BatchNormalization"}

_BLOCKS = (
    (128, 128, 128, 2),
    *((128, 128, 128, 1),) * 4,
    (128, 256, 256, 2),
    *((256, 256, 256, 1),) * 6,
    (256, 512, 256, 2),
    *((256, 256, 256, 1),) * 2,
)
"""Channels in, channels of the depthwise convolution, channels out, stride."""


class MobileFaceNet(Recogniser):
    """w600k_mbf: 512 numbers per face, compared by cosine distance (1 - cosine)."""

    name = "arcface-mbf"
    dimension = 512
    licence = "InsightFace non-commercial research"
    threshold = 0.770
    chip = ARCFACE

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 128, 3, 2, 1),
            nn.PReLU(128),
            nn.Conv2d(128, 128, 3, 1, 1, groups=64),
            nn.PReLU(128),
            *(_Block(*block) for block in _BLOCKS),
            nn.Conv2d(256, 512, 1),
            nn.PReLU(512),
            nn.Conv2d(512, 64, 1),
            nn.PReLU(64),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, self.dimension),
            nn.BatchNorm1d(self.dimension),
        )

    def embed(self, chips: Tensor) -> Tensor:
        """Embed chips, (N, 3, 112, 112) RGB in [0, 1] -> (N, 512)."""
        embedding: Tensor = self.body(chips * 2 - 1)
        return embedding

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Cosine distance 1 - cos, (N,), in [0, 2]."""
        self.check_embeddings(a, b)
        return 1 - F.cosine_similarity(a, b)

    def assign(self, nodes: Sequence[Node]) -> None:
        """Take over the parameters of the published ONNX file.

        Raises:
            WeightsError: the nodes are not those of this network.
        """
        stored = [node for node in nodes if node.parameters]
        own = [module for module in self.modules() if isinstance(module, tuple(_OPERATORS))]
        if len(stored) != len(own):
            raise WeightsError(f"{len(stored)} layers with parameters where this MobileFaceNet has {len(own)}")
        with torch.no_grad():
            for module, node in zip(own, stored, strict=True):
                _assign(module, node)


class _Block(nn.Module):
    """Pointwise, depthwise, pointwise; added to its input unless it halves the picture."""

    def __init__(self, channels: int, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.adds = stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, groups=width),
            nn.PReLU(width),
            nn.Conv2d(width, out, 1),
        )

    def forward(self, signal: Tensor) -> Tensor:
        change: Tensor = self.layers(signal)
        return signal + change if self.adds else change


def _assign(module: nn.Module, node: Node) -> None:
    own = [value for name, value in module.state_dict().items() if name != "num_batches_tracked"]
    # A PReLU's slopes are (C, 1, 1) in ONNX and (C,) in torch; nothing else differs.
    stored = [torch.from_numpy(value) for value in node.parameters]
    shapes = [tuple(value.flatten().shape if node.operator == "PRelu" else value.shape) for value in stored]
    wanted = _OPERATORS[type(module)]
    if (node.operator, shapes) != (wanted, [tuple(value.shape) for value in own]):
        raise WeightsError(f"a layer {node.operator} {shapes} where this MobileFaceNet has {module}")
    for value, part in zip(own, stored, strict=True):
        value.copy_(part.view_as(value))


def load(path: Path | None = None) -> MobileFaceNet:
    """The published network.

    Args:
        path: the ``.onnx`` file; None takes the fetched one.

    Raises:
        WeightsError: missing, damaged or another network.
    """
    path = path or assets.path("arcface-mobilefacenet")
    network = MobileFaceNet()
    try:
        network.assign(read_nodes(path.read_bytes()))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}; run `facefort weights fetch arcface-mobilefacenet`") from error
    return network
