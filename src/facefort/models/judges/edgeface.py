"""EdgeFace: a recogniser for small devices (George et al. 2024), half convolutions, half attention across channels.

EdgeFace-S is EdgeNeXt-small (Maaz et al. 2022) with every linear layer replaced by two of half the rank (gamma 0.5).
Four stages of depthwise blocks; the last block of stages 2 to 4 convolves its channels in groups, each group taking in
the one before, and lets channels attend to each other. Its weights are for non-commercial research only.
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

_RANK = 0.5
_HEADS = 8
_EPSILON = 1e-6
_WIDTHS = (48, 96, 160, 304)
_DEPTHS = (3, 3, 9, 3)
_KERNELS = (3, 5, 7, 9)
_GROUPS = (0, 2, 3, 4)
"""Groups of channels in a stage's last block; 0: a block like the others."""
_PLACES = (0, 14 * 14, 0, 0)
"""Places for which a stage stores an encoding of position; 0: it has none."""

_OPERATORS = {"Conv", "MatMul", "Gemm", "Add", "Mul"}


class EdgeFace(Recogniser):
    """edgeface_s_gamma_05: 512 numbers per face, compared by cosine distance (1 - cosine)."""

    name = "edgeface"
    dimension = 512
    licence = "CC-BY-NC-SA-4.0, non-commercial research"
    threshold = 0.659
    chip = ARCFACE

    def __init__(self) -> None:
        super().__init__()
        # Parameters are declared in the order in which a face meets them; that is how they are assigned.
        self.stem = nn.Conv2d(3, _WIDTHS[0], 4, 4)
        self.stem_norm = _ChannelNorm(_WIDTHS[0])
        self.stages = nn.Sequential(*(_stage(index) for index in range(len(_WIDTHS))))
        self.norm = nn.LayerNorm(_WIDTHS[-1], _EPSILON)
        self.head = _LowRank(_WIDTHS[-1], self.dimension)

    def embed(self, chips: Tensor) -> Tensor:
        """Embed chips, (N, 3, 112, 112) RGB in [0, 1] -> (N, 512)."""
        signal = self.stages(self.stem_norm(self.stem(chips * 2 - 1)))
        embedding: Tensor = self.head(self.norm(signal.mean((2, 3))))
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
        stored = [
            value if node.operator != "MatMul" else value.T  # MatMul stores what a linear layer has, transposed
            for node in nodes
            if node.operator in _OPERATORS
            for value in node.parameters
            if value.ndim  # single numbers belong to the activation and to normalisation
        ]
        own = list(self.named_parameters())
        if len(stored) != len(own):
            raise WeightsError(f"{len(stored)} parameters where this EdgeFace has {len(own)}")
        with torch.no_grad():
            for (name, parameter), value in zip(own, stored, strict=True):
                if value.shape != tuple(parameter.shape):
                    raise WeightsError(f"a parameter {value.shape} where this EdgeFace has {name}, {parameter.shape}")
                parameter.copy_(torch.from_numpy(value.copy()))


def _stage(index: int) -> nn.Sequential:
    width, groups = _WIDTHS[index], _GROUPS[index]
    layers: list[nn.Module] = []
    if index:
        layers = [_ChannelNorm(_WIDTHS[index - 1]), nn.Conv2d(_WIDTHS[index - 1], width, 2, 2)]
    layers += [_ConvBlock(width, _KERNELS[index]) for _ in range(_DEPTHS[index] - bool(groups))]
    if groups:
        layers.append(_AttentionBlock(width, groups, _PLACES[index]))
    return nn.Sequential(*layers)


class _ConvBlock(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.change = _PerPlace(width)

    def forward(self, signal: Tensor) -> Tensor:
        change: Tensor = self.change(self.depthwise(signal).permute(0, 2, 3, 1))
        return signal + change.permute(0, 3, 1, 2)


class _AttentionBlock(nn.Module):
    def __init__(self, width: int, groups: int, places: int) -> None:
        super().__init__()
        # As torch.chunk splits: all groups but the last are this wide, and only they are convolved.
        size = -(-width // groups)
        self.groups = groups
        self.convolutions = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1, groups=size) for _ in range(groups - 1))
        self.position = _Position(places, width) if places else nn.Identity()
        self.norm = nn.LayerNorm(width, _EPSILON)
        self.attention = _ChannelAttention(width)
        self.scale = _Scale(width)
        self.change = _PerPlace(width)

    def forward(self, signal: Tensor) -> Tensor:
        batch, width, height, columns = signal.shape
        *first, last = signal.chunk(self.groups, 1)
        parts: list[Tensor] = []
        for part, convolution in zip(first, self.convolutions, strict=True):
            parts.append(convolution(part + parts[-1] if parts else part))
        mixed = self.position(torch.cat([*parts, last], 1).flatten(2).mT)
        mixed = mixed + self.scale(self.attention(self.norm(mixed)))
        change: Tensor = self.change(mixed)
        return signal + change.mT.reshape(batch, width, height, columns)


class _ChannelAttention(nn.Module):
    """Attention of channels to channels over all places (El-Nouby et al. 2021): (N, places, C) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = _LowRank(width, 3 * width)
        self.temperature = _Scale(_HEADS, 1, 1)
        self.merge = _LowRank(width, width)

    def forward(self, signal: Tensor) -> Tensor:
        batch, places, width = signal.shape
        query, key, value = self.project(signal).view(batch, places, 3, _HEADS, -1).permute(2, 0, 3, 4, 1)
        weights = self.temperature(F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).mT).softmax(-1)
        merged: Tensor = self.merge((weights @ value).permute(0, 3, 1, 2).reshape(batch, places, width))
        return merged


class _PerPlace(nn.Module):
    """Normalise, widen four times, activate, narrow, scale: channels last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width, _EPSILON),
            _LowRank(width, 4 * width),
            nn.GELU(),
            _LowRank(4 * width, width),
            _Scale(width),
        )

    def forward(self, signal: Tensor) -> Tensor:
        change: Tensor = self.layers(signal)
        return change


class _LowRank(nn.Sequential):
    """A linear layer as a product of two."""

    def __init__(self, inputs: int, outputs: int) -> None:
        rank = max(2, int(min(inputs, outputs) * _RANK))
        super().__init__(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs))


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (N, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, _EPSILON)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Scale(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(shape))

    def forward(self, signal: Tensor) -> Tensor:
        return signal * self.factor


class _Position(nn.Module):
    """What the published network's Fourier encoding comes to at its one input size."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.encoding = nn.Parameter(torch.zeros(1, places, width))

    def forward(self, signal: Tensor) -> Tensor:
        return signal + self.encoding


def load(path: Path | None = None) -> EdgeFace:
    """The published network.

    Args:
        path: the ``.onnx`` file; None takes the fetched one.

    Raises:
        WeightsError: missing, damaged or another network.
    """
    path = path or assets.path("edgeface")
    network = EdgeFace()
    try:
        network.assign(read_nodes(path.read_bytes()))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}; run `facefort weights fetch edgeface`") from error
    return network
