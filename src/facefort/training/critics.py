"""Discriminators of a training run: what they look at, what they teach the generator, and how they learn.

PatchGAN: Isola et al., pix2pix, CVPR 2017; several scales and
feature matching: Wang et al., pix2pixHD, CVPR 2018; facial parts with Gram matrices: Wang et al., GFP-GAN, CVPR 2021;
adaptive weight: Esser et al., VQGAN, CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from facefort.training.recipe import CriticSettings

# Centre and half side of facial parts in the FFHQ template, as shares of the side (GFP-GAN: eyes 80 px of 512 enlarged
# by 1.4, mouth 120 px).
_PARTS = {
    "left_eye": (0.3769, 0.4686, 0.109),
    "right_eye": (0.6229, 0.4691, 0.109),
    "mouth": (0.5023, 0.7252, 0.117),
}
_ADAPTIVE_EPSILON = 1e-4


class PatchCritic(nn.Module):
    """PatchGAN with spectral norm: (N, 3, H, W) in [-1, 1] -> logits (N, 1, h, w), and every hidden feature.

    Args:
        width: channels of the first layer; they double at each halving up to eightfold.
        layers: halvings of the resolution.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        widths = [3, *(width * min(2**i, 8) for i in range(layers))]
        self.body = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)) for inputs, outputs in pairwise(widths)
        )
        self.head = nn.ModuleList(
            [
                spectral_norm(nn.Conv2d(widths[-1], widths[-1], 3, 1, 1)),
                spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1)),
            ]
        )

    def forward(self, pictures: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of each scale (here one) and hidden features."""
        features = []
        signal = pictures
        for layer in self.body:
            signal = F.leaky_relu(layer(signal), 0.2)
            features.append(signal)
        signal = F.leaky_relu(self.head[0](signal), 0.2)
        return [self.head[1](signal)], features


class MultiscaleCritic(nn.Module):
    """Two PatchGANs, on the picture and on its half."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchCritic(width, layers) for _ in range(2))

    def forward(self, pictures: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits and hidden features of both scales."""
        logits, features = [], []
        for scale in self.scales:
            some, hidden = scale(pictures)
            logits += some
            features += hidden
            pictures = F.avg_pool2d(pictures, 2)
        return logits, features


_KINDS: dict[str, type[nn.Module]] = {"patch": PatchCritic, "multiscale": MultiscaleCritic}


class Critic:
    """One discriminator of a run with its optimiser.

    Args:
        settings: what it looks at and how it learns.
        device: where it lives.
    """

    def __init__(self, settings: CriticSettings, device: str) -> None:
        self.settings = settings
        self.network = _KINDS[settings.kind](settings.width, settings.layers).to(device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), settings.rate, betas=(0.5, 0.99))

    @property
    def name(self) -> str:
        """Name in logs."""
        return self.settings.where

    def persuade(self, restored: Tensor, clean: Tensor, rest: Tensor) -> dict[str, Tensor]:
        """The generator's losses, weighted.

        Args:
            restored: (N, 3, S, S) in [0, 1], with its graph.
            clean: (N, 3, S, S) in [0, 1].
            rest: the sum of the other losses, for the adaptive weight.
        """
        own = self.settings
        self.network.requires_grad_(False)
        logits, features = self.network(_seen(restored, own.where))
        loss = torch.stack([_generator_loss(own.loss, some.float()) for some in logits]).mean()
        weight = own.weight * (_ratio(rest, loss, restored) if own.adaptive else 1.0)
        losses = {f"gan.{self.name}": weight * loss}
        if own.matching or own.style:
            with torch.no_grad():
                wanted = self.network(_seen(clean, own.where))[1]
            pairs = list(zip(features, wanted, strict=True))
            if own.matching:
                losses[f"matching.{self.name}"] = own.matching * _mean(
                    F.l1_loss(a.float(), b.float()) for a, b in pairs
                )
            if own.style:
                losses[f"style.{self.name}"] = own.style * _mean(F.l1_loss(gram(a), gram(b)) for a, b in pairs)
        self.network.requires_grad_(True)
        return losses

    def loss(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """The discriminator's own loss on a batch; ``restored`` is detached."""
        own = self.settings
        real = _seen(clean, own.where)
        penalised = own.r1 > 0 and step % own.r1_every == 0
        if penalised:
            real = real.requires_grad_()
        genuine, _ = self.network(real)
        drawn, _ = self.network(_seen(restored.detach(), own.where))
        loss = _mean(_critic_loss(own.loss, a.float(), b.float()) for a, b in zip(genuine, drawn, strict=True))
        if penalised:
            total = torch.stack([some.float().sum() for some in genuine]).sum()
            (gradient,) = torch.autograd.grad(total, real, create_graph=True)
            loss = loss + own.r1 / 2 * own.r1_every * gradient.float().square().sum((1, 2, 3)).mean()
        return loss

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])


def gram(feature: Tensor, mask: Tensor | None = None) -> Tensor:
    """Gram matrices (N, C, C) of features (N, C, H, W), over the pixels of a mask (N, 1, H, W), per pixel."""
    flat = feature.float()
    weight = flat.new_tensor(float(flat.shape[2] * flat.shape[3]))
    if mask is not None:
        flat = flat * mask
        weight = mask.square().sum((1, 2, 3)).clamp(min=1.0)[:, None, None]
    flat = flat.flatten(2)
    return flat @ flat.transpose(1, 2) / (weight * flat.shape[1])


def _seen(pictures: Tensor, where: str) -> Tensor:
    """What a critic sees of pictures in [0, 1]: the face or a part of it, in [-1, 1]."""
    if where in _PARTS:
        x, y, half = _PARTS[where]
        side = pictures.shape[-1]
        reach = max(8, round(half * side))
        left, top = round(x * side) - reach, round(y * side) - reach
        pictures = pictures[:, :, top : top + 2 * reach, left : left + 2 * reach]
    return pictures * 2 - 1


def _generator_loss(kind: str, logits: Tensor) -> Tensor:
    if kind == "hinge":
        return -logits.mean()
    if kind == "softplus":
        return F.softplus(-logits).mean()
    return (logits - 1).square().mean()


def _critic_loss(kind: str, genuine: Tensor, drawn: Tensor) -> Tensor:
    if kind == "hinge":
        return (F.relu(1 - genuine).mean() + F.relu(1 + drawn).mean()) / 2
    if kind == "softplus":
        return F.softplus(-genuine).mean() + F.softplus(drawn).mean()
    return ((genuine - 1).square().mean() + drawn.square().mean()) / 2


def _ratio(rest: Tensor, loss: Tensor, picture: Tensor) -> Tensor:
    """How much steeper the other losses are than the critic's, at most 1.

    Measured at the picture rather than at the last layer's weights, so that it serves any network.
    """
    (wanted,) = torch.autograd.grad(rest, picture, retain_graph=True)
    (given,) = torch.autograd.grad(loss, picture, retain_graph=True)
    return (wanted.norm() / (given.norm() + _ADAPTIVE_EPSILON)).clamp(0, 1).detach()


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
