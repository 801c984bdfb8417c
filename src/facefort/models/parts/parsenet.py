"""ParseNet: which part of a face each pixel shows.

The parser of Chen et al., "Progressive Semantic-Aware Style Transformation for Blind Face Restoration", CVPR 2021, with
the layers and key names of the released ``parsing_parsenet.pth`` (19 classes, 512 px, 21,303,254 parameters). The one
that ships is smaller and knows eleven classes, those that a landmark mesh can label without human work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.spec import Architecture, Options, StateDict, TrainingPass

# CelebAMask-HQ's order, as ParseNet was trained on it. BiSeNet's order differs.
CELEBAMASK = (
    *("background", "skin", "nose", "glasses", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"),
    *("mouth", "u_lip", "l_lip", "hair", "hat", "earring", "necklace", "neck", "cloth"),
)
MESH = ("background", "skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip", "hair")
"""The classes of this project's parser; left and right as seen in the picture."""

_ACTIVATION_SLOPE = 0.2


@dataclass(frozen=True)
class Classes:
    """Names of a parser's classes, and what becomes of them when left and right are merged."""

    names: tuple[str, ...]

    def merged(self) -> list[list[int]]:
        """Groups of class numbers that a symmetric face map does not tell apart: eyes, brows, ears, lips."""
        pairs = ({"l_eye", "r_eye"}, {"l_brow", "r_brow"}, {"l_ear", "r_ear"}, {"u_lip", "l_lip"})
        groups: list[list[int]] = []
        for number, name in enumerate(self.names):
            pair = next((pair for pair in pairs if name in pair), {name})
            home = next((group for group in groups if self.names[group[0]] in pair), None)
            if home is None:
                groups.append([number])
            else:
                home.append(number)
        return groups

    def mirrored(self) -> list[int]:
        """For each class the number of its mirror image: left eye and right eye change places."""
        swap = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear"}
        swap |= {right: left for left, right in swap.items()}
        return [self.names.index(swap.get(name, name)) for name in self.names]


def classes_of(count: int) -> Classes:
    """The classes of a parser with ``count`` of them.

    Raises:
        ValueError: neither 19 nor 11.
    """
    known = {len(CELEBAMASK): CELEBAMASK, len(MESH): MESH}
    if count not in known:
        raise ValueError(f"a parser tells {' or '.join(map(str, known))} classes apart, not {count}")
    return Classes(known[count])


class _Norm(nn.Module):
    """Batch normalisation under the key that the released file has."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ConvLayer(nn.Module):
    """Optional nearest doubling, reflection padding, 3x3 convolution, optional halving, normalisation, activation."""

    def __init__(
        self, inputs: int, outputs: int, scale: str = "none", normalise: bool = False, activate: bool = False
    ) -> None:
        super().__init__()
        self.scale, self.activate = scale, activate
        self.conv2d = nn.Conv2d(inputs, outputs, 3, 2 if scale == "down" else 1, bias=not normalise)
        self.norm = _Norm(outputs) if normalise else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        if self.scale == "up":
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.norm(self.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect")))
        return F.leaky_relu(x, _ACTIVATION_SLOPE) if self.activate else x


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; halves or doubles the resolution."""

    def __init__(self, inputs: int, outputs: int, scale: str = "none") -> None:
        super().__init__()
        first, second = {"down": ("none", "down"), "up": ("up", "none"), "none": ("none", "none")}[scale]
        same = scale == "none" and inputs == outputs
        self.shortcut_func = nn.Identity() if same else ConvLayer(inputs, outputs, scale)
        self.conv1 = ConvLayer(inputs, outputs, first, normalise=True, activate=True)
        self.conv2 = ConvLayer(outputs, outputs, second, normalise=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return self.shortcut_func(x) + self.conv2(self.conv1(x))


class ParseNet(nn.Module):
    """Parser and, as a by-product of its training, a rough restorer.

    Args:
        out_size: side of the face; the network runs at other sizes, too.
        min_feat_size: side of the smallest feature.
        base_ch: channels at full resolution; they double at each halving.
        parsing_ch: classes.
        res_depth: residual blocks at the smallest feature.
        ch_range: smallest and largest number of channels.
    """

    def __init__(
        self,
        out_size: int = 512,
        min_feat_size: int = 32,
        base_ch: int = 64,
        parsing_ch: int = 19,
        res_depth: int = 10,
        ch_range: tuple[int, int] = (32, 256),
    ) -> None:
        super().__init__()
        low, high = ch_range
        steps = int(math.log2(out_size // min_feat_size))
        width = [min(max(base_ch * 2**i, low), high) for i in range(steps + 1)]
        self.classes = classes_of(parsing_ch)
        downs = [ResidualBlock(a, b, "down") for a, b in pairwise(width)]
        self.encoder = nn.Sequential(ConvLayer(3, base_ch), *downs)
        self.body = nn.Sequential(*(ResidualBlock(width[-1], width[-1]) for _ in range(res_depth)))
        ups = [ResidualBlock(a, b, "up") for a, b in pairwise(width[::-1])]
        self.decoder = nn.Sequential(*ups)
        self.out_img_conv = ConvLayer(width[0], 3)
        self.out_mask_conv = ConvLayer(width[0], parsing_ch)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) in [-1, 1] -> class logits (N, K, S, S) and a rough restoration (N, 3, S, S)."""
        decoded, _ = self.features(x)
        return self.out_mask_conv(decoded), self.out_img_conv(decoded)

    def features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The last feature (N, C, S, S), and every feature of the decoder from small to large."""
        feature = self.encoder(x)
        feature = feature + self.body(feature)
        levels = [feature]
        for up in self.decoder:
            feature = up(feature)
            levels.append(feature)
        return feature, levels

    def logits(self, x: Tensor) -> Tensor:
        """Class logits (N, K, S, S) alone."""
        masks: Tensor = self.out_mask_conv(self.features(x)[0])
        return masks


def adjusted(probabilities: Tensor, classes: Classes, symmetric: float = 0.5) -> Tensor:
    """Adjusted parsing maps: left and right merged, and mixed with their mirror image.

    A reading of "adjusted facial parsing maps" (JSFM-GAN, 2025, abstract only), not given in the paper.

    Args:
        probabilities: (N, K, H, W), summing to 1 over K.
        classes: what the K channels mean.
        symmetric: share of the mirrored map.

    Returns:
        (N, G, H, W), one channel for each of ``classes.merged()``.
    """
    merged = torch.stack([probabilities[:, group].sum(1) for group in classes.merged()], 1)
    return merged if symmetric == 0 else torch.lerp(merged, merged.flip(3), symmetric)


def detect(state: StateDict) -> Options | None:
    """Options of a ParseNet state dict, read off its shapes; None where it is another network."""
    if "encoder.0.conv2d.weight" not in state or "out_mask_conv.conv2d.weight" not in state:
        return None
    widths = [state["encoder.0.conv2d.weight"].shape[0]]
    while f"encoder.{len(widths)}.conv2.conv2d.weight" in state:
        widths.append(state[f"encoder.{len(widths)}.conv2.conv2d.weight"].shape[0])
    depth = len({key.split(".")[1] for key in state if key.startswith("body.")})
    steps = len(widths) - 1
    size = 512 if widths[0] == 64 else 64
    return {
        "out_size": size,
        "min_feat_size": size // 2**steps,
        "base_ch": widths[0],
        "parsing_ch": state["out_mask_conv.conv2d.weight"].shape[0],
        "res_depth": depth,
        "ch_range": (min(32, widths[0]), max(widths)),
    }


def detect_within(state: StateDict, size: int) -> Options | None:
    """Options of the parser that another network holds and shows faces of ``size`` px; None where it holds none."""
    options = detect({key.removeprefix("parser."): value for key, value in state.items() if key.startswith("parser.")})
    if options is None:
        return None
    shrinks = options["out_size"] // options["min_feat_size"]
    return {**options, "out_size": size, "min_feat_size": size // shrinks}


def _restored(network: nn.Module, faces: Tensor) -> Tensor:
    picture: Tensor = network(faces * 2 - 1)[1]
    return (picture + 1) / 2


def _train(network: nn.Module, degraded: Tensor, labels: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """Labels (N, 1, S, S) are class numbers."""
    assert isinstance(network, ParseNet)
    logits = network.logits(degraded * 2 - 1)
    loss = F.cross_entropy(logits.float(), labels[:, 0].long(), label_smoothing=0.02)
    return TrainingPass(degraded, own={"parsing": loss})


ZOO_PRESET: Options = {
    "out_size": 64,
    "min_feat_size": 8,
    "base_ch": 16,
    "parsing_ch": 11,
    "res_depth": 4,
    "ch_range": (16, 96),
}
"""Half of the size of the restorers that it guides: a quarter of the cost, and parts are still told apart."""

ARCHITECTURE = Architecture(
    name="parsenet",
    title="ParseNet",
    paper="Chen et al., Progressive Semantic-Aware Style Transformation for Blind Face Restoration, CVPR 2021",
    licence="CC BY-NC-SA (official code and weights)",
    build=ParseNet,
    presets={
        "official": {},
        "zoo": ZOO_PRESET,
    },
    detect=detect,
    run=_restored,
    train=_train,
    own_losses=("parsing",),
    low=0.0,
)

__all__ = [
    *("ARCHITECTURE", "CELEBAMASK", "MESH", "ZOO_PRESET", "Classes", "ParseNet"),
    *("adjusted", "classes_of", "detect", "detect_within"),
]
