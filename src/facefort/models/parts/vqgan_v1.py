"""The codebook model of VQFR, version 1: an auto-encoder of high-quality faces (Gu et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from facefort.models.blocks.vq import norm_groups
from facefort.models.blocks.vqfr import (
    CODES_PER_SIDE,
    LICENCE,
    PAPER,
    Codebook,
    Resample,
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
    reproduce,
    widths,
)
from facefort.models.spec import Architecture, Options, StateDict

ZOO_PRESET: Options = {
    "out_size": 128,
    "base_channels": 32,
    "channel_multipliers": (1, 1, 2, 4),
    "encoder_num_blocks": 2,
    "decoder_num_blocks": 2,
    "num_code": 512,
    "code_dim": 128,
}


class Encoder(nn.Module):
    """Picture to the feature of the coarsest level: residual blocks, and between the levels half the resolution."""

    def __init__(self, channels: Sequence[int], blocks: int, groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, 1, 1)
        self.encoder_dict = nn.ModuleDict()
        self.pre_downsample_dict = nn.ModuleDict()
        finer = channels[0]
        for level, width in enumerate(channels):
            self.pre_downsample_dict[level_name(level)] = Resample(finer, width, 0.5 if level else 1)
            self.encoder_dict[level_name(level)] = _blocks(width, blocks, groups)
            finer = width
        last = nn.Sequential(*norm_swish(finer, groups), nn.Conv2d(finer, finer, 3, 1, 1))
        self.enc_convout_dict = nn.ModuleDict({level_name(len(channels) - 1): last})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) -> the feature, under its level's name."""
        x = self.conv_in(x)
        for name, blocks in self.encoder_dict.items():
            x = blocks(self.pre_downsample_dict[name](x))
        return {name: last(x) for name, last in self.enc_convout_dict.items()}


class Decoder(nn.Module):
    """Quantised feature to textures of every level, and to a picture."""

    def __init__(self, channels: Sequence[int], blocks: int, groups: int) -> None:
        super().__init__()
        self.decoder_dict = nn.ModuleDict()
        self.pre_upsample_dict = nn.ModuleDict()
        coarser = channels[-1]
        for level, width in reversed(list(enumerate(channels))):
            self.pre_upsample_dict[level_name(level)] = Resample(coarser, width, 2 if level < len(channels) - 1 else 1)
            self.decoder_dict[level_name(level)] = _blocks(width, blocks, groups)
            coarser = width
        self.conv_out = nn.Sequential(*norm_swish(channels[0], groups), nn.Conv2d(channels[0], 3, 3, 1, 1))

    def textures(self, quantised: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features by level, from coarse to fine."""
        (x,) = quantised.values()
        found: dict[str, Tensor] = {}
        for name, blocks in self.decoder_dict.items():
            x = found[name] = blocks(self.pre_upsample_dict[name](x))
        return found

    def forward(
        self, quantised: dict[str, Tensor], return_feat: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The picture (N, 3, H, W), with ``return_feat`` also the textures."""
        found = self.textures(quantised)
        picture: Tensor = self.conv_out(found[level_name(0)])
        return (picture, found) if return_feat else picture


class ProjectedCodebook(Codebook):
    """A codebook between two 1x1 convolutions.

    Args:
        inputs: channels of the feature.
        num_code: number of codes.
        code_dim: width of a code.
        grad_mode: "official" is "ste" here.
    """

    def __init__(self, inputs: int, num_code: int, code_dim: int, grad_mode: str = "official") -> None:
        super().__init__(num_code, code_dim, grad_mode)
        self.quant_conv = nn.Conv2d(inputs, code_dim, 1)
        self.post_quant_conv = nn.Conv2d(code_dim, inputs, 1)

    def quantise(self, x: Tensor, warm_up: bool = False) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Quantise a feature (N, C, H, W).

        Args:
            x: the feature.
            warm_up: leave the vectors as they are, so that encoder and decoder learn before the codes.

        Returns:
            The quantised feature (N, C, H, W), the codebook loss, and the vectors before ("z_conv") and after
            ("z_quant_before_conv") quantisation.
        """
        vectors = self.quant_conv(x)
        if warm_up:
            quantised, loss = vectors, vectors.new_zeros(())
        else:
            quantised, loss, _ = self(vectors)
        info = {"z_conv": vectors, "z_quant_before_conv": quantised}
        return self.post_quant_conv(quantised), loss, info


class Quantizer(nn.Module):
    """The codebook under its level's name, as in the official weights."""

    def __init__(self, name: str, codebook: ProjectedCodebook) -> None:
        super().__init__()
        self.quantize_dict = nn.ModuleDict({name: codebook})


class VQGANv1(nn.Module):
    """The auto-encoder of high-quality faces that the codebook comes from; the published size is the default.

    Args:
        out_size: side of the face, a multiple of ``2 ** (levels - 1)``.
        base_channels: unit of the channels.
        channel_multipliers: channels per level in that unit, from fine to coarse; each level halves the side.
        encoder_num_blocks: residual blocks per level.
        decoder_num_blocks: likewise.
        num_code: number of codes.
        code_dim: width of a code.
        grad_mode: gradient through the look-up; "official" is "ste" in this version.
        warmup_iters: while training, how many first iterations go without quantisation (officially 10,000).
        fix_keys: parameters whose name holds one of these do not train.
    """

    def __init__(
        self,
        out_size: int = 512,
        base_channels: int = 128,
        channel_multipliers: Sequence[int] = (1, 1, 2, 2, 2, 4),
        encoder_num_blocks: int = 2,
        decoder_num_blocks: int = 3,
        num_code: int = 1024,
        code_dim: int = 256,
        grad_mode: str = "official",
        warmup_iters: int = -1,
        fix_keys: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.channels = widths(base_channels, channel_multipliers, out_size)
        self.groups = norm_groups(min(self.channels))
        self.warmup_iters = warmup_iters
        self.encoder = Encoder(self.channels, encoder_num_blocks, self.groups)
        self.decoder = Decoder(self.channels, decoder_num_blocks, self.groups)
        codebook = ProjectedCodebook(self.channels[-1], num_code, code_dim, grad_mode)
        self.quantizer = Quantizer(level_name(len(self.channels) - 1), codebook)
        initialise(self)
        freeze(self, fix_keys)

    @property
    def codebook(self) -> ProjectedCodebook:
        """The codebook, whatever its level's name."""
        (codebook,) = self.quantizer.quantize_dict.values()
        assert isinstance(codebook, ProjectedCodebook)
        return codebook

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Feature to be quantised, under its level's name.

        Raises:
            ValueError: a side cannot be halved as often as there are levels.
        """
        check_sides(x, len(self.channels))
        feature: dict[str, Tensor] = self.encoder(x)
        return feature

    def quant(
        self, enc_dict: dict[str, Tensor], iters: int = -1
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, dict[str, Tensor]]]:
        """Quantised feature, codebook loss and vectors; ``iters`` is the number of the training iteration."""
        ((name, feature),) = enc_dict.items()
        warm_up = self.training and iters < self.warmup_iters
        quantised, loss, info = self.codebook.quantise(feature, warm_up)
        return {name: quantised}, loss, {name: info}

    def forward(
        self, x: Tensor, iters: int = -1, return_keys: str | Sequence[str] = ("dec",)
    ) -> tuple[dict[str, Any], Tensor]:
        """Reproduce a batch (N, 3, H, W) in [-1, 1].

        Args:
            x: the batch.
            iters: number of the training iteration, for the warm-up.
            return_keys: "dec" for the picture, "feat_dict" for the vectors before and after quantisation.

        Returns:
            What was asked for, by name, and the codebook loss.
        """
        quantised, loss, info = self.quant(self.encode(x), iters)
        found: dict[str, Any] = {}
        if "feat_dict" in return_keys:
            found["feat_dict"] = info
        if "dec" in return_keys:
            found["dec"] = self.decoder(quantised)
        return found, loss


def _blocks(width: int, blocks: int, groups: int) -> nn.Sequential:
    return nn.Sequential(*(ResnetBlock(width, width, groups) for _ in range(blocks)))


def detect_codebook(state: StateDict) -> Options | None:
    """Options of the auto-encoder in a state dict; None where there is none. Other keys may stand beside its own."""
    name = next((key for key in state if key.startswith("quantizer.quantize_dict.Level_")), None)
    if name is None or "decoder.conv_out.2.weight" not in state:
        return None
    prefix = ".".join(name.split(".")[:3])
    levels = count(state, "encoder.encoder_dict.")
    keys = [f"encoder.encoder_dict.{level_name(level)}.0.conv1.weight" for level in range(levels)]
    if not levels or any(key not in state for key in (*keys, f"{prefix}.embedding.weight")):
        return None
    num_code, code_dim = state[f"{prefix}.embedding.weight"].shape
    return {
        "out_size": CODES_PER_SIDE << (levels - 1),
        **base_and_multipliers([state[key].shape[0] for key in keys]),
        "encoder_num_blocks": count(state, "encoder.encoder_dict.Level_1."),
        "decoder_num_blocks": count(state, "decoder.decoder_dict.Level_1."),
        "num_code": num_code,
        "code_dim": code_dim,
    }


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return VQGANv1(**options)


ARCHITECTURE = Architecture(
    name="vqgan_v1",
    title="VQGAN of VQFR v1",
    paper=PAPER,
    licence=LICENCE,
    build=_build,
    presets={"official": {}, "zoo": ZOO_PRESET},
    detect=lambda state: alone(state, detect_codebook),
    run=decoded,
    train=reproduce,
    own_losses=("codebook",),
)

__all__ = ["ARCHITECTURE", "ZOO_PRESET", "VQGANv1", "detect_codebook"]
