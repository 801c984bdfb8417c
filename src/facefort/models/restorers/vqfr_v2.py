"""VQFR, version 2: a classifier chooses the codes, and the user how much of the input mixes in.

Released by the authors of "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder" (Gu et
al., ECCV 2022) after the paper. The codebook comes from :class:`VQGANv2`. Networks see RGB in [-1, 1] of any size
whose sides are multiples of 32 px (the official class takes one size, told by ``spatial_size``); the output may leave
the range a little.

**Gradients.** In the official code the codes are an argmax and the texture decoder runs without gradients, so that the
picture's gradient reaches the input only through the 3x3 convolution that steers the warping, and not at all where
``fidelity_ratio`` is 0. An attack on that finds a robustness that is not there. So gradients are a choice here, and the
official one has to be asked for:

========== ============================================================ ===============
grad_mode  gradient of the codes                                        texture decoder
========== ============================================================ ===============
official   none                                                         none
ste        straight through to the encoder's feature                    whole
soft       of the softmax-weighted mixture of codes: trains classifier  whole
========== ============================================================ ===============

Values are the same in all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.vq import check_grad_mode, mixture, with_gradient_of
from facefort.models.blocks.vqfr import (
    LICENCE,
    PAPER,
    ResnetBlock,
    Shrink,
    TextureWarping,
    at_least_float32,
    freeze,
    initialise,
    level_name,
)
from facefort.models.parts.vqgan_v2 import (
    ZOO_PRESET,
    VQGANv2,
    detect_codebook,
)
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass


class MainBranch(nn.Module):
    """Textures, warped to the input level by level, to a feature of full resolution."""

    def __init__(self, channels: Sequence[int], cond_channels: int, groups: int, deformable_groups: int) -> None:
        super().__init__()
        self.decoder_dict = nn.ModuleDict()
        self.pre_upsample_dict = nn.ModuleDict()
        self.align_func_dict = nn.ModuleDict()
        coarser = 0
        for level, width in reversed(list(enumerate(channels))):
            name = level_name(level)
            self.align_func_dict[name] = TextureWarping(
                width, cond_channels, Shrink(0.5**level), groups, deformable_groups, coarser
            )
            if coarser:
                self.pre_upsample_dict[name] = nn.Sequential(
                    nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(coarser, width, 3, 1, 1)
                )
                self.decoder_dict[name] = ResnetBlock(2 * width, width, groups, "residual_func")
            coarser = width

    def forward(self, textures: dict[str, Tensor], condition: Tensor) -> Tensor:
        """Textures by level and the input's feature -> (N, C, H, W)."""
        x: Tensor | None = None
        steering: Tensor | None = None
        for name, warping in self.align_func_dict.items():
            warped, steering = warping(textures[name], condition, steering)
            if x is None:
                x = warped
            else:
                x = self.decoder_dict[name](torch.cat([self.pre_upsample_dict[name](x), warped], 1))
        assert x is not None
        return x


class VQFRv2(VQGANv2):
    """VQFR, version 2; the published size is the default.

    Args:
        inpfeat_dim: channels of the input's feature, which steers the warping.
        deformable_groups: of the deformable convolutions.
        code_selection_mode: "Predict" for the classifier of the published weights, "Nearest" for the nearest codes.
        grad_mode: "official", "ste" or "soft", see the module's text; also an attribute.
        fidelity_ratio: what :class:`~facefort.models.restorer.Restorer` calls the network with, from 0 (best quality)
            to 1 (best fidelity; the network is trained so); also an attribute. The official program's default is 0.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
        options: those of :class:`VQGANv2`.
    """

    def __init__(
        self,
        inpfeat_dim: int = 32,
        deformable_groups: int = 4,
        code_selection_mode: str = "Predict",
        grad_mode: str = "soft",
        fidelity_ratio: float = 1.0,
        input_fusion: bool = False,
        input_floor: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> None:
        fix_keys = options.pop("fix_keys", ())
        super().__init__(**options)
        if code_selection_mode not in ("Predict", "Nearest"):
            raise ValueError(f"code_selection_mode is Predict or Nearest, not '{code_selection_mode}'")
        num_code, code_dim = self.quantizer.embedding.weight.shape
        self.feat2index: nn.Sequential | None = None
        if code_selection_mode == "Predict":
            self.feat2index = nn.Sequential(nn.LayerNorm(code_dim), nn.Linear(code_dim, num_code))
        self.main_branch = MainBranch(self.channels, inpfeat_dim, self.groups, deformable_groups)
        self.inpfeat_extraction = nn.Conv2d(3, inpfeat_dim, 3, 1, 1)
        self.grad_mode = grad_mode
        self.fidelity_ratio = fidelity_ratio
        initialise(self)
        self.input_fusion = InputFusion(self.channels[0], floor=input_floor) if input_fusion else None
        freeze(self, fix_keys)

    @property
    def grad_mode(self) -> str:
        """Gradient through the choice of codes."""
        return self._grad_mode

    @grad_mode.setter
    def grad_mode(self, mode: str) -> None:
        self._grad_mode = self.quantizer.grad_mode = check_grad_mode(mode)

    def forward(self, x_lq: Tensor, fidelity_ratio: float = 1.0) -> dict[str, Tensor]:  # type: ignore[override]
        """Restore a batch (N, 3, H, W) in [-1, 1].

        Args:
            x_lq: the batch.
            fidelity_ratio: share of the warped feature, from 0 (best quality) to 1 (best fidelity).

        Returns:
            By name the encoder's vectors "enc_feat" (N, D, h, w), the classifier's logits "quant_logit" (N, h w, K;
            absent with nearest codes), the texture branch's picture "texture_dec", the restored picture "main_dec".
        """
        feature = self.encode(x_lq)
        found = {"enc_feat": feature}
        codes = self._choose(feature, found)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.grad_mode != "official"):
            textures = self.decoder.textures(codes)
            found["texture_dec"] = self.decoder.conv_out(textures[level_name(0)])
        feature = textures[level_name(0)]
        if fidelity_ratio == 0 and not torch.is_grad_enabled():
            # Nothing is added to the texture, so its picture is the result.
            picture = found["texture_dec"].clone()
        else:
            feature = feature + fidelity_ratio * self.main_branch(textures, self.inpfeat_extraction(x_lq))
            picture = self.decoder.conv_out(feature)
        found["main_dec"] = picture if self.input_fusion is None else self.input_fusion(feature, picture, x_lq)
        return found

    def _choose(self, feature: Tensor, found: dict[str, Tensor]) -> Tensor:
        """Codes (N, D, h, w) for the encoder's vectors; the logits are put into ``found``."""
        if self.feat2index is None:
            codes: Tensor = self.quantizer(feature)[0]
            return codes
        logits = self.feat2index(feature.flatten(2).transpose(1, 2))
        found["quant_logit"] = logits
        height, width = feature.shape[2:]
        codes = self.quantizer.codes(logits.argmax(-1).view(-1, height, width))
        if self.grad_mode == "official":
            return codes
        if self.grad_mode == "ste":
            return with_gradient_of(codes, at_least_float32(feature))
        path = mixture(at_least_float32(logits), self.quantizer.embedding.weight)
        return with_gradient_of(codes, path.transpose(1, 2).reshape(codes.shape))


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    picture: Tensor = network(faces, fidelity_ratio=network.fidelity_ratio)["main_dec"]
    return picture


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """The teacher is the codebook model of the first stage: its codes of the clean face are learned."""
    found = network(degraded, fidelity_ratio=network.fidelity_ratio)
    own = {"texture": F.l1_loss(found["texture_dec"], clean)}
    if teacher is not None:
        with torch.no_grad():
            wanted = teacher(clean, return_keys=())[0]
        own["feature"] = F.mse_loss(found["enc_feat"].float(), wanted["quant_feat"].float())
        if "quant_logit" in found:
            own["code"] = F.cross_entropy(found["quant_logit"].float().transpose(1, 2), wanted["quant_index"])
    return TrainingPass(found["main_dec"], own=own, latent=found["enc_feat"])


def detect(state: StateDict) -> Options | None:
    """Options of a VQFR v2 state dict, read off its shapes; None where it is another architecture.

    The size of the picture is in no shape: the map of codes is taken to be 16 x 16 as in the published network.
    """
    steering = state.get("main_branch.align_func_dict.Level_1.dcn.conv_offset.weight")
    inpfeat = state.get("inpfeat_extraction.weight")
    options = detect_codebook(state)
    if steering is None or inpfeat is None or options is None:
        return None
    return {
        **options,
        "inpfeat_dim": inpfeat.shape[0],
        "deformable_groups": steering.shape[0] // 27,
        "code_selection_mode": "Predict" if "feat2index.1.weight" in state else "Nearest",
        **fusion_options(state),
    }


def explain(state: StateDict) -> str | None:
    """What a checkpoint of VQFR's training is that does not restore; None where it is something else."""
    if detect_codebook(state) is not None:
        return "VQGAN v2, the codebook model of VQFR v2's first stage: it reproduces faces and restores none"
    return None


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return VQFRv2(**options)


ARCHITECTURE = Architecture(
    name="vqfr_v2",
    title="VQFR v2",
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
    own_losses=("texture", "code", "feature"),
)

__all__ = ["ARCHITECTURE", "VQFRv2", "VQGANv2", "detect", "detect_codebook"]
