"""DISTS: structure and texture similarity of deep features (Ding, Ma, Wang, Simoncelli 2020, arXiv:2004.07728).

VGG-16 with smooth pooling in place of its maxima; of each channel's map only the mean (texture) and the correlation
(structure) are compared, so that one patch of grass counts for another. The learnt weights come from the asset
``dists``, the network from the asset ``lpips``.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort import assets
from facefort.errors import ModelError, WeightsError
from facefort.models.judges.perceptual import lpips
from facefort.models.weights import read_checkpoint

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_WIDTHS = [3, 64, 128, 256, 512, 512]
_STABLE = 1e-6
_POOL = (0.25, 0.5, 0.25)
SMALLEST = 32


class DISTS(nn.Module):
    """Distance between two batches, 0 for equal pictures; smaller is nearer.

    Shape: (N, 3, H, W) and (N, 3, H, W) in [0, 1] -> (N,). Differentiable in both. H and W of at least 32.

    Args:
        stages: the five stages of VGG-16, each but the first with its pooling in front.
        texture: weights of the means of the picture's channels and of each stage's, (1475,).
        structure: weights of their correlations, (1475,).
    """

    def __init__(self, stages: nn.ModuleList, texture: Tensor, structure: Tensor) -> None:
        super().__init__()
        first, *others = [list(stage.children()) for stage in stages]
        self.stages = nn.ModuleList([nn.Sequential(*first), *(nn.Sequential(*layers[1:]) for layers in others)])
        total = texture.sum() + structure.sum()
        self.register_buffer("texture", texture / total)
        self.register_buffer("structure", structure / total)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        pool = torch.tensor(_POOL)
        self.register_buffer("pool", (pool[:, None] * pool[None, :])[None, None], persistent=False)

    def forward(self, pictures: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
        """Distance per picture, (N,).

        With a mask (N, 1, H, W) in [0, 1], a stage's statistics are those under it, brought to the stage's size by the
        mean of what falls together (not in the paper).
        """
        if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[2:]) < SMALLEST:
            raise ModelError(
                f"DISTS needs (N, 3, H, W) pictures of at least {SMALLEST} px, not {tuple(pictures.shape)}"
            )
        total = pictures.new_zeros(len(pictures))
        textures = torch.split(self.get_buffer("texture"), _WIDTHS)
        structures = torch.split(self.get_buffer("structure"), _WIDTHS)
        left, right = pictures, reference
        for index in range(len(_WIDTHS)):
            if index:
                left, right = self._stage(left, index - 1), self._stage(right, index - 1)
            texture, structure = _differences(left, right, mask)
            total = total + texture @ textures[index] + structure @ structures[index]
        return total

    def _stage(self, signal: Tensor, index: int) -> Tensor:
        if index == 0:
            signal = (signal - self.get_buffer("mean")) / self.get_buffer("std")
        else:
            channels = signal.shape[1]
            kernel = self.get_buffer("pool").expand(channels, 1, 3, 3)
            signal = (F.conv2d(signal * signal, kernel, stride=2, padding=1, groups=channels) + 1e-12).sqrt()
        staged: Tensor = self.stages[index](signal)
        return staged


def _differences(left: Tensor, right: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """One less the similarity of means, and of structure (equations 5 and 6), each (N, C).

    Written as squared differences, which are exact where both maps are nearly equal.
    """

    def mean(signal: Tensor) -> Tensor:
        return signal.mean((2, 3)) if weight is None else (signal * weight).sum((2, 3))

    weight = None
    if mask is not None:
        weight = F.interpolate(mask, left.shape[2:], mode="area")
        weight = weight / weight.sum((2, 3), keepdim=True)
    left_mean, right_mean = mean(left)[..., None, None], mean(right)[..., None, None]
    left, right = left - left_mean, right - right_mean
    texture = (left_mean - right_mean).square() / (left_mean.square() + right_mean.square() + _STABLE)
    variances = mean(left.square()) + mean(right.square())
    structure = mean((left - right).square()) / (variances + _STABLE)
    return texture.flatten(1), structure


@functools.cache
def dists() -> DISTS:
    """The judge with its published weights, in evaluation mode with frozen parameters; one shared instance.

    Raises:
        WeightsError: the asset "dists" or "lpips" has not been fetched, or is damaged.
    """
    state = read_checkpoint(assets.path("dists")).state
    try:
        weights = [state[name].float().flatten() for name in ("alpha", "beta")]
    except KeyError:
        raise WeightsError("the DISTS weights do not fit; run `facefort weights fetch dists`") from None
    if any(len(weight) != sum(_WIDTHS) for weight in weights):
        raise WeightsError("the DISTS weights do not fit; run `facefort weights fetch dists`")
    return DISTS(lpips("vgg").stages, *weights).eval().requires_grad_(False)


__all__ = ["DISTS", "SMALLEST", "dists"]
