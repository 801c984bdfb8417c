"""Generators of faces that restorers begin with: what GPEN and GFP-GAN call their GAN prior.

Both are StyleGAN2's (Karras et al., CVPR 2020) in the form that their restorer has, with the same parameter names, so
that a trained one fills the restorer's submodule. They are small, and learn from a large generator whose faces are
known by their codes (:func:`facefort.models.prior.codes`): no discriminator is needed to say what a code should show.
What the restorer puts in the place of noise is zero here; the kernels that read it stay as they began.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from facefort.models.blocks.stylegan2_clean import StyleGAN2Decoder
from facefort.models.blocks.upfirdn import DEFAULT_TAPS
from facefort.models.prior import mean_code
from facefort.models.restorers.gpen import Generator
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass

_PAPER = "Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020; the prior of"


class GPENPrior(Generator):
    """The generator of GPEN with nothing in the place of its noise; arguments as there."""

    def __init__(self, out_size: int = 512, style_dim: int = 512, n_mlp: int = 8, **options: Any) -> None:  # noqa: ANN401
        super().__init__(out_size, style_dim, n_mlp, **options)
        self.code_width = style_dim

    def draw(self, codes: Tensor) -> Tensor:
        """Codes (N, D) -> faces (N, 3, S, S) in [-1, 1]."""
        sides = [4, *(side for level in range(len(self.to_rgbs)) for side in 2 * [8 << level])]
        layers = [self.conv1, *self.convs]
        nothing = [
            codes.new_zeros(len(codes), layer.conv.weight.shape[1] if layer.isconcat else 1, side, side)
            for layer, side in zip(layers, sides, strict=True)
        ]
        picture: Tensor = self(self.style(codes), nothing)[0]
        return picture


class GFPGANPrior(StyleGAN2Decoder):
    """The decoder of GFP-GAN without conditions; arguments as there."""

    def __init__(
        self,
        out_size: int = 512,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        channel_multiplier: float = 2,
        narrow: float = 1,
        sft_half: bool = True,
    ) -> None:
        super().__init__(out_size, num_style_feat, num_mlp, channel_multiplier, narrow, sft_half)
        self.code_width = num_style_feat

    def draw(self, codes: Tensor) -> Tensor:
        """Codes (N, D) -> faces (N, 3, S, S) in [-1, 1]."""
        one, zero = codes.new_ones(1, 1, 1, 1), codes.new_zeros(1, 1, 1, 1)
        # Without a style network a code is the latent itself, and its length says something.
        latent_already = len(self.style_mlp) == 1
        picture: Tensor = self(codes, [one, zero] * len(self.to_rgbs), input_is_latent=latent_already)[0]
        return picture


Prior = GPENPrior | GFPGANPrior
"""A generator that draws faces (N, 3, S, S) in [-1, 1] from codes (N, D)."""


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    """The face of the mean code: a prior looks at no picture."""
    assert isinstance(network, Prior)
    codes = mean_code(network.code_width).to(faces).expand(len(faces), -1)
    return (network.draw(codes) + 1) / 2


def _train(network: nn.Module, codes: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """Draws what the codes (N, D, 1, 1) stand for; pictures in [0, 1], as the codes pass unscaled."""
    assert isinstance(network, Prior)
    return TrainingPass((network.draw(codes.flatten(1)) + 1) / 2)


def detect_gpen(state: StateDict) -> Options | None:
    """Options of the generator of GPEN; None where it is another network, or one that only contains it."""
    if "input.input" not in state or "conv1.noise.weight" not in state:
        return None
    levels = len({key.split(".")[1] for key in state if key.startswith("to_rgbs.")})
    size = 4 << levels
    narrow = state["input.input"].shape[1] / 512
    last = state[f"convs.{2 * levels - 1}.conv.weight"].shape[1]
    return {
        "out_size": size,
        "style_dim": state["conv1.conv.modulation.weight"].shape[1],
        "n_mlp": len({key.split(".")[1] for key in state if key.startswith("style.")}),
        "channel_multiplier": 2.0 if size <= 32 else last / (256 * 64 / size * narrow),
        "blur_kernel": DEFAULT_TAPS,
        "isconcat": state["conv1.activate.bias"].shape[0] == 2 * state["input.input"].shape[1],
        "narrow": narrow,
    }


def detect_gfpgan(state: StateDict) -> Options | None:
    """Options of the decoder of GFP-GAN; None where it is another network, or one that only contains it.

    Whether conditions are to act on half of the channels leaves no trace: the published half is assumed.
    """
    if "constant_input.weight" not in state or "style_conv1.modulated_conv.weight" not in state:
        return None
    levels = len({key.split(".")[1] for key in state if key.startswith("to_rgbs.")})
    size = 4 << levels
    narrow = state["constant_input.weight"].shape[1] / 512
    last = state[f"style_convs.{2 * levels - 1}.bias"].shape[1]
    return {
        "out_size": size,
        "num_style_feat": state["style_conv1.modulated_conv.modulation.weight"].shape[1],
        "num_mlp": len({key.split(".")[1] for key in state if key.startswith("style_mlp.")}),
        "channel_multiplier": 1.0 if size <= 32 else last / (256 * 64 / size * narrow),
        "narrow": narrow,
    }


def _build_gpen(**options: Any) -> nn.Module:  # noqa: ANN401
    return GPENPrior(**options)


def _build_gfpgan(**options: Any) -> nn.Module:  # noqa: ANN401
    return GFPGANPrior(**options)


GPEN = Architecture(
    name="gpen_prior",
    title="the GAN prior of GPEN",
    paper=f"{_PAPER} GPEN, Yang et al., CVPR 2021",
    licence="non-commercial (official code and weights)",
    build=_build_gpen,
    presets={
        "official": {"out_size": 512, "channel_multiplier": 2},
        "zoo": {"out_size": 128, "style_dim": 128, "n_mlp": 4, "channel_multiplier": 2, "narrow": 0.25},
    },
    detect=detect_gpen,
    run=_run,
    train=_train,
    low=0.0,
)

GFPGAN = Architecture(
    name="gfpgan_prior",
    title="the GAN prior of GFP-GAN",
    paper=f"{_PAPER} GFP-GAN, Wang et al., CVPR 2021",
    licence="Apache-2.0 (StyleGAN2 parts of the official code: NVIDIA non-commercial)",
    build=_build_gfpgan,
    presets={
        "official": {"out_size": 512, "channel_multiplier": 2},
        "zoo": {"out_size": 128, "num_style_feat": 64, "num_mlp": 0, "narrow": 0.375, "channel_multiplier": 1},
    },
    detect=detect_gfpgan,
    run=_run,
    train=_train,
    low=0.0,
)

__all__ = ["GFPGAN", "GPEN", "GFPGANPrior", "GPENPrior", "Prior", "detect_gfpgan", "detect_gpen"]
