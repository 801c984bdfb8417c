"""RestoreFormer: a VQ auto-encoder whose decoder asks a codebook's priors with the features of the degraded face.

Wang et al., "RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value Pairs", CVPR 2022. Networks
see RGB in [-1, 1]; the output may leave that range a little. The official look-up is straight-through, so that
gradients reach the input as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.preactivation import norm_swish_conv
from facefort.models.blocks.vq import (
    CrossAttnBlock,
    Downsample,
    Lookup,
    ResBlock,
    Upsample,
    VectorQuantizer,
    check_grad_mode,
    norm_groups,
    normalise,
)
from facefort.models.blocks.vqgan import CODES_PER_SIDE
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass

_SHORTCUT = "nin_shortcut"


class _Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention where there is any.

    Args:
        widths: channels of the input, and of the output of each block.
        heads: of the attention; 0 for none.
        groups: of the normalisations.
    """

    def __init__(self, widths: Sequence[int], heads: int, groups: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(a, b, groups, _SHORTCUT) for a, b in pairwise(widths))
        self.attn = nn.ModuleList(CrossAttnBlock(width, heads, groups) for width in widths[1:] if heads)

    def forward(self, x: Tensor, asking: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W); ``asking`` gives the queries, by default each attention's own input."""
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x, asking)
        return x


class _Middle(nn.Module):
    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(width, width, groups, _SHORTCUT)
        self.attn_1 = CrossAttnBlock(width, heads, groups)
        self.block_2 = ResBlock(width, width, groups, _SHORTCUT)


class Encoder(nn.Module):
    """Picture to features of all levels, self-attention at the coarsest.

    Args:
        ch: channels at full resolution.
        ch_mult: channels per level relative to ``ch``, from fine to coarse.
        num_res_blocks: residual blocks per level.
        z_channels: channels of the last feature.
        heads: of the attention.
    """

    def __init__(self, ch: int, ch_mult: Sequence[int], num_res_blocks: int, z_channels: int, heads: int) -> None:
        super().__init__()
        groups = norm_groups(ch * min(ch_mult))
        self.conv_in = nn.Conv2d(3, ch, 3, 1, 1)
        self.down = nn.ModuleList()
        width = ch
        for level, mult in enumerate(ch_mult):
            coarsest = level == len(ch_mult) - 1
            widths = [width] + [ch * mult] * num_res_blocks
            width = widths[-1]
            down = _Level(widths, heads if coarsest else 0, groups)
            if not coarsest:
                down.downsample = Downsample(width)
            self.down.append(down)
        self.mid = _Middle(width, heads, groups)
        self.norm_out = normalise(width, groups)
        self.conv_out = nn.Conv2d(width, z_channels, 3, 1, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) in [-1, 1] -> features by their official names ("in", "block_0" ... "mid_atten", "out")."""
        h = self.conv_in(x)
        hs = {"in": h}
        last = len(self.down) - 1
        for i, level in enumerate(self.down):
            h = level(h)
            if i < last:
                hs[f"block_{i}"] = h
                h = level.get_submodule("downsample")(h)
        h = self.mid.block_1(h)
        hs[f"block_{last}_atten"] = h
        h = self.mid.attn_1(h)
        h = self.mid.block_2(h)
        hs["mid_atten"] = h
        hs["out"] = norm_swish_conv(h, self.norm_out, self.conv_out)
        return hs


class Decoder(nn.Module):
    """Codes to a picture; at the coarsest level the encoder's features ask, the codes' features answer.

    Arguments as for :class:`Encoder`; every level has one residual block more.
    """

    def __init__(self, ch: int, ch_mult: Sequence[int], num_res_blocks: int, z_channels: int, heads: int) -> None:
        super().__init__()
        groups = norm_groups(ch * min(ch_mult))
        width = ch * ch_mult[-1]
        self.conv_in = nn.Conv2d(z_channels, width, 3, 1, 1)
        self.mid = _Middle(width, heads, groups)
        levels: list[nn.Module] = []
        for level in reversed(range(len(ch_mult))):
            coarsest = level == len(ch_mult) - 1
            widths = [width] + [ch * ch_mult[level]] * (num_res_blocks + 1)
            width = widths[-1]
            up = _Level(widths, heads if coarsest else 0, groups)
            if level > 0:
                up.upsample = Upsample(width)
            levels.insert(0, up)
        self.up = nn.ModuleList(levels)
        self.norm_out = normalise(width, groups)
        self.conv_out = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, z: Tensor, hs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(N, C, h, w) and the encoder's features -> picture (N, 3, H, W) and last feature (N, C', H, W)."""
        h = self.conv_in(z)
        h = self.mid.block_1(h)
        h = self.mid.attn_1(h, hs["mid_atten"])
        h = self.mid.block_2(h)
        last = len(self.up) - 1
        for i in range(last, -1, -1):
            h = self.up[i](h, hs[f"block_{last}_atten"])
            if i > 0:
                h = self.up[i].get_submodule("upsample")(h)
        return norm_swish_conv(h, self.norm_out, self.conv_out), h


class RestoreFormer(nn.Module):
    """RestoreFormer; the published configuration is the default.

    Args:
        out_size: side of the face. The weights do not depend on it: those of 512 px also run at 256 px, their
            attention then on half of the side.
        n_embed: number of codes.
        embed_dim: width of a code.
        ch: channels at full resolution.
        ch_mult: channels per level relative to ``ch``, from fine to coarse; one code stands for
            ``2 ** (len(ch_mult) - 1)`` pixels in each direction.
        num_res_blocks: residual blocks per level of the encoder; the decoder has one more.
        z_channels: channels of the encoder's last feature.
        head_size: number of heads of the attention (the official name).
        grad_mode: gradient of the look-up, "official" (which is "ste" here), "ste" or "soft"; also an attribute.
        temperature: of the softmax in "soft".
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
    """

    def __init__(
        self,
        out_size: int = 512,
        n_embed: int = 1024,
        embed_dim: int = 256,
        ch: int = 64,
        ch_mult: Sequence[int] = (1, 2, 2, 4, 4, 8),
        num_res_blocks: int = 2,
        z_channels: int = 256,
        head_size: int = 8,
        grad_mode: str = "official",
        temperature: float = 1.0,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__()
        if out_size % 2 ** (len(ch_mult) - 1):
            raise ValueError(f"a side of {out_size} px cannot be halved {len(ch_mult) - 1} times")
        self.encoder = Encoder(ch, ch_mult, num_res_blocks, z_channels, head_size)
        self.decoder = Decoder(ch, ch_mult, num_res_blocks, z_channels, head_size)
        self.quantize = VectorQuantizer(n_embed, embed_dim, grad_mode=grad_mode, temperature=temperature)
        self.quant_conv = nn.Conv2d(z_channels, embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(embed_dim, z_channels, 1)
        self.input_fusion = InputFusion(ch * ch_mult[0], floor=input_floor) if input_fusion else None

    @property
    def grad_mode(self) -> str:
        """Gradient of the look-up."""
        return self.quantize.grad_mode

    @grad_mode.setter
    def grad_mode(self, mode: str) -> None:
        self.quantize.grad_mode = check_grad_mode(mode)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Lookup, dict[str, Tensor]]:
        """Restore a batch.

        Args:
            x: (N, 3, S, S) in [-1, 1].

        Returns:
            Picture (N, 3, S, S), codebook loss (scalar), what was looked up, features of the encoder by their names.
        """
        hs = self.encoder(x)
        quantised, loss, found = self.quantize(self.quant_conv(hs["out"]))
        picture, feature = self.decoder(self.post_quant_conv(quantised), hs)
        if self.input_fusion is not None:
            picture = self.input_fusion(feature, picture, x)
        return picture, loss, found, hs


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    image: Tensor = network(faces)[0]
    return image


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    image, codebook, _, features = network(degraded)
    return TrainingPass(image, own={"codebook": codebook}, latent=features["out"])


def detect(state: StateDict) -> Options | None:
    """Options of a RestoreFormer state dict, read off its shapes; None where it is another architecture.

    The size is in no shape: it is taken to be the one at which the map of codes has the published 16 x 16. The number
    of heads is the published 8.
    """
    needed = (
        "encoder.conv_in.weight",
        "decoder.mid.attn_1.norm2.weight",
        "quant_conv.weight",
        "post_quant_conv.weight",
    )
    if any(key not in state for key in (*needed, "quantize.embedding.weight")):
        return None
    ch = state["encoder.conv_in.weight"].shape[0]
    levels = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.down."))
    blocks = {key.split(".")[4] for key in state if key.startswith("encoder.down.0.block.")}
    codes, embed_dim = state["quantize.embedding.weight"].shape
    return {
        "out_size": CODES_PER_SIDE << (levels - 1),
        "n_embed": codes,
        "embed_dim": embed_dim,
        "ch": ch,
        "ch_mult": tuple(state[f"encoder.down.{i}.block.0.conv2.weight"].shape[0] // ch for i in range(levels)),
        "num_res_blocks": len(blocks),
        "z_channels": state["quant_conv.weight"].shape[1],
        **fusion_options(state),
    }


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return RestoreFormer(**options)


ARCHITECTURE = Architecture(
    name="restoreformer",
    title="RestoreFormer",
    paper=(
        "Wang et al., RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value Pairs, CVPR 2022"
    ),
    licence="Apache-2.0",
    build=_build,
    presets={
        "official": {"out_size": 512},
        "zoo": {
            "out_size": 128,
            "n_embed": 512,
            "embed_dim": 128,
            "ch": 32,
            "ch_mult": (1, 2, 2, 4),
            "z_channels": 128,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
    train=_train,
    own_losses=("codebook",),
)

__all__ = ["ARCHITECTURE", "RestoreFormer", "detect"]
