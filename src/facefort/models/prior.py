"""The face prior: a generator of people who do not exist, with its latent space.

MobileStyleGAN (Belousov 2021, arXiv:2104.04767) trained on FFHQ at 1024 px: a StyleGAN2 mapping network, and a
synthesis network of modulated depthwise-separable convolutions whose upsampling is an inverse Haar wavelet transform.
The demodulation does not depend on the style here; the carried weights contain it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort.assets import ASSETS, path
from facefort.errors import UsageError
from facefort.files import sha256_bytes
from facefort.models.openvino_ir import constants
from facefort.pictures.tensors import round_to_8_bits

ASSET = "mobilestylegan"
SIDE = 1024
"""Side of a synthesised face, in pixels."""
LATENT = 512
"""Length of z and of w."""
STYLES = 23
"""Length of a W+ code: one w for each modulated layer."""
PSI = (0.6, 0.75, 0.9)
"""Truncation of a drawn face, by its seed modulo 3."""

_WIDTHS = (512, 512, 512, 512, 256, 128, 64)
_FIRST_SIDE = 4
_SLOPE = 0.2
_MEAN_DRAWS = 4096


class MappingNetwork(nn.Module):
    """Eight fully connected layers from z (N, 512) to w (N, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(LATENT, LATENT) for _ in range(8))

    def forward(self, z: Tensor) -> Tensor:
        """Map normal noise to the intermediate latent space."""
        w = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), _SLOPE) * math.sqrt(2)
        return w


class Modulation(nn.Module):
    """One factor per channel, an affine function of w.

    Args:
        channels: how many channels are scaled.
        fan_in: inputs of one output of the layer that follows; its equalised learning rate divides by the root.
    """

    def __init__(self, channels: int, fan_in: int = 1) -> None:
        super().__init__()
        self.affine = nn.Linear(LATENT, channels)
        self.scale = 1 / math.sqrt(fan_in)

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Scale the channels of (N, C, H, W), or of a constant (1, C, H, W), by the styles w (N, 512)."""
        style: Tensor = self.affine(w) * self.scale
        return features * style[:, :, None, None]


class StyledConv(nn.Module):
    """A modulated convolution, fixed noise, and a leaky ReLU.

    Args:
        conv: the convolution, 3 x 3 in the plane.
        channels: its input channels.
        side: side of its feature maps.
    """

    noise: Tensor

    def __init__(self, conv: nn.Module, channels: int, side: int) -> None:
        super().__init__()
        self.modulation = Modulation(channels, fan_in=9 * channels)
        self.conv = conv
        self.register_buffer("noise", torch.zeros(1, 1, side, side))

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Features (N, C, side, side) and w (N, 512) to features of the convolution's width."""
        features = self.conv(self.modulation(features, w))
        # Under autocast the float32 buffer would promote every following map to float32.
        return F.leaky_relu(features + self.noise.to(features.dtype), _SLOPE)


class SynthesisBlock(nn.Module):
    """One doubling of the side: modulation, Haar upsampling, two depthwise-separable convolutions.

    Args:
        channels: input channels; upsampling leaves a quarter of them.
        width: output channels.
        side: output side.
    """

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.up = Modulation(channels)
        self.conv1 = StyledConv(separable_conv(channels // 4, width), channels // 4, side)
        self.conv2 = StyledConv(separable_conv(width, width), width, side)

    def forward(self, features: Tensor, w: Sequence[Tensor]) -> Tensor:
        """Double the side of the features; ``w`` holds the styles of the three modulations, (N, 512) each."""
        features = self.conv1(haar_upsample(self.up(features, w[0])), w[1])
        doubled: Tensor = self.conv2(features, w[2])
        return doubled


class ToPicture(nn.Module):
    """Features (N, C, H, W) to a picture (N, 3, 2H, 2W) through its wavelet coefficients."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.modulation = Modulation(channels, fan_in=channels)
        self.conv = nn.Conv2d(channels, 4 * 3, 1)

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """The picture, in about [-1, 1]."""
        return haar_upsample(self.conv(self.modulation(features, w)))


class SynthesisNetwork(nn.Module):
    """From styles to a face of 1024 px."""

    constant: Tensor

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(LATENT, LATENT, 3, padding=1)
        widths = (LATENT, *_WIDTHS)
        self.register_buffer("constant", torch.zeros(1, LATENT, _FIRST_SIDE, _FIRST_SIDE))
        self.conv1 = StyledConv(first, LATENT, _FIRST_SIDE)
        self.blocks = nn.ModuleList(
            SynthesisBlock(channels, width, _FIRST_SIDE << i)
            for i, (channels, width) in enumerate(itertools.pairwise(widths), start=1)
        )
        self.to_picture = ToPicture(_WIDTHS[-1])

    def forward(self, w: Tensor) -> Tensor:
        """Draw faces; the gradient reaches ``w`` except where a pixel is clipped.

        Args:
            w: (N, 512), or (N, 23, 512) with a style of its own for each modulated layer, from coarse to fine.

        Returns:
            float32 (N, 3, 1024, 1024) in [0, 1].
        """
        styles = w.unbind(dim=1) if w.ndim == 3 else (w,) * STYLES
        if len(styles) != STYLES:
            raise ValueError(f"a W+ code is (N, {STYLES}, {LATENT}), not {tuple(w.shape)}")
        features = self.conv1(self.constant, styles[0])
        for i, block in enumerate(self.blocks):
            features = block(features, styles[1 + 3 * i : 4 + 3 * i])
        picture: Tensor = self.to_picture(features, styles[-1])
        return (picture.float() * 0.5 + 0.5).clamp(0, 1)


class FacePrior(nn.Module):
    """The generator with its two spaces: ``mapping`` (z to w), ``truncate`` and ``synthesis`` (w or W+ to pixels).

    Load it with :func:`prior`; a bare instance has no meaningful weights.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mapping = MappingNetwork()
        self.synthesis = SynthesisNetwork()
        self.register_buffer("mean", torch.zeros(1, LATENT))

    def forward(self, z: Tensor, psi: float = 1.0) -> Tensor:
        """Faces (N, 3, 1024, 1024) in [0, 1] of normal noise z (N, 512)."""
        faces: Tensor = self.synthesis(self.truncate(self.mapping(z), psi))
        return faces

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Pull w towards the mean face: 1 keeps it, 0 is the mean (StyleGAN, Karras et al. 2019, appendix B)."""
        return self.mean + psi * (w - self.mean)

    @torch.no_grad()
    def draw(self, seeds: Sequence[int], size: int = 256, psi: float | None = None) -> Tensor:
        """The faces of some seeds, the same ones in any company.

        A seed is one normal draw of numpy's ``RandomState``. Faces are synthesised one by one in float32, whatever
        autocast is around, averaged down, and rounded to 8 bits. Another number of threads or another machine may
        round a value to the next level.

        Args:
            seeds: from 0 to 2**32 - 1 each.
            size: side in pixels, 1024 divided by a power of two.
            psi: truncation; None takes :data:`PSI` of the seed modulo 3.

        Returns:
            float32 (N, 3, size, size) in [0, 1], on the prior's device.

        Raises:
            UsageError: a seed out of range, or a size that the faces cannot be averaged down to.
        """
        check_size(size)
        faces = torch.empty(len(seeds), 3, size, size, device=self.mean.device)
        with torch.autocast(self.mean.device.type, enabled=False):
            for face, seed in zip(faces, seeds, strict=True):
                z = latent(seed).to(self.mean)
                picture = self(z, PSI[seed % 3] if psi is None else psi)
                face.copy_(F.avg_pool2d(picture, SIDE // size)[0])
        return round_to_8_bits(faces)


def latent(seed: int) -> Tensor:
    """The z (1, 512) of a seed.

    Raises:
        UsageError: the seed is negative or above 2**32 - 1.
    """
    check_seed(seed)
    z = np.random.RandomState(seed).randn(1, LATENT)
    return torch.from_numpy(z).float()


def check_seed(seed: int) -> None:
    """Raise UsageError unless numpy's ``RandomState`` takes the seed."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"the seed of a face goes from 0 to {2**32 - 1}, not {seed}")


def check_size(size: int) -> None:
    """Raise UsageError unless a 1024 px face averages down to ``size`` by whole pixels."""
    if size < 1 or SIDE % size:
        raise UsageError(f"generated faces come in 1024 px and its halves (512, 256, 128, ...), not {size}")


def separable_conv(channels: int, width: int) -> nn.Sequential:
    """A 3 x 3 convolution within each channel, then a 1 x 1 convolution across them."""
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, width, 1))


def haar_upsample(coefficients: Tensor) -> Tensor:
    """Inverse Haar wavelet transform, (N, 4C, H, W) to (N, C, 2H, 2W).

    The first C channels are the averages; the details follow, three by three: vertical, horizontal, diagonal.
    """
    count = coefficients.shape[1] // 4
    average = coefficients[:, :count]
    vertical, horizontal, diagonal = (coefficients[:, count + k :: 3] for k in range(3))
    even, odd = average + vertical, average - vertical
    slope_even, slope_odd = horizontal + diagonal, horizontal - diagonal
    corners = (even + slope_even, even - slope_even, odd + slope_odd, odd - slope_odd)
    return F.pixel_shuffle(torch.stack(corners, dim=2).flatten(1, 2) * 0.5, 2)


@functools.cache
def prior() -> FacePrior:
    """The generator with its carried weights, frozen, on the CPU; loaded once.

    Raises:
        WeightsError: not fetched yet, or damaged.
    """
    model = FacePrior()
    model.mapping.load_state_dict(mapping_state())
    model.synthesis.load_state_dict(synthesis_state())
    model.mean.copy_(mean_style(model.mapping))
    model = model.eval().requires_grad_(False)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.no_grad()
def codes(seeds: Sequence[int], width: int) -> Tensor:
    """Short codes of the faces of some seeds, from which a smaller generator can learn to draw them.

    A code is the face's style, truncated as :meth:`FacePrior.draw` truncates it, in the directions in which styles
    differ most, each of unit variance over untruncated draws; the last number is the same for all, half the root of
    the width, so that a network which scales its codes to unit length still sees how far a face is from the mean.

    Args:
        seeds: of the faces.
        width: numbers of a code, 2 to 513.

    Returns:
        (N, width), float32.
    """
    if not 2 <= width <= LATENT + 1:
        raise ValueError(f"a code has 2 to {LATENT + 1} numbers, not {width}")
    model = prior()
    directions, deviations = _directions()
    shifts = torch.cat([PSI[seed % 3] * (model.mapping(latent(seed).to(model.mean)) - model.mean) for seed in seeds])
    places = (shifts.double() @ directions[:, : width - 1] / deviations[: width - 1]).float()
    return F.pad(places, (0, 1)) + mean_code(width)


def mean_code(width: int) -> Tensor:
    """The code (1, width) of the mean face: nothing but the last number."""
    code = torch.zeros(1, width)
    code[0, -1] = 0.5 * math.sqrt(width)
    return code


@functools.cache
@torch.no_grad()
def _directions() -> tuple[Tensor, Tensor]:
    """Orthogonal directions of the styles (512, 512), a column each, and the deviations along them, largest first."""
    z = np.random.RandomState(0).randn(_MEAN_DRAWS, LATENT)
    w = prior().mapping(torch.from_numpy(z).float()).double()
    variances, directions = torch.linalg.eigh(torch.cov(w.T))
    directions, variances = directions.flip(1), variances.flip(0)
    # An eigenvector's sign is the library's choice: make it ours.
    signs = directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    return directions * signs, variances.clamp(min=1e-12).sqrt()


def weights_digest() -> str:
    """Hex SHA-256 of what the generator is made of: the hashes of its carried files, as the catalogue records them."""
    return sha256_bytes("".join(member.sha256 for member in ASSETS[ASSET].members).encode())


@torch.no_grad()
def mean_style(mapping: MappingNetwork) -> Tensor:
    """The mean w (1, 512) of 4096 draws, as many as the carrier package takes; its own are not seeded, these are."""
    z = np.random.RandomState(0).randn(_MEAN_DRAWS, LATENT)
    w: Tensor = mapping(torch.from_numpy(z).float())
    return w.mean(dim=0, keepdim=True)


def mapping_state() -> dict[str, Tensor]:
    """State of :class:`MappingNetwork`; the exporter numbered its constants."""
    found = _graph("MappingNetwork")
    state = {}
    for i in range(8):
        state[f"layers.{i}.weight"] = found[str(173 + 4 * i)]
        state[f"layers.{i}.bias"] = found[str(174 + 4 * i)]
    return state


def synthesis_state() -> dict[str, Tensor]:
    """State of :class:`SynthesisNetwork`; the exporter kept parameter names and numbered what it folded."""
    found = _graph("SynthesisNetwork")
    state = {"constant": found["m.input.input"]}
    state.update(_modulation(found, "m.conv1.conv", "conv1.modulation"))
    state["conv1.conv.weight"] = found["Mul_39_copy"]
    state["conv1.conv.bias"] = found["m.conv1.bias"].flatten()
    state["conv1.noise"] = found["1531"]
    for i in range(len(_WIDTHS)):
        state.update(_modulation(found, f"m.layers.{i}.up", f"blocks.{i}.up"))
        for conv, weight, noise in (("conv1", 106, 1560), ("conv2", 139, 1572)):
            theirs, ours = f"m.layers.{i}.{conv}", f"blocks.{i}.{conv}"
            state.update(_modulation(found, f"{theirs}.conv", f"{ours}.modulation"))
            state[f"{ours}.conv.0.weight"] = found[f"{theirs}.conv.weight_dw"].squeeze(1)
            state[f"{ours}.conv.1.weight"] = found[f"Mul_{weight + 100 * i}_copy"]
            state[f"{ours}.conv.1.bias"] = found[f"{theirs}.bias"].flatten()
            state[f"{ours}.noise"] = found[str(noise + 41 * i)]
    last = f"m.layers.{len(_WIDTHS) - 1}.to_img"
    state.update(_modulation(found, f"{last}.conv", "to_picture.modulation"))
    state["to_picture.conv.weight"] = found[f"{last}.conv.weight"]
    state["to_picture.conv.bias"] = found[f"{last}.bias"].flatten()
    return state


def _modulation(found: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    return {
        f"{ours}.affine.weight": found[f"{theirs}.modulation.weight"],
        f"{ours}.affine.bias": found[f"{theirs}.modulation.bias"].flatten(),
    }


def _graph(name: str) -> dict[str, Tensor]:
    path(ASSET, f"{name}.bin")  # named where it is missing; the reader finds it beside the graph
    return constants(path(ASSET, f"{name}.xml"))
