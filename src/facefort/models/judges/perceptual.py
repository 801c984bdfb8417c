"""LPIPS v0.1: the perceptual distance of Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018.

Two backbones, ``alex`` and ``vgg``; their numbers are not comparable with each other. The features are those of
torchvision's ImageNet classifiers, the linear weights those of the authors' release 0.1; both come from the asset
``lpips``.
"""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort import assets
from facefort.errors import ModelError, UnsafeCheckpointError, WeightsError

Backbone = Literal["alex", "vgg"]

# ImageNet statistics on [0, 1]: the authors' shift and scale on [-1, 1] are these, mapped.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_EPSILON = 1e-10

_FILES: dict[str, str] = {"alex": "alexnet.ckpt", "vgg": "vgg16.ckpt"}


class LPIPS(nn.Module):
    """Perceptual distance between two batches, 0 for equal pictures; smaller is nearer.

    Shape: (N, 3, H, W) and (N, 3, H, W) in [0, 1] -> (N,). Differentiable in both. H and W of at least 32.

    Args:
        net: "alex" or "vgg".
    """

    def __init__(self, net: Backbone) -> None:
        super().__init__()
        self.net = net
        self.stages = nn.ModuleList(_alexnet() if net == "alex" else _vgg16())
        widths = [[m for m in stage.modules() if isinstance(m, nn.Conv2d)][-1].out_channels for stage in self.stages]
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(width)) for width in widths])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor, reference: Tensor) -> Tensor:
        """Distance per picture, (N,)."""
        return self.compare(self.features(pictures), self.features(reference))

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Unit-normalised features of every stage; compute them once for a reference that is compared often."""
        if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[2:]) < 32:
            raise ModelError(f"LPIPS needs (N, 3, H, W) pictures of at least 32 px, not {tuple(pictures.shape)}")
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        signal = (pictures - mean) / std
        maps = []
        for stage in self.stages:
            signal = stage(signal)
            maps.append(signal / (signal.square().sum(1, keepdim=True).sqrt() + _EPSILON))
        return maps

    def compare(self, left: list[Tensor], right: list[Tensor]) -> Tensor:
        """Distance (N,) of two results of :meth:`features`."""
        total = torch.zeros(left[0].shape[0], device=left[0].device)
        for a, b, weight in zip(left, right, self.weights, strict=True):
            per_channel = (a - b).square().float().mean((2, 3))
            total = total + per_channel @ weight
        return total

    def spread(self, pictures: Tensor, reference: Tensor) -> Tensor:
        """Where the distance lies, (N, 1, H, W): the stages' maps, bilinearly brought to the pictures' size, added."""
        total = pictures.new_zeros(len(pictures), 1, *pictures.shape[2:])
        stages = zip(self.features(pictures), self.features(reference), self.weights, strict=True)
        for a, b, weight in stages:
            local = torch.einsum("nchw,c->nhw", (a - b).square(), weight)[:, None]
            total = total + F.interpolate(local, pictures.shape[2:], mode="bilinear", align_corners=False)
        return total


def lpips(net: Backbone = "alex") -> LPIPS:
    """The judge with its published weights, in evaluation mode with frozen parameters; one shared instance each.

    Raises:
        WeightsError: the asset "lpips" has not been fetched.
    """
    return _shared(net)


@functools.cache
def _shared(net: Backbone) -> LPIPS:
    model = LPIPS(net)
    _fill(model, _read(assets.path("lpips", _FILES[net])))
    model.eval().requires_grad_(False)
    # Channels last: the convolutions of a CPU are a fifth faster so.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU()]


def _alexnet() -> list[nn.Module]:
    """AlexNet (Krizhevsky 2014) cut after each of its five activations."""
    return [
        nn.Sequential(*_conv(3, 64, 11, 4, 2)),
        nn.Sequential(nn.MaxPool2d(3, 2), *_conv(64, 192, 5, 1, 2)),
        nn.Sequential(nn.MaxPool2d(3, 2), *_conv(192, 384)),
        nn.Sequential(*_conv(384, 256)),
        nn.Sequential(*_conv(256, 256)),
    ]


def _vgg16() -> list[nn.Module]:
    """VGG-16 (Simonyan and Zisserman 2015) cut after relu1_2, 2_2, 3_3, 4_3 and 5_3."""
    stages: list[nn.Module] = []
    width = 3
    for outputs, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers: list[nn.Module] = [nn.MaxPool2d(2, 2)] if stages else []
        for _ in range(depth):
            layers += _conv(width, outputs)
            width = outputs
        stages.append(nn.Sequential(*layers))
    return stages


def _fill(model: LPIPS, tree: dict[str, Any]) -> None:
    """Copy the carrier's arrays (kernels in HWIO order) into the module."""
    backbone = next(value for key, value in tree.items() if not key.startswith("NetLin"))
    convolutions = [module for module in model.stages.modules() if isinstance(module, nn.Conv2d)]
    try:
        with torch.no_grad():
            for index, conv in enumerate(convolutions):
                layer = backbone[f"Conv_{index}"]
                conv.weight.copy_(torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy()))
                assert conv.bias is not None
                conv.bias.copy_(torch.from_numpy(layer["bias"].copy()))
            for index, weight in enumerate(model.weights):
                kernel = tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]
                weight.copy_(torch.from_numpy(kernel.reshape(-1).copy()))
    except (KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(f"the LPIPS weights do not fit ({error}); run `facefort weights fetch lpips`") from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that can build numpy arrays and plain containers, nothing else."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.ndarray.__reduce__(np.empty(0))[0]  # numpy's own rebuilding function, wherever it lives
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise UnsafeCheckpointError(f"the LPIPS weights file asks for {module}.{name}; refused")


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        try:
            tree = _ArraysOnly(stream).load()
        except (pickle.UnpicklingError, EOFError, AttributeError) as error:
            raise WeightsError(f"{path.name} is damaged; run `facefort weights fetch lpips`") from error
    if not isinstance(tree, dict):
        raise WeightsError(f"{path.name} does not hold LPIPS weights; run `facefort weights fetch lpips`")
    return tree


__all__ = ["LPIPS", "Backbone", "lpips"]
