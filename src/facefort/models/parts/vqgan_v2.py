"""The codebook model of VQFR, version 2: an auto-encoder of high-quality faces (Gu et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from facefort.models.blocks.vq import Downsample, Upsample, attend, norm_groups
from facefort.models.blocks.vqfr import (
    CODES_PER_SIDE,
    LICENCE,
    PAPER,
    Codebook,
    ResnetBlock,
    alone,
    base_and_multipliers,
    check_sides,
    count,
    decoded,
    freeze,
    initialise,
    level_name,
    norm_swish,
    normalise,
    reproduce,
    widths,
)
from facefort.models.spec import Architecture, Options, StateDict

ZOO_PRESET: Options = {
    "out_size": 128,
    "base_channels": 32,
    "channel_multipliers": (1, 1, 2, 4),
    "num_enc_blocks": 1,
    "num_dec_blocks": 1,
    "num_code": 512,
    "code_dim": 128,
}


class AttnBlock(nn.Module):
    """Self-attention over the pixels with a single head, plus the input."""

    def __init__(self, channels: int, groups: int) -> None:
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


class Encoder(nn.Module):
    """Picture to a map of vectors that are to be codes."""

    def __init__(self, channels: Sequence[int], blocks: int, attention: bool, code_dim: int, groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, 1, 1)
        self.blocks = nn.ModuleList()
        finer = channels[0]
        for level, width in enumerate(channels):
            first = [Downsample(finer)] if level else []
            attend = attention and level == len(channels) - 1
            self.blocks.append(nn.Sequential(*first, *_blocks(finer, width, blocks, attend, groups)))
            finer = width
        self.mid_blocks = _middle(finer, attention, groups)
        self.conv_out = nn.Sequential(*norm_swish(finer, groups), nn.Conv2d(finer, code_dim, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D, h, w)."""
        x = self.conv_in(x)
        for level in self.blocks:
            x = level(x)
        out: Tensor = self.conv_out(self.mid_blocks(x))
        return out


class Decoder(nn.Module):
    """Map of codes to textures of every level, and to a picture."""

    def __init__(self, channels: Sequence[int], blocks: int, attention: bool, code_dim: int, groups: int) -> None:
        super().__init__()
        coarser = channels[-1]
        self.conv_in = nn.Conv2d(code_dim, coarser, 3, 1, 1)
        self.mid_blocks = _middle(coarser, attention, groups)
        self.blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(channels))):
            coarsest = level == len(channels) - 1
            first = [] if coarsest else [Upsample(coarser)]
            self.blocks.append(nn.Sequential(*first, *_blocks(coarser, width, blocks, attention and coarsest, groups)))
            coarser = width
        self.conv_out = nn.Sequential(*norm_swish(coarser, groups), nn.Conv2d(coarser, 3, 3, 1, 1))

    def textures(self, codes: Tensor) -> dict[str, Tensor]:
        """Features by level, from coarse to fine."""
        x = self.mid_blocks(self.conv_in(codes))
        found: dict[str, Tensor] = {}
        for level, blocks in zip(reversed(range(len(self.blocks))), self.blocks, strict=True):
            x = found[level_name(level)] = blocks(x)
        return found

    def forward(self, codes: Tensor, return_feat: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The picture (N, 3, H, W), with ``return_feat`` also the textures."""
        found = self.textures(codes)
        picture: Tensor = self.conv_out(found[level_name(0)])
        return (picture, found) if return_feat else picture


class VQGANv2(nn.Module):
    """The auto-encoder of high-quality faces that the codebook comes from; the published size is the default.

    Args:
        out_size: side of the face, a multiple of ``2 ** (levels - 1)``.
        base_channels: unit of the channels.
        channel_multipliers: channels per level in that unit, from fine to coarse; each level halves the side.
        num_enc_blocks: residual blocks per level.
        num_dec_blocks: likewise.
        use_enc_attention: self-attention at the coarsest level.
        use_dec_attention: likewise.
        num_code: number of codes.
        code_dim: width of a code.
        fix_keys: parameters whose name holds one of these do not train.
    """

    def __init__(
        self,
        out_size: int = 512,
        base_channels: int = 64,
        channel_multipliers: Sequence[int] = (1, 2, 2, 4, 4, 8),
        num_enc_blocks: int = 2,
        num_dec_blocks: int = 2,
        use_enc_attention: bool = True,
        use_dec_attention: bool = True,
        num_code: int = 1024,
        code_dim: int = 256,
        fix_keys: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.channels = widths(base_channels, channel_multipliers, out_size)
        self.groups = norm_groups(min(self.channels))
        self.encoder = Encoder(self.channels, num_enc_blocks, use_enc_attention, code_dim, self.groups)
        self.decoder = Decoder(self.channels, num_dec_blocks, use_dec_attention, code_dim, self.groups)
        self.quantizer = Codebook(num_code, code_dim)
        initialise(self)
        freeze(self, fix_keys)

    def encode(self, x: Tensor) -> Tensor:
        """Vectors that are to be codes, (N, 3, H, W) -> (N, D, h, w).

        Raises:
            ValueError: a side cannot be halved as often as there are levels.
        """
        check_sides(x, len(self.channels))
        vectors: Tensor = self.encoder(x)
        return vectors

    def forward(
        self, x: Tensor, iters: int = -1, return_keys: str | Sequence[str] = ("dec",)
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Reproduce a batch (N, 3, H, W) in [-1, 1].

        Args:
            x: the batch.
            iters: without meaning, as in the official code.
            return_keys: "dec" for the picture.

        Returns:
            By name the codes "quant_feat" (N, D, h, w), their indices "quant_index" (N, h w) and what was asked for;
            and the codebook loss.
        """
        codes, loss, indices = self.quantizer(self.encode(x))
        found = {"quant_feat": codes, "quant_index": indices}
        if "dec" in return_keys:
            found["dec"] = self.decoder(codes)
        return found, loss


def _blocks(inputs: int, width: int, blocks: int, attention: bool, groups: int) -> list[nn.Module]:
    """Residual blocks of a level, each followed by attention where there is any."""
    found: list[nn.Module] = []
    for _ in range(blocks):
        found.append(ResnetBlock(inputs, width, groups, "residual_func"))
        if attention:
            found.append(AttnBlock(width, groups))
        inputs = width
    return found


def _middle(width: int, attention: bool, groups: int) -> nn.Sequential:
    around = [ResnetBlock(width, width, groups) for _ in range(2)]
    return nn.Sequential(around[0], *([AttnBlock(width, groups)] if attention else []), around[1])


def detect_codebook(state: StateDict) -> Options | None:
    """Options of the auto-encoder in a state dict; None where there is none. Other keys may stand beside its own."""
    needed = ("quantizer.embedding.weight", "encoder.mid_blocks.0.norm1.weight", "decoder.mid_blocks.0.norm1.weight")
    levels = count(state, "encoder.blocks.")
    last = count(state, "decoder.blocks.") - 1
    # The first module of a level but the first is the downsampling.
    keys = [f"encoder.blocks.{level}.{int(level > 0)}.conv1.weight" for level in range(levels)]
    if not levels or last + 1 != levels or any(key not in state for key in (*needed, *keys)):
        return None
    num_code, code_dim = state["quantizer.embedding.weight"].shape
    return {
        "out_size": CODES_PER_SIDE << (levels - 1),
        **base_and_multipliers([state[key].shape[0] for key in keys]),
        "num_enc_blocks": _residual_blocks(state, "encoder.blocks.0."),
        "num_dec_blocks": _residual_blocks(state, f"decoder.blocks.{last}."),
        "use_enc_attention": "encoder.mid_blocks.1.q.weight" in state,
        "use_dec_attention": "decoder.mid_blocks.1.q.weight" in state,
        "num_code": num_code,
        "code_dim": code_dim,
    }


def _residual_blocks(state: StateDict, prefix: str) -> int:
    return sum(key.startswith(prefix) and key.endswith(".norm1.weight") for key in state)


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return VQGANv2(**options)


ARCHITECTURE = Architecture(
    name="vqgan_v2",
    title="VQGAN of VQFR v2",
    paper=PAPER,
    licence=LICENCE,
    build=_build,
    presets={"official": {}, "zoo": ZOO_PRESET},
    detect=lambda state: alone(state, detect_codebook),
    run=decoded,
    train=reproduce,
    own_losses=("codebook",),
)

__all__ = ["ARCHITECTURE", "ZOO_PRESET", "VQGANv2", "detect_codebook"]
