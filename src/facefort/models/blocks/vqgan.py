"""VQGAN auto-encoder with flat lists of blocks: the first stage of CodeFormer, and a codebook of high-quality faces.

Esser et al., CVPR 2021, in the form of Bond-Taylor et al., "Unleashing Transformers", ECCV 2022, whose parameter names
CodeFormer's released weights have (``encoder.blocks.17.q.weight``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.vq import (
    AttnBlock,
    Downsample,
    Lookup,
    ResBlock,
    Upsample,
    VectorQuantizer,
    norm_groups,
    normalise,
)

CODES_PER_SIDE = 16
"""Side of the map of codes in the published networks; where keys do not tell the size of the picture, it is assumed."""


class Encoder(nn.Module):
    """Picture to a map of vectors to be quantised, at ``1 / 2 ** (len(ch_mult) - 1)`` of its side.

    Args:
        nf: channels at full resolution.
        emb_dim: channels of the map.
        ch_mult: channels per level relative to ``nf``, from fine to coarse.
        res_blocks: residual blocks per level.
        attn_levels: levels whose residual blocks are each followed by attention.
    """

    def __init__(
        self, nf: int, emb_dim: int, ch_mult: Sequence[int], res_blocks: int, attn_levels: Sequence[int]
    ) -> None:
        super().__init__()
        groups = norm_groups(nf * min(ch_mult))
        blocks: list[nn.Module] = [nn.Conv2d(3, nf, 3, 1, 1)]
        width = nf
        self.taps: list[int] = []
        """Per level, the block whose output stands for it: the last residual one."""
        for level, mult in enumerate(ch_mult):
            for _ in range(res_blocks):
                blocks.append(ResBlock(width, nf * mult, groups))
                width = nf * mult
                if level in attn_levels:
                    blocks.append(AttnBlock(width, groups))
            self.taps.append(len(blocks) - (2 if level in attn_levels else 1))
            if level < len(ch_mult) - 1:
                blocks.append(Downsample(width))
        blocks += [ResBlock(width, width, groups), AttnBlock(width, groups), ResBlock(width, width, groups)]
        blocks += [normalise(width, groups), nn.Conv2d(width, emb_dim, 3, 1, 1)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, C, h, w)."""
        for block in self.blocks:
            x = block(x)
        return x


class Generator(nn.Module):
    """Map of codes to a picture; arguments as for :class:`Encoder`."""

    def __init__(
        self, nf: int, emb_dim: int, ch_mult: Sequence[int], res_blocks: int, attn_levels: Sequence[int]
    ) -> None:
        super().__init__()
        groups = norm_groups(nf * min(ch_mult))
        width = nf * ch_mult[-1]
        blocks: list[nn.Module] = [nn.Conv2d(emb_dim, width, 3, 1, 1)]
        blocks += [ResBlock(width, width, groups), AttnBlock(width, groups), ResBlock(width, width, groups)]
        self.taps: list[int] = [0] * len(ch_mult)
        """Per level, the block after which other features may be mixed in: the first residual one, at the coarsest
        level the last."""
        for level in reversed(range(len(ch_mult))):
            for i in range(res_blocks):
                if i == 0 or level == len(ch_mult) - 1:
                    self.taps[level] = len(blocks)
                blocks.append(ResBlock(width, nf * ch_mult[level], groups))
                width = nf * ch_mult[level]
                if level in attn_levels:
                    blocks.append(AttnBlock(width, groups))
            if level > 0:
                blocks.append(Upsample(width))
        blocks += [normalise(width, groups), nn.Conv2d(width, 3, 3, 1, 1)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, H, W); may leave [-1, 1] a little."""
        for block in self.blocks:
            x = block(x)
        return x


class VQAutoEncoder(nn.Module):
    """Encoder, codebook and generator.

    Args:
        img_size: side of the picture; decides nothing but where ``attn_resolutions`` lie.
        nf: channels at full resolution.
        ch_mult: channels per level relative to ``nf``, from fine to coarse.
        res_blocks: residual blocks per level.
        attn_resolutions: sides of the levels with attention; by default the side of the map of codes.
        codebook_size: number of codes.
        emb_dim: width of a code.
        beta: weight of the term of the codebook loss that moves the codes.
    """

    def __init__(
        self,
        img_size: int = 512,
        nf: int = 64,
        ch_mult: Sequence[int] = (1, 2, 2, 4, 4, 8),
        res_blocks: int = 2,
        attn_resolutions: Sequence[int] | None = None,
        codebook_size: int = 1024,
        emb_dim: int = 256,
        beta: float = 0.25,
    ) -> None:
        super().__init__()
        self.levels = len(ch_mult)
        self.codes_per_side = img_size >> (self.levels - 1)
        if self.codes_per_side < 1 or self.codes_per_side << (self.levels - 1) != img_size:
            raise ValueError(f"a side of {img_size} px cannot be halved {self.levels - 1} times")
        sides = attn_resolutions if attn_resolutions is not None else (self.codes_per_side,)
        attn_levels = [level for level in range(self.levels) if img_size >> level in sides]
        self.encoder = Encoder(nf, emb_dim, ch_mult, res_blocks, attn_levels)
        self.quantize = VectorQuantizer(codebook_size, emb_dim, beta)
        self.generator = Generator(nf, emb_dim, ch_mult, res_blocks, attn_levels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Lookup]:
        """(N, 3, H, W) in [-1, 1] -> its reconstruction, the codebook loss, what was looked up."""
        quantised, loss, found = self.quantize(self.encoder(x))
        return self.generator(quantised), loss, found

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        """Indices of a picture's codes, (N, 3, H, W) in [-1, 1] -> (N, h, w): what a code predictor learns."""
        found: Lookup = self.quantize(self.encoder(x))[2]
        return found.indices

    def decode(self, indices: Tensor) -> Tensor:
        """Picture of a map of codes, (N, h, w) -> (N, 3, H, W)."""
        picture: Tensor = self.generator(self.quantize.look_up(indices))
        return picture


def code_losses(teacher: VQAutoEncoder, logits: Tensor | None, feature: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """Losses of the code predictor (CodeFormer, eq. 4): cross-entropy to the clean face's codes, distance to them."""
    codes = teacher.codes(clean)
    wanted = teacher.quantize.look_up(codes).detach()
    losses = {"feature": F.mse_loss(feature.float(), wanted)}
    if logits is not None:
        losses["code"] = F.cross_entropy(logits.transpose(1, 2), codes.flatten(1))
    return losses


def read_options(state: Mapping[str, Tensor], codes_per_side: int = CODES_PER_SIDE) -> dict[str, Any] | None:
    """Options of the auto-encoder in a state dict, read off its keys and shapes; None where there is none.

    Args:
        state: keys as above; others may stand beside them.
        codes_per_side: side of the map of codes, which no key of the auto-encoder tells.
    """
    if "encoder.blocks.0.weight" not in state or "quantize.embedding.weight" not in state:
        return None
    if "generator.blocks.0.weight" not in state:
        return None
    nf = state["encoder.blocks.0.weight"].shape[0]
    levels: list[list[int]] = [[]]  # output channels of the residual blocks of each level
    attention = [0]
    for kind, width in _kinds(state):
        if kind == "down":
            levels.append([])
            attention.append(0)
        elif kind == "res":
            levels[-1].append(width)
        elif kind == "attn":
            attention[-1] += 1
    attention[-1] -= 1  # the one in the middle
    res_blocks = len(levels[-1]) - 2
    if res_blocks < 1 or not all(levels):
        return None
    size = codes_per_side << (len(levels) - 1)
    codebook_size, emb_dim = state["quantize.embedding.weight"].shape
    return {
        "img_size": size,
        "nf": nf,
        "ch_mult": tuple(widths[-1] // nf for widths in levels),
        "res_blocks": res_blocks,
        "attn_resolutions": tuple(size >> level for level, count in enumerate(attention) if count),
        "codebook_size": codebook_size,
        "emb_dim": emb_dim,
    }


def _kinds(state: Mapping[str, Tensor]) -> Iterator[tuple[str, int]]:
    """Kind and output channels of the encoder's blocks, in order."""
    marks = {"conv1.weight": "res", "q.weight": "attn", "conv.weight": "down", "weight": "other"}
    for i in range(len(state)):
        for mark, kind in marks.items():
            weight = state.get(f"encoder.blocks.{i}.{mark}")
            if weight is not None:
                yield kind, weight.shape[0]
                break
        else:
            return
