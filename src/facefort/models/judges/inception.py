"""The Inception-v3 whose pooled features FID compares (Heusel et al. 2017): the TensorFlow graph of 2015-12-05.

It differs from today's Inception-v3 (Szegedy et al. 2016) in three places: its average pools do not count the padding,
the last block pools by maximum, and its weights are its own. Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from facefort import assets
from facefort.errors import ModelError, WeightsError
from facefort.models.judges.torchscript_weights import read_parameters
from facefort.runtime import Runtime

ASSET = "inception-fid"
SIDE = 299
"""Side of the network's input, in pixels."""
DIMENSION = 2048
"""Numbers per picture."""

_EPSILON = 1e-3
"""Of the batch normalisations (the graph's own)."""

Kernel = int | tuple[int, int]


class Inception(nn.Module):
    """Pooled features of the FID graph.

    Shape: (N, 3, 299, 299) in [-1, 1] -> (N, 2048); differentiable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _Conv(3, 32, 3, 2),
            _Conv(32, 32, 3),
            _Conv(32, 64, 3, padding=1),
            nn.MaxPool2d(3, 2),
            _Conv(64, 80, 1),
            _Conv(80, 192, 3),
            nn.MaxPool2d(3, 2),
            _block_a(192, 32),
            _block_a(256, 64),
            _block_a(288, 64),
            _block_b(),
            *(_block_c(width) for width in (128, 160, 160, 192)),
            _block_d(),
            _block_e(1280, _average()),
            _block_e(2048, nn.MaxPool2d(3, 1, 1)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (N, 2048).

        Raises:
            ModelError: not (N, 3, 299, 299).
        """
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != (3, SIDE, SIDE):
            raise ModelError(f"Inception takes (N, 3, {SIDE}, {SIDE}), not {tuple(pictures.shape)}")
        features: Tensor = self.layers(pictures.contiguous(memory_format=torch.channels_last))
        return features

    @torch.no_grad()
    def assign(self, parameters: Mapping[str, Tensor]) -> None:
        """Take over the graph's parameters: weight, beta, mean and variance of each convolution, in its order.

        Raises:
            WeightsError: they are not those of this network.
        """
        layers = _grouped(parameters)
        own = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        if len(layers) != len(own):
            raise WeightsError(f"{len(layers)} convolutions where FID's Inception has {len(own)}")
        for conv, (name, layer) in zip(own, layers.items(), strict=True):
            wanted = {"weight": conv.weight.shape, **dict.fromkeys(("beta", "mean", "var"), conv.weight.shape[:1])}
            if {part: value.shape for part, value in layer.items()} != wanted:
                raise WeightsError(f"layer {name} is not that of FID's Inception")
            scale = (layer["var"].double() + _EPSILON).rsqrt()
            conv.weight.copy_(layer["weight"] * scale.view(-1, 1, 1, 1))
            assert conv.bias is not None
            conv.bias.copy_(layer["beta"] - layer["mean"] * scale)


class _Conv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(inplace=True))


class _Branches(nn.Module):
    """Several ways from one input, side by side along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, signal: Tensor) -> Tensor:
        return torch.cat([branch(signal) for branch in self.branches], 1)


def _same(inputs: int, outputs: int, kernel: Kernel) -> _Conv:
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    return _Conv(inputs, outputs, kernel, padding=(rows // 2, columns // 2))


def _average() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def _block_a(inputs: int, pooled: int) -> _Branches:
    return _Branches(
        _same(inputs, 64, 1),
        nn.Sequential(_same(inputs, 48, 1), _same(48, 64, 5)),
        nn.Sequential(_same(inputs, 64, 1), _same(64, 96, 3), _same(96, 96, 3)),
        nn.Sequential(_average(), _same(inputs, pooled, 1)),
    )


def _block_b() -> _Branches:
    return _Branches(
        _Conv(288, 384, 3, 2),
        nn.Sequential(_same(288, 64, 1), _same(64, 96, 3), _Conv(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _block_c(width: int) -> _Branches:
    flat, tall = (1, 7), (7, 1)
    return _Branches(
        _same(768, 192, 1),
        nn.Sequential(_same(768, width, 1), _same(width, width, flat), _same(width, 192, tall)),
        nn.Sequential(
            _same(768, width, 1),
            _same(width, width, tall),
            _same(width, width, flat),
            _same(width, width, tall),
            _same(width, 192, flat),
        ),
        nn.Sequential(_average(), _same(768, 192, 1)),
    )


def _block_d() -> _Branches:
    return _Branches(
        nn.Sequential(_same(768, 192, 1), _Conv(192, 320, 3, 2)),
        nn.Sequential(_same(768, 192, 1), _same(192, 192, (1, 7)), _same(192, 192, (7, 1)), _Conv(192, 192, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _block_e(inputs: int, pool: nn.Module) -> _Branches:
    def fork() -> _Branches:
        return _Branches(_same(384, 384, (1, 3)), _same(384, 384, (3, 1)))

    return _Branches(
        _same(inputs, 320, 1),
        nn.Sequential(_same(inputs, 384, 1), fork()),
        nn.Sequential(_same(inputs, 448, 1), _same(448, 384, 3), fork()),
        nn.Sequential(pool, _same(inputs, 192, 1)),
    )


def _grouped(parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    layers: dict[str, dict[str, Tensor]] = {}
    for name, value in parameters.items():
        layer, _, part = name.rpartition(".")
        layers.setdefault(layer, {})[part] = value
    return layers


def load(path: Path | None = None) -> Inception:
    """The network with the published weights, in evaluation mode with frozen parameters.

    Args:
        path: the TorchScript file; None takes the fetched one.

    Raises:
        WeightsError: missing, damaged or another network.
    """
    path = path or assets.path(ASSET)
    with torch.device("meta"):
        empty = Inception()
    network = empty.to_empty(device="cpu")
    try:
        network.assign(read_parameters(path))
    except WeightsError as error:
        raise type(error)(f"{path.name}: {error}; run `facefort weights fetch --force {ASSET}`") from error
    Runtime().place(network.eval().requires_grad_(False))
    return network


@functools.cache
def inception() -> Inception:
    """The network with its fetched weights; one shared instance.

    Raises:
        WeightsError: not fetched, or damaged.
    """
    return load()
