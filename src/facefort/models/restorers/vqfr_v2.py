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

from facefort.models.blocks.vq import Downsample, Upsample, check_grad_mode, mixture, norm_groups, with_gradient_of
from facefort.models.blocks.vqfr import (
    CODES_PER_SIDE,
    Codebook,
    ResnetBlock,
    Shrink,
    TextureWarping,
    at_least_float32,
    base_and_multipliers,
    count,
    freeze,
    initialise,
    level_name,
    norm_swish,
    normalise,
    widths,
)
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass


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
        q, k, v = (conv(h).flatten(2).transpose(1, 2) for conv in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return x + self.proj_out(out)


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
        factor = 2 ** (len(self.channels) - 1)
        if x.shape[2] % factor or x.shape[3] % factor:
            raise ValueError(f"VQFR takes pictures whose sides are multiples of {factor} px, not {tuple(x.shape[2:])}")
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


class VQFRv2(VQGANv2):
    """VQFR, version 2; the published size is the default.

    Args:
        inpfeat_dim: channels of the input's feature, which steers the warping.
        deformable_groups: of the deformable convolutions.
        code_selection_mode: "Predict" for the classifier of the published weights, "Nearest" for the nearest codes.
        grad_mode: "official", "ste" or "soft", see the module's text; also an attribute.
        fidelity_ratio: what :class:`~facefort.models.restorer.Restorer` calls the network with, from 0 (best quality)
            to 1 (best fidelity; the network is trained so); also an attribute. The official program's default is 0.
        options: those of :class:`VQGANv2`.
    """

    def __init__(
        self,
        inpfeat_dim: int = 32,
        deformable_groups: int = 4,
        code_selection_mode: str = "Predict",
        grad_mode: str = "soft",
        fidelity_ratio: float = 1.0,
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
        if fidelity_ratio == 0 and not torch.is_grad_enabled():
            # Nothing is added to the texture, so its picture is the result.
            found["main_dec"] = found["texture_dec"].clone()
            return found
        warped = self.main_branch(textures, self.inpfeat_extraction(x_lq))
        found["main_dec"] = self.decoder.conv_out(textures[level_name(0)] + fidelity_ratio * warped)
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
    paper="Gu et al., VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder, ECCV 2022",
    licence="Apache-2.0 (with exceptions for third-party parts)",
    build=_build,
    presets={
        "official": {"out_size": 512},
        "zoo": {
            "out_size": 128,
            "base_channels": 24,
            "channel_multipliers": (1, 2, 4, 6),
            "num_enc_blocks": 1,
            "num_dec_blocks": 1,
            "num_code": 512,
            "code_dim": 128,
            "inpfeat_dim": 16,
        },
    },
    detect=detect,
    explain=explain,
    run=_run,
    train=_train,
    own_losses=("texture", "code", "feature"),
)

__all__ = ["ARCHITECTURE", "VQFRv2", "VQGANv2", "detect", "detect_codebook"]
