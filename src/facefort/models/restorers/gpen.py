"""GPEN: an encoder whose features enter a StyleGAN2 generator in place of its noise.

Yang et al., "GAN Prior Embedded Network for Blind Face Restoration in the Wild", CVPR 2021. The encoder's last
feature becomes one style for all layers; every other feature is put beside the generator's activations of the same
size, twice. Networks see RGB in [-1, 1]; the output may leave that range a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.stylegan2 import (
    ConstantInput,
    ConvLayer,
    EqualLinear,
    PixelNorm,
    StyledConv,
    ToRGB,
    checked_log_size,
    stylegan2_channels,
)
from facefort.models.blocks.upfirdn import DEFAULT_TAPS
from facefort.models.spec import Architecture, Options, StateDict


class Generator(nn.Module):
    """StyleGAN2's generator, with features where its noise would be.

    Args:
        size: side of the picture, a power of two from 8.
        style_dim: width of the style.
        n_mlp: layers of the style network.
        channel_multiplier: width from 64 px on.
        blur_kernel: taps of the resampling filter along one side.
        lr_mlp: learning rate of the style network relative to the rest.
        isconcat: put the features beside the activations rather than add them.
        narrow: width of everything.
    """

    def __init__(
        self,
        size: int,
        style_dim: int,
        n_mlp: int,
        channel_multiplier: float = 2,
        blur_kernel: Sequence[float] = DEFAULT_TAPS,
        lr_mlp: float = 0.01,
        isconcat: bool = True,
        narrow: float = 1,
    ) -> None:
        super().__init__()
        mlp = [EqualLinear(style_dim, style_dim, lr_mul=lr_mlp, activation=True) for _ in range(n_mlp)]
        self.style = nn.Sequential(PixelNorm(), *mlp)
        width = stylegan2_channels(channel_multiplier, narrow)
        multiplier = 2 if isconcat else 1
        self.input = ConstantInput(width[4])
        self.conv1 = StyledConv(width[4], width[4], 3, style_dim, isconcat=isconcat)
        self.to_rgb1 = ToRGB(width[4] * multiplier, style_dim, upsample=False)
        convs: list[StyledConv] = []
        rgbs: list[ToRGB] = []
        for level in range(3, checked_log_size(size) + 1):
            inputs, outputs = width[2 ** (level - 1)] * multiplier, width[2**level]
            convs.append(StyledConv(inputs, outputs, 3, style_dim, True, blur_kernel, isconcat))
            convs.append(StyledConv(outputs * multiplier, outputs, 3, style_dim, isconcat=isconcat))
            rgbs.append(ToRGB(outputs * multiplier, style_dim, taps=blur_kernel))
        self.convs = nn.ModuleList(convs)
        self.to_rgbs = nn.ModuleList(rgbs)
        self.n_latent = 2 * checked_log_size(size) - 2

    def forward(self, latent: Tensor, noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Generate.

        Args:
            latent: (N, D), after the style network: one for all layers.
            noise: features of 4 px, then two of each size from 8 px on.

        Returns:
            Picture (N, 3, S, S) and last feature (N, C, S, S).
        """
        out = self.conv1(self.input(len(latent)), latent, noise[0])
        picture: Tensor = self.to_rgb1(out, latent)
        for level, to_rgb in enumerate(self.to_rgbs):
            out = self.convs[2 * level](out, latent, noise[2 * level + 1])
            out = self.convs[2 * level + 1](out, latent, noise[2 * level + 2])
            picture = to_rgb(out, latent, picture)
        return picture, out


class FullGenerator(nn.Module):
    """GPEN: encoder, style, generator. The arguments are the official ones (see :class:`Generator`), and two more.

    Args:
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
    """

    def __init__(
        self,
        size: int = 512,
        style_dim: int = 512,
        n_mlp: int = 8,
        channel_multiplier: float = 2,
        blur_kernel: Sequence[float] = DEFAULT_TAPS,
        lr_mlp: float = 0.01,
        isconcat: bool = True,
        narrow: float = 1,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.log_size = checked_log_size(size)
        self.generator = Generator(
            size, style_dim, n_mlp, channel_multiplier, blur_kernel, lr_mlp, isconcat=isconcat, narrow=narrow
        )
        width = stylegan2_channels(channel_multiplier, narrow)
        self.ecd0 = nn.Sequential(ConvLayer(3, width[size], 1))
        for level in range(self.log_size, 2, -1):
            layer = ConvLayer(width[2**level], width[2 ** (level - 1)], 3, downsample=True, taps=blur_kernel)
            self.add_module(f"ecd{self.log_size - level + 1}", nn.Sequential(layer))
        last = width[size] * (2 if isconcat else 1)
        self.input_fusion = InputFusion(last, floor=input_floor) if input_fusion else None
        self.final_linear = nn.Sequential(EqualLinear(width[4] * 16, style_dim, activation=True))

    def forward(
        self,
        inputs: Tensor,
        return_latents: bool = False,
        inject_index: int | None = None,
        truncation: float = 1,
        truncation_latent: Tensor | None = None,
        input_is_latent: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Restore a batch.

        Args:
            inputs: (N, 3, S, S) in [-1, 1].
            return_latents: also return the latents, one per layer.
            inject_index: the layer where a second style takes over; without meaning here, where there is one style.
            truncation: below 1, the style is drawn so far towards ``truncation_latent``.
            truncation_latent: (1, D), a mean style.
            input_is_latent: the encoder's vector is the latent; skip the style network.

        Returns:
            The picture (N, 3, S, S), and the latents (N, L, D) or None.
        """
        features: list[Tensor] = []
        face = inputs
        for level in range(self.log_size - 1):
            inputs = self.get_submodule(f"ecd{level}")(inputs)
            features.append(inputs)
        latent = self.final_linear(inputs.flatten(1))
        if not input_is_latent:
            latent = self.generator.style(latent)
        if truncation < 1:
            if truncation_latent is None:
                raise ValueError("truncation needs a truncation_latent to draw the style to")
            latent = truncation_latent + truncation * (latent - truncation_latent)
        # Each feature serves both layers of its size, small sizes first; 4 px has one layer only.
        noise = [feature for feature in reversed(features) for _ in range(2)][1:]
        image, last = self.generator(latent, noise)
        if self.input_fusion is not None:
            image = self.input_fusion(last, image, face)
        return image, latent[:, None].expand(-1, self.generator.n_latent, -1) if return_latents else None


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    image: Tensor = network(faces)[0]
    return image


def detect(state: StateDict) -> Options | None:
    """Options of a GPEN state dict, read off its shapes; None where it is another architecture.

    The learning rate of the style network and the taps of the filter leave no trace in the shapes: the rate is the
    published one, and the filter's values come with the weights.
    """
    needed = ("generator.input.input", "generator.conv1.noise.weight", "ecd0.0.0.weight", "final_linear.0.weight")
    if any(key not in state for key in needed):
        return None
    encoders = {key.split(".")[0] for key in state if key.startswith("ecd")}
    rgbs = {key.split(".")[2] for key in state if key.startswith("generator.to_rgbs.")}
    if len(encoders) != len(rgbs) + 1:
        return None  # the super-resolving variant, whose picture is larger than its input
    size = 2 ** (len(encoders) + 1)
    narrow = state["generator.input.input"].shape[1] / 512
    widest = state["ecd0.0.0.weight"].shape[0]
    kernel = state["ecd1.0.0.kernel"]
    return {
        "out_size": size,
        "style_dim": state["final_linear.0.weight"].shape[0],
        "n_mlp": len({key.split(".")[2] for key in state if key.startswith("generator.style.")}),
        "channel_multiplier": 2.0 if size <= 32 else widest / (256 * 64 / size * narrow),
        "blur_kernel": DEFAULT_TAPS if kernel.shape[0] == len(DEFAULT_TAPS) else (1.0,) * kernel.shape[0],
        "isconcat": state["generator.conv1.activate.bias"].shape[0] == 2 * state["generator.input.input"].shape[1],
        "narrow": narrow,
        **fusion_options(state),
    }


def _build(out_size: int = 512, **options: Any) -> nn.Module:  # noqa: ANN401
    return FullGenerator(out_size, **options)


ARCHITECTURE = Architecture(
    name="gpen",
    title="GPEN",
    paper="Yang et al., GAN Prior Embedded Network for Blind Face Restoration in the Wild, CVPR 2021",
    licence="non-commercial (official code and weights)",
    build=_build,
    presets={
        "official": {"out_size": 512, "channel_multiplier": 2},
        "official-256": {"out_size": 256, "channel_multiplier": 1, "narrow": 0.5},
        "zoo": {
            "out_size": 128,
            "style_dim": 128,
            "n_mlp": 4,
            "channel_multiplier": 2,
            "narrow": 0.25,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
)

__all__ = ["ARCHITECTURE", "FullGenerator", "Generator", "detect"]
