"""GFP-GAN, the clean architecture: a U-Net whose features modulate a StyleGAN2 decoder by channel-split SFT.

Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior", CVPR 2021; the "clean" variant
of the released v1.2 to v1.4 checkpoints: no custom kernels, bilinear resampling, equalised rates and gains folded in.
Networks see RGB in [-1, 1]; the output may leave that range a little.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.stylegan2_clean import StyleGAN2Decoder, stylegan_channels
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass


class ResBlock(nn.Module):
    """Residual block that halves or doubles the resolution: conv, bilinear resize, conv, plus a resized 1x1 skip."""

    def __init__(self, inputs: int, outputs: int, scale: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H * scale, W * scale)."""
        out = F.leaky_relu(self.conv1(x), 0.2)
        out = F.leaky_relu(self.conv2(_resize(out, self.scale)), 0.2)
        # The 1x1 skip commutes with the resize; it runs where there are fewer pixels.
        if self.scale < 1:
            return out + self.skip(_resize(x, self.scale))
        return out + _resize(self.skip(x), self.scale)


class GFPGANv1Clean(nn.Module):
    """The clean GFP-GAN v1.

    Args:
        out_size: side of the face, a power of two from 16.
        num_style_feat: width of a latent vector.
        channel_multiplier: width of the levels from 64 px on, relative to 256, 128, 64 ... channels.
        num_mlp: layers of the style network; unused with ``input_is_latent`` but part of the released weights.
        input_is_latent: the encoder's vectors are W+ and skip the style network.
        different_w: one latent vector per layer rather than one for all.
        narrow: width of everything.
        sft_half: modulate half of the channels and leave the other half to the prior.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
    """

    def __init__(
        self,
        out_size: int = 512,
        num_style_feat: int = 512,
        channel_multiplier: float = 2,
        num_mlp: int = 8,
        input_is_latent: bool = True,
        different_w: bool = True,
        narrow: float = 1,
        sft_half: bool = True,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_is_latent = input_is_latent
        self.different_w = different_w
        self.num_style_feat = num_style_feat
        self.log_size = int(math.log2(out_size))
        if 2**self.log_size != out_size or out_size < 16:
            raise ValueError(f"out_size must be a power of two of at least 16, not {out_size}")

        width = stylegan_channels(narrow * 0.5, channel_multiplier)
        levels = [2**i for i in range(2, self.log_size + 1)]  # 4, 8, ... out_size
        self.conv_body_first = nn.Conv2d(3, width[out_size], 1)
        self.conv_body_down = nn.ModuleList(
            ResBlock(width[big], width[small], 0.5) for big, small in zip(levels[:0:-1], levels[-2::-1], strict=True)
        )
        self.final_conv = nn.Conv2d(width[4], width[4], 3, 1, 1)
        self.conv_body_up = nn.ModuleList(ResBlock(width[small], width[big], 2.0) for small, big in pairwise(levels))
        self.toRGB = nn.ModuleList(nn.Conv2d(width[level], 3, 1) for level in levels[1:])
        latents = 2 * self.log_size - 2 if different_w else 1
        self.final_linear = nn.Linear(width[4] * 16, latents * num_style_feat)
        self.stylegan_decoder = StyleGAN2Decoder(
            out_size, num_style_feat, num_mlp, channel_multiplier, narrow, sft_half=sft_half
        )
        self.condition_scale = nn.ModuleList(_condition(width[level], sft_half) for level in levels[1:])
        self.condition_shift = nn.ModuleList(_condition(width[level], sft_half) for level in levels[1:])
        self.input_fusion = InputFusion(width[out_size], floor=input_floor) if input_fusion else None

    def forward(
        self,
        x: Tensor,
        return_latents: bool = False,
        return_rgb: bool = True,
        randomize_noise: bool = False,
    ) -> tuple[Tensor, list[Tensor]] | tuple[Tensor, Tensor]:
        """Restore a batch.

        Args:
            x: (N, 3, S, S) in [-1, 1].
            return_latents: return the W+ vectors (N, L, D) in place of the auxiliary pictures.
            return_rgb: also compute the U-Net's own pictures at 8 px to S, for the pyramid loss.
            randomize_noise: draw StyleGAN's noise anew (the official default; off here, so that two passes agree).

        Returns:
            The picture (N, 3, S, S), and the auxiliary pictures from small to large, or the latents.
        """
        feature = F.leaky_relu(self.conv_body_first(x), 0.2)
        skips: list[Tensor] = []
        for down in self.conv_body_down:
            feature = down(feature)
            skips.insert(0, feature)
        feature = F.leaky_relu(self.final_conv(feature), 0.2)
        latent = self.final_linear(feature.flatten(1))
        if self.different_w:
            latent = latent.view(len(x), -1, self.num_style_feat)

        conditions: list[Tensor] = []
        pictures: list[Tensor] = []
        for i, up in enumerate(self.conv_body_up):
            feature = up(feature + skips[i])
            conditions += [self.condition_scale[i](feature), self.condition_shift[i](feature)]
            if return_rgb:
                pictures.append(self.toRGB[i](feature))
        image, latents = self.stylegan_decoder(
            latent, conditions, input_is_latent=self.input_is_latent, randomize_noise=randomize_noise
        )
        if self.input_fusion is not None:
            image = self.input_fusion(feature, image, x)
        return (image, latents) if return_latents else (image, pictures)


def _resize(x: Tensor, scale: float) -> Tensor:
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def _condition(width: int, sft_half: bool) -> nn.Sequential:
    outputs = width if sft_half else 2 * width
    return nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, outputs, 3, 1, 1))


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    image: Tensor = network(faces, return_rgb=False)[0]
    return image


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    image, pictures = network(degraded)
    return TrainingPass(image, list(pictures))


def detect(state: StateDict) -> Options | None:
    """Options of a GFP-GAN (clean) state dict, read off its shapes; None where it is another architecture."""
    needed = ("conv_body_first.weight", "stylegan_decoder.style_conv1.bias", "condition_scale.0.0.weight")
    if any(key not in state for key in needed):
        return None
    levels = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("toRGB."))
    out_size = 4 * 2**levels
    style = state["stylegan_decoder.style_conv1.modulated_conv.modulation.weight"].shape[1]
    narrow = state["stylegan_decoder.constant_input.weight"].shape[1] / 512
    big = state[f"stylegan_decoder.style_convs.{2 * levels - 1}.bias"].shape[1]
    base = 512 if out_size <= 32 else 256 * 64 / out_size
    width = state["condition_scale.0.0.weight"].shape[0]
    latents = state["final_linear.weight"].shape[0] // style
    mlp = {key.split(".")[2] for key in state if key.startswith("stylegan_decoder.style_mlp.")}
    return {
        "out_size": out_size,
        "num_style_feat": style,
        "channel_multiplier": 1.0 if out_size <= 32 else big / (base * narrow),
        "num_mlp": len(mlp),
        "input_is_latent": True,
        "different_w": latents > 1,
        "narrow": narrow,
        "sft_half": state["condition_scale.0.2.weight"].shape[0] == width,
        **fusion_options(state),
    }


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return GFPGANv1Clean(**options)


ARCHITECTURE = Architecture(
    name="gfpgan",
    title="GFP-GAN",
    paper="Wang et al., Towards Real-World Blind Face Restoration with Generative Facial Prior, CVPR 2021",
    licence="Apache-2.0 (StyleGAN2 parts of the official code: NVIDIA non-commercial)",
    build=_build,
    presets={
        "official": {"out_size": 512, "channel_multiplier": 2},
        "zoo": {
            "out_size": 128,
            "num_style_feat": 64,
            "num_mlp": 0,
            "narrow": 0.375,
            "channel_multiplier": 1,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
    train=_train,
)

__all__ = ["ARCHITECTURE", "GFPGANv1Clean", "ResBlock", "detect"]
