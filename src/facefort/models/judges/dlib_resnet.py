"""dlib's face recogniser: a ResNet of 29 convolutions, trained with a metric loss on 3 million faces (King 2017).

The network is the one of dlib's ``dnn_face_recognition_ex.cpp`` with its peculiarities: affine layers where training
had batch normalisation, halving blocks whose convolution pads nothing, and sums that pad the smaller operand with
zeros, in channels and at the lower and right border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort import assets
from facefort.errors import WeightsError
from facefort.models.judges.chips import Layout, Template, cut
from facefort.models.judges.dlib_weights import Layer, read_layers
from facefort.models.judges.identity import Recogniser

_MEAN = (122.782, 117.001, 104.298)
_SIZE = 150
_PADDING = 0.25

# dlib's mean shape of 68 points (image_transforms/interpolation.h, get_face_chip_details), as parts of the face's box:
# means of the six points around each eye, tip of the nose (30), corners of the mouth (48, 54).
_MEAN_SHAPE = (
    (0.225486, 0.215996),
    (0.754767, 0.215996),
    (0.490127, 0.515625),
    (0.254149, 0.780233),
    (0.726104, 0.780233),
)

_BLOCKS = (
    *((32, 32, False),) * 3,
    (32, 64, True),
    *((64, 64, False),) * 3,
    (64, 128, True),
    *((128, 128, False),) * 2,
    (128, 256, True),
    *((256, 256, False),) * 2,
    (256, 256, True),
)
"""Channels in, channels out, whether it halves the picture."""


class DlibResNet(Recogniser):
    """dlib_face_recognition_resnet_model_v1: 128 numbers per face, compared by Euclidean distance."""

    name = "dlib"
    dimension = 128
    licence = "CC0-1.0"
    threshold = 0.541
    chip = Template(
        _SIZE,
        tuple(
            (_SIZE * (x + _PADDING) / (1 + 2 * _PADDING), _SIZE * (y + _PADDING) / (1 + 2 * _PADDING))
            for x, y in _MEAN_SHAPE
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        self.stem_affine = _Affine(32)
        self.blocks = nn.Sequential(*(_Block(*block) for block in _BLOCKS))
        self.head = nn.Linear(256, self.dimension, bias=False)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)

    def embed(self, chips: Tensor) -> Tensor:
        """Embed chips, (N, 3, 150, 150) RGB in [0, 1] -> (N, 128)."""
        return self._read(chips)[0]

    def inspect(self, faces: Tensor, layout: Layout = "ffhq") -> tuple[Tensor, list[Tensor]]:
        """The embedding (N, 128), and the maps before each halving."""
        return self._read(cut(faces, layout, self.chip))

    def _read(self, chips: Tensor) -> tuple[Tensor, list[Tensor]]:
        signal = (chips * 255 - self.get_buffer("mean")) / 256
        signal = F.relu(self.stem_affine(self.stem(signal)))
        signal, maps = F.max_pool2d(signal, 3, 2), []
        for block in self.blocks:
            if block.halves:
                maps.append(signal)
            signal = block(signal)
        embedding: Tensor = self.head(signal.mean((2, 3)))
        return embedding, maps

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Euclidean distance, (N,)."""
        self.check_embeddings(a, b)
        return torch.linalg.vector_norm(a - b, dim=1)

    def assign(self, layers: Sequence[Layer]) -> None:
        """Take over the parameters of a dlib file.

        Raises:
            WeightsError: the layers are not those of this network.
        """
        stored = [layer for layer in layers if layer.values.size]
        own = [module for module in self.modules() if isinstance(module, nn.Conv2d | _Affine | nn.Linear)]
        # The head is declared last here and stored last there; between, both follow the signal.
        if len(stored) != len(own):
            raise WeightsError(f"{len(stored)} layers with parameters where dlib's recogniser has {len(own)}")
        with torch.no_grad():
            for module, layer in zip(own, stored, strict=True):
                _assign(module, layer)


class _Affine(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, signal: Tensor) -> Tensor:
        return signal * self.gain + self.shift


class _Block(nn.Module):
    def __init__(self, channels: int, out: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = nn.Conv2d(channels, out, 3, 2 if halves else 1, 0 if halves else 1)
        self.first_affine = _Affine(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1)
        self.second_affine = _Affine(out)

    def forward(self, signal: Tensor) -> Tensor:
        change = F.relu(self.first_affine(self.first(signal)))
        change = self.second_affine(self.second(change))
        return F.relu(_padded_sum(F.avg_pool2d(signal, 2) if self.halves else signal, change))


def _padded_sum(a: Tensor, b: Tensor) -> Tensor:
    """Sum of two maps, each padded with zeros to the larger of their sizes."""
    channels, height, width = (max(a.shape[axis], b.shape[axis]) for axis in (1, 2, 3))

    def padded(x: Tensor) -> Tensor:
        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1]))

    return padded(a) + padded(b)


def _assign(module: nn.Module, layer: Layer) -> None:
    if isinstance(module, nn.Conv2d):
        kind, settings = "con", (module.out_channels, *module.kernel_size, *module.stride, *_pair(module.padding))
    elif isinstance(module, nn.Linear):
        kind, settings = "fc", (module.out_features, module.in_features)
    else:
        kind, settings = "affine", ()
    sizes = [parameter.numel() for parameter in module.parameters()]
    if (layer.kind, layer.settings, layer.values.size) != (kind, settings, sum(sizes)):
        raise WeightsError(f"a layer {layer.kind}{layer.settings} where dlib's recogniser has {kind}{settings}")
    parts = torch.split(torch.from_numpy(layer.values), sizes)
    for parameter, part in zip(module.parameters(), parts, strict=True):
        # dlib's fully connected layer stores (inputs, outputs), torch's linear one the transpose.
        parameter.copy_(part.view(parameter.shape[::-1]).T if kind == "fc" else part.view_as(parameter))


def _pair(padding: str | tuple[int, ...]) -> Iterator[int]:
    assert not isinstance(padding, str)
    return iter(padding)


def load(path: Path | None = None) -> DlibResNet:
    """The published network.

    Args:
        path: the ``.dat`` file; None takes the fetched one.

    Raises:
        WeightsError: missing, damaged or another network.
    """
    path = path or assets.path("dlib-resnet")
    network = DlibResNet()
    try:
        network.assign(read_layers(path.read_bytes()))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}; run `facefort weights fetch dlib-resnet`") from error
    return network
