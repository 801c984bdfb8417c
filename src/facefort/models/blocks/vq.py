"""Parts of vector-quantised auto-encoders: residual and attention blocks, resampling, the codebook, AdaIN.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021, as the restorers built on it use
them (CodeFormer, RestoreFormer, VQFR). Parameter names that differ between the methods are arguments.

A codebook look-up has no derivative. What stands in for it is a choice, :data:`GradMode`; values never depend on it.
"""

from __future__ import annotations

import contextlib
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.preactivation import GroupNorm, norm_swish_conv

GradMode = Literal["official", "ste", "soft"]
"""Gradient through a look-up: "official" as the method's own code has it, "ste" straight through to the feature that
was quantised (Bengio et al. 2013; van den Oord et al. 2017), "soft" that of the mixture of codes by softmax."""

GRAD_MODES: tuple[GradMode, ...] = ("official", "ste", "soft")
_EPSILON = 1e-6


def check_grad_mode(mode: str) -> GradMode:
    """The mode itself.

    Raises:
        ValueError: there is no such mode.
    """
    for known in GRAD_MODES:
        if mode == known:
            return known
    raise ValueError(f"grad_mode is one of {', '.join(GRAD_MODES)}, not '{mode}'")


def norm_groups(narrowest: int) -> int:
    """Groups of the normalisations in a network whose narrowest level has this many channels.

    The published networks have 64 channels and 32 groups. Narrower ones (not published) get a quarter of their
    channels: with one channel to a group, normalisation would erase the mean of every feature.
    """
    return 32 if narrowest >= 64 else max(1, narrowest // 4)


def normalise(channels: int, groups: int = 32) -> GroupNorm:
    """Group normalisation as in all these networks."""
    return GroupNorm(groups, channels, eps=_EPSILON)


class ResBlock(nn.Module):
    """Normalisation, swish, 3x3 convolution, twice, plus the input (through a 1x1 convolution to other channels).

    Args:
        inputs: input channels.
        outputs: output channels.
        groups: of the normalisation.
        shortcut: name of the 1x1 convolution's parameters: "conv_out" in CodeFormer, "nin_shortcut" in
            RestoreFormer, "shortcut_conv" in VQFR.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 32, shortcut: str = "conv_out") -> None:
        super().__init__()
        self.norm1 = normalise(inputs, groups)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.norm2 = normalise(outputs, groups)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self._shortcut = shortcut if inputs != outputs else ""
        if self._shortcut:
            self.add_module(shortcut, nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        out = norm_swish_conv(x, self.norm1, self.conv1)
        out = norm_swish_conv(out, self.norm2, self.conv2)
        if self._shortcut:
            x = self.get_submodule(self._shortcut)(x)
        return out.add_(x) if not torch.is_grad_enabled() else out + x


class AttnBlock(nn.Module):
    """Self-attention over the pixels with a single head, plus the input."""

    def __init__(self, channels: int, groups: int = 32) -> None:
        super().__init__()
        self.norm = normalise(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        h = self.norm(x)
        return x + self.proj_out(attend(self.q(h), self.k(h), self.v(h)))


class CrossAttnBlock(nn.Module):
    """Attention over the pixels with several heads, whose queries may come from another feature, plus the input.

    Args:
        channels: of both features.
        heads: how many.
        groups: of the normalisations.
    """

    def __init__(self, channels: int, heads: int = 1, groups: int = 32) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{heads} heads cannot share {channels} channels")
        self.heads = heads
        self.norm1 = normalise(channels, groups)
        self.norm2 = normalise(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and what asks, (N, C, H, W) -> (N, C, H, W); without ``y``, ``x`` asks itself."""
        h = self.norm1(x)
        asking = h if y is None else self.norm2(y)
        return x + self.proj_out(attend(self.q(asking), self.k(h), self.v(h), self.heads))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int = 1) -> Tensor:
    """Scaled dot-product attention between the pixels of maps (N, C, H, W) -> (N, C, H, W)."""
    n, c, h, w = q.shape

    def tokens(x: Tensor) -> Tensor:
        return x.reshape(n, heads, c // heads, h * w).transpose(2, 3)

    out = F.scaled_dot_product_attention(tokens(q), tokens(k), tokens(v))
    return out.transpose(2, 3).reshape(q.shape)


class Downsample(nn.Module):
    """Halve the resolution by a strided 3x3 convolution that pads on the right and below only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / 2, W / 2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the resolution (nearest), then convolve."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Lookup(NamedTuple):
    """What a quantiser found.

    Attributes:
        perplexity: effective number of codes in use, a scalar.
        indices: of the nearest codes, (N, H, W).
        distances: squared, to every code, (N, H, W, K).
    """

    perplexity: Tensor
    indices: Tensor
    distances: Tensor


class VectorQuantizer(nn.Module):
    """Replace every vector of a map by the nearest one of a codebook.

    Args:
        codebook_size: number of codes, K.
        emb_dim: their width, C.
        beta: weight of one of the two terms of the codebook loss.
        legacy: ``beta`` weights the term that moves the codes, as in the code of VQGAN and all restorers built on
            it; otherwise the one that moves the features, as in van den Oord et al., eq. 3.
        grad_mode: "official" is "ste" here.
        temperature: of the softmax over negative distances in "soft".
    """

    def __init__(
        self,
        codebook_size: int,
        emb_dim: int,
        beta: float = 0.25,
        legacy: bool = True,
        grad_mode: str = "official",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codebook_size, emb_dim)
        nn.init.uniform_(self.embedding.weight, -1 / codebook_size, 1 / codebook_size)
        self.beta, self.legacy = beta, legacy
        self.grad_mode = check_grad_mode(grad_mode)
        self.temperature = temperature

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Lookup]:
        """(N, C, H, W) -> quantised map (N, C, H, W) float32, codebook loss (scalar), :class:`Lookup`."""
        with in_float32(z):
            z = z.float()
            vectors = z.permute(0, 2, 3, 1)
            codes = self.embedding.weight
            # |z|^2 is the same for every code: left out, it cannot drown their differences in rounding.
            scores = codes.square().sum(1) - 2 * vectors @ codes.t()
            indices = scores.argmin(-1)
            distances = scores + vectors.square().sum(-1, keepdim=True)
            quantised = self.look_up(indices)
            pull = (quantised.detach() - z).square().mean()
            push = (quantised - z.detach()).square().mean()
            loss = pull + self.beta * push if self.legacy else self.beta * pull + push
            if self.grad_mode == "soft":
                path = mixture(-distances, codes, self.temperature).permute(0, 3, 1, 2)
            else:
                path = z
            used = torch.bincount(indices.flatten(), minlength=len(codes)) / indices.numel()
            perplexity = torch.exp(-(used * (used + 1e-10).log()).sum())
        return with_gradient_of(quantised, path), loss, Lookup(perplexity, indices, distances)

    def look_up(self, indices: Tensor) -> Tensor:
        """Codes by their indices, (N, H, W) -> (N, C, H, W)."""
        return self.embedding(indices).permute(0, 3, 1, 2)


def in_float32(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Where autocast is off, on the device of ``x``; tensors without data ("meta") know no autocast."""
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def mixture(logits: Tensor, codes: Tensor, temperature: float = 1.0) -> Tensor:
    """Codes (K, C) mixed by the softmax of logits (..., K) -> (..., C)."""
    return (logits / temperature).softmax(-1) @ codes


def with_gradient_of(values: Tensor, path: Tensor) -> Tensor:
    """Exactly ``values``, differentiated as if they were ``path``."""
    if not path.requires_grad:
        return values.detach()
    return values.detach() + (path - path.detach())


def adain(content: Tensor, style: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Give a map (N, C, H, W) the per-channel mean and deviation of another (Huang and Belongie 2017), in float32."""
    content, style = content.float(), style.float()

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(x, (2, 3), keepdim=True)
        return mean, (variance + epsilon).sqrt()

    mean, deviation = moments(content)
    wanted_mean, wanted_deviation = moments(style)
    return (content - mean) * (wanted_deviation / deviation) + wanted_mean
