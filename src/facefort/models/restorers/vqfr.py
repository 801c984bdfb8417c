"""VQFR, version 1: codes of high-quality faces draw textures, and a second decoder warps them to the input.

Gu et al., "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder", ECCV 2022. The
codebook comes from :class:`VQGANv1`, an auto-encoder of high-quality faces. Networks see RGB in [-1, 1] of any size
whose sides are multiples of 32 px; the output may leave the range a little.

The official code passes gradients straight through the look-up, so pictures have a whole gradient to the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.vqfr import (
    LICENCE,
    PAPER,
    Resample,
    ResnetBlock,
    TextureWarping,
    freeze,
    initialise,
    level_name,
    norm_swish,
)
from facefort.models.parts.vqgan_v1 import (
    ZOO_PRESET,
    VQGANv1,
    detect_codebook,
)
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass


class MainDecoder(nn.Module):
    """Textures, warped to the input level by level, to a picture."""

    def __init__(self, channels: Sequence[int], cond_channels: int, groups: int, deformable_groups: int) -> None:
        super().__init__()
        self.decoder_dict = nn.ModuleDict()
        self.pre_upsample_dict = nn.ModuleDict()
        self.align_func_dict = nn.ModuleDict()
        coarser = 0
        for level, width in reversed(list(enumerate(channels))):
            shrink = Resample(cond_channels, cond_channels, 0.5**level)
            self.align_func_dict[level_name(level)] = TextureWarping(
                width, cond_channels, shrink, groups, deformable_groups, coarser
            )
            if coarser:
                self.decoder_dict[level_name(level)] = ResnetBlock(2 * width, width, groups)
                self.pre_upsample_dict[level_name(level)] = Resample(coarser, width, 2)
            coarser = width
        self.conv_out_1 = nn.Sequential(*norm_swish(channels[0], groups))
        self.conv_out = nn.Sequential(nn.Conv2d(channels[0] + 3, 3, 3, 1, 1))

    def forward(self, textures: dict[str, Tensor], condition: Tensor, x_lq: Tensor) -> tuple[Tensor, Tensor]:
        """Textures by level, the input's feature, the input (N, 3, H, W) -> picture (N, 3, H, W) and last feature."""
        x: Tensor | None = None
        steering: Tensor | None = None
        for name, warping in self.align_func_dict.items():
            warped, steering = warping(textures[name], condition, steering)
            if x is None:
                x = warped
            else:
                x = self.decoder_dict[name](torch.cat([self.pre_upsample_dict[name](x), warped], 1))
        out = self.conv_out_1(x)
        picture: Tensor = self.conv_out(torch.cat([out, x_lq.to(out.dtype)], 1))
        return picture, out


class VQFRv1(VQGANv1):
    """VQFR, version 1; the published size is the default.

    Args:
        inpfeat_dim: channels of the input's feature, which steers the warping.
        deformable_groups: of the deformable convolutions.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
        options: those of :class:`VQGANv1`.
    """

    def __init__(
        self,
        inpfeat_dim: int = 32,
        deformable_groups: int = 4,
        input_fusion: bool = False,
        input_floor: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> None:
        fix_keys = options.pop("fix_keys", ())
        super().__init__(**options)
        self.inpfeat_extraction = nn.Sequential()
        self.inpfeat_extraction.add_module("conv", nn.Conv2d(3, inpfeat_dim, 3, 1, 1))
        self.main_decoder = MainDecoder(self.channels, inpfeat_dim, self.groups, deformable_groups)
        initialise(self)
        self.input_fusion = InputFusion(self.channels[0], floor=input_floor) if input_fusion else None
        freeze(self, fix_keys)

    def forward(  # type: ignore[override]
        self,
        x_lq: Tensor,
        iters: int = -1,
        return_keys: str | Sequence[str] = ("dec",),
        fidelity_ratio: float | None = None,
    ) -> dict[str, Any]:
        """Restore a batch (N, 3, H, W) in [-1, 1].

        Args:
            x_lq: the batch.
            iters: number of the training iteration, for the warm-up.
            return_keys: "dec" for both pictures, "main_dec" for that of the main decoder alone (not in the official
                code), "feat_dict" for the vectors before and after quantisation.
            fidelity_ratio: of version 2; without meaning here, as in the official code.

        Returns:
            By name what was asked for: the texture branch's picture "dec", the restored picture "main_dec".
        """
        quantised, _, info = self.quant(self.encode(x_lq), iters)
        found: dict[str, Any] = {}
        if "feat_dict" in return_keys:
            found["feat_dict"] = info
        if "dec" in return_keys or "main_dec" in return_keys:
            textures = self.decoder.textures(quantised)
            if "dec" in return_keys:
                found["dec"] = self.decoder.conv_out(textures[level_name(0)])
            picture, last = self.main_decoder(textures, self.inpfeat_extraction(x_lq), x_lq)
            found["main_dec"] = picture if self.input_fusion is None else self.input_fusion(last, picture, x_lq)
        return found


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    picture: Tensor = network(faces, return_keys=("main_dec",))["main_dec"]
    return picture


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """The teacher is the codebook model of the first stage: its vectors of the clean face are matched."""
    found = network(degraded, return_keys=("dec", "feat_dict"))
    (level,) = found["feat_dict"].values()
    vectors, codes = level["z_conv"], level["z_quant_before_conv"]
    own = {"texture": F.l1_loss(found["dec"], clean), "commit": F.mse_loss(vectors, codes.detach())}
    if teacher is not None:
        with torch.no_grad():
            (wanted,) = teacher(clean, return_keys=("feat_dict",))[0]["feat_dict"].values()
        own["feature"] = F.mse_loss(vectors, wanted["z_quant_before_conv"])
    return TrainingPass(found["main_dec"], own=own, latent=vectors)


def detect(state: StateDict) -> Options | None:
    """Options of a VQFR v1 state dict, read off its shapes; None where it is another architecture.

    The size of the picture is in no shape: the map of codes is taken to be 16 x 16 as in the published network.
    """
    steering = state.get("main_decoder.align_func_dict.Level_1.dcn.conv_offset.weight")
    inpfeat = state.get("inpfeat_extraction.conv.weight")
    options = detect_codebook(state)
    if steering is None or inpfeat is None or options is None:
        return None
    return {
        **options,
        "inpfeat_dim": inpfeat.shape[0],
        "deformable_groups": steering.shape[0] // 27,
        **fusion_options(state),
    }


def explain(state: StateDict) -> str | None:
    """What a checkpoint of VQFR's training is that does not restore; None where it is something else."""
    if detect_codebook(state) is not None:
        return "VQGAN v1, the codebook model of VQFR's first stage: it reproduces faces and restores none"
    return None


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return VQFRv1(**options)


ARCHITECTURE = Architecture(
    name="vqfr",
    title="VQFR v1",
    paper=PAPER,
    licence=LICENCE,
    build=_build,
    presets={
        "official": {"out_size": 512},
        "zoo": {
            **ZOO_PRESET,
            "inpfeat_dim": 16,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    explain=explain,
    run=_run,
    train=_train,
    own_losses=("texture", "commit", "feature"),
)

__all__ = ["ARCHITECTURE", "VQFRv1", "VQGANv1", "detect", "detect_codebook"]
