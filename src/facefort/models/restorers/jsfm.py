"""JSFM-GAN: a coarse stage guided by the parsing map, then a stage whose features are modulated by both.

"JSFM-GAN", Applied Soft Computing 185:113974, 2025. Only its abstract is public: two stages; the first modulates the
degraded face with its parsing map and gives a rough structure; the second modulates features at several scales jointly
by the degraded face (tonal structure) and by the first stage's features (clean spatial information); up-sampling is
supplemented (UFSB); a reconstruction loss on the stages; adjusted parsing maps. Layers, widths and every formula below
are this project's reading of it, not given in the paper, and each claim of the abstract is an option.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.parts.parsenet import ZOO_PRESET, ParseNet, adjusted, detect_within
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass

_SLOPE = 0.2
_ATTENTION = 7
_BLOCK = 16


class SPADE(nn.Module):
    """Normalise, then scale and shift each pixel by what a map says there (Park et al., CVPR 2019).

    Args:
        channels: of the feature.
        condition: channels of the map.
        hidden: channels between.
    """

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(condition, hidden, 3, 1, 1)
        self.affine = nn.Conv2d(hidden, 2 * channels, 3, 1, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, C, H, W) and (N, K, H, W) -> (N, C, H, W)."""
        scale, shift = self.affine(F.leaky_relu(self.shared(condition), _SLOPE)).chunk(2, dim=1)
        return torch.addcmul(shift, F.instance_norm(x), 1 + scale)


class SPADEBlock(nn.Module):
    """Residual block with two SPADE layers."""

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = SPADE(channels, condition, hidden)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.norm2 = SPADE(channels, condition, hidden)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, C, H, W) and (N, K, H, W) -> (N, C, H, W)."""
        out = self.conv1(F.leaky_relu(self.norm1(x, condition), _SLOPE))
        return x + self.conv2(F.leaky_relu(self.norm2(out, condition), _SLOPE))


class Down(nn.Module):
    """Residual block that halves the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / 2, W / 2)."""
        out = F.leaky_relu(self.conv1(x), _SLOPE)
        return F.leaky_relu(self.conv2(out), _SLOPE) + self.skip(F.avg_pool2d(x, 2))


class UFSB(nn.Module):
    """Up-sampling feature supplement block: what doubling with fewer channels loses comes back by a second way.

    The main way is bilinear and a convolution; the supplement unfolds channels into pixels, and attention to channels
    (squeeze and excitation) and to places chooses what of it is added.

    Args:
        inputs: channels before.
        outputs: channels after, at twice the resolution.
        supplement: whether there is a second way (False: the ablation).
    """

    def __init__(self, inputs: int, outputs: int, supplement: bool) -> None:
        super().__init__()
        self.main = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.unfolded: nn.Conv2d | None = None
        if supplement:
            squeezed = max(4, outputs // 8)
            self.unfolded = nn.Conv2d(inputs // 4, outputs, 3, 1, 1)
            self.channel = nn.Sequential(
                nn.Conv2d(outputs, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, outputs, 1), nn.Sigmoid()
            )
            self.place = nn.Conv2d(2, 1, _ATTENTION, padding=_ATTENTION // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        out: Tensor = self.main(_doubled(x))
        if self.unfolded is None:
            return out
        more = F.leaky_relu(self.unfolded(F.pixel_shuffle(x, 2)), _SLOPE)
        more = more * self.channel(more.mean((2, 3), keepdim=True))
        seen = torch.cat([more.mean(1, keepdim=True), more.amax(1, keepdim=True)], 1)
        return out + more * self.place(seen).sigmoid()


class JSFM(nn.Module):
    """Joint stage feature modulation of one scale.

    Stage features give scale and shift at each pixel (clean spatial information), the degraded face gives them for each
    channel (tonal structure), and a learned gate at each pixel mixes the two.

    Args:
        channels: of the features of both stages.
        tones: length of the degraded face's summary.
        hidden: channels between.
        joint: whether the two are mixed (False: the pixels' scale and shift alone, the ablation).
    """

    def __init__(self, channels: int, tones: int, hidden: int, joint: bool) -> None:
        super().__init__()
        self.shared = nn.Conv2d(channels, hidden, 3, 1, 1)
        self.affine = nn.Conv2d(hidden, 2 * channels, 3, 1, 1)
        self.tonal = nn.Linear(tones, 2 * channels) if joint else None
        self.gate = nn.Conv2d(channels + hidden, 1, 3, 1, 1) if joint else None

    def forward(self, x: Tensor, stage: Tensor, tones: Tensor) -> Tensor:
        """(N, C, H, W), (N, C, H, W) and (N, T) -> (N, C, H, W)."""
        hidden = F.leaky_relu(self.shared(stage), _SLOPE)
        scale, shift = self.affine(hidden).chunk(2, dim=1)
        if self.tonal is not None and self.gate is not None:
            tonal_scale, tonal_shift = self.tonal(tones)[:, :, None, None].chunk(2, dim=1)
            gate = self.gate(torch.cat([x, hidden], 1)).sigmoid()
            scale = torch.lerp(tonal_scale.expand_as(scale), scale, gate)
            shift = torch.lerp(tonal_shift.expand_as(shift), shift, gate)
        return torch.addcmul(shift, F.instance_norm(x), 1 + scale)


class JSFMBlock(nn.Module):
    """Residual block with two joint modulations."""

    def __init__(self, channels: int, tones: int, hidden: int, joint: bool) -> None:
        super().__init__()
        self.norm1 = JSFM(channels, tones, hidden, joint)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.norm2 = JSFM(channels, tones, hidden, joint)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor, stage: Tensor, tones: Tensor) -> Tensor:
        """(N, C, H, W), (N, C, H, W) and (N, T) -> (N, C, H, W)."""
        out = self.conv1(F.leaky_relu(self.norm1(x, stage, tones), _SLOPE))
        out = self.conv2(F.leaky_relu(self.norm2(out, stage, tones), _SLOPE))
        return x + out


class JSFMGAN(nn.Module):
    """The two stages with their parser. Nothing here but the names of the parts is given in the paper.

    Args:
        out_size: side of the face.
        width: channels at full resolution; they double at each halving up to ``widest``.
        widest: largest number of channels.
        scales: resolutions, from ``out_size`` down.
        parser: options of the parser; it sees the face at its own ``out_size``.
        joint: joint modulation (False: stage features alone modulate, without the degraded face's tones).
        stage_features: the second stage is modulated by the first one's features (False: by the encoder's).
        ufsb: the supplement in up-sampling.
        adjusted_parsing: left and right merged and mixed with the mirror image.
        progressive: each stage draws what changes, added to the picture that it begins with.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
    """

    def __init__(
        self,
        out_size: int = 512,
        width: int = 64,
        widest: int = 512,
        scales: int = 6,
        parser: Options | None = None,
        joint: bool = True,
        stage_features: bool = True,
        ufsb: bool = True,
        adjusted_parsing: bool = True,
        progressive: bool = True,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.stage_features, self.adjusted_parsing, self.progressive = stage_features, adjusted_parsing, progressive
        # What leaves no other trace in the keys, so that a checkpoint tells how it must be run.
        self.parser_size = (parser or {}).get("out_size", 512)
        flags = [int(stage_features), int(progressive), self.parser_size]
        self.register_buffer("flags", torch.tensor(flags, dtype=torch.int32))
        self.parser = ParseNet(**(parser or {})).eval()
        classes = self.parser.classes
        condition = len(classes.merged()) if adjusted_parsing else len(classes.names)
        widths = [min(width * 2**i, widest) for i in range(scales)]  # from full resolution down
        # Two thirds, in whole blocks of sixteen: processors convolve those twice as fast as what lies between.
        hidden = [-(-channels * 2 // 3 // _BLOCK) * _BLOCK for channels in widths]
        tones = widths[-1]

        self.first = nn.Conv2d(3, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        self.coarse = nn.ModuleList(SPADEBlock(c, condition, h) for c, h in zip(widths, hidden, strict=True))
        self.coarse_up = nn.ModuleList(nn.Conv2d(b, a, 3, 1, 1) for a, b in pairwise(widths))
        self.coarse_rgb = nn.ModuleList(nn.Conv2d(channels, 3, 3, 1, 1) for channels in widths)
        smallest = out_size // 2 ** (scales - 1)
        self.constant = nn.Parameter(torch.randn(1, widths[-1], smallest, smallest))
        self.fine = nn.ModuleList(JSFMBlock(c, tones, h, joint) for c, h in zip(widths, hidden, strict=True))
        self.fine_up = nn.ModuleList(UFSB(b, a, ufsb) for a, b in pairwise(widths))
        self.fine_rgb = nn.Conv2d(widths[0], 3, 3, 1, 1)
        self.input_fusion = InputFusion(widths[0], floor=input_floor) if input_fusion else None
        for last in (*self.coarse_rgb, self.fine_rgb):
            nn.init.normal_(last.weight, std=0.01)

    def train(self, mode: bool = True) -> JSFMGAN:
        """Train everything but the parser, which is frozen."""
        super().train(mode)
        self.parser.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Restore (N, 3, S, S) in [-1, 1].

        Returns:
            The picture (N, 3, S, S), and the first stage's pictures from small to large.
        """
        maps = self.parsing(x)
        encoded = [F.leaky_relu(self.first(x), _SLOPE)]
        for down in self.down:
            encoded.append(down(encoded[-1]))
        stages, pictures = self._coarse_stage(x, encoded, maps)
        guides = stages if self.stage_features else encoded
        tones = encoded[-1].mean((2, 3))
        feature = self.constant.expand(len(x), -1, -1, -1).to(encoded[-1].dtype)
        for level in range(len(self.fine) - 1, -1, -1):
            feature = self.fine[level](feature, guides[level], tones)
            if level:
                feature = self.fine_up[level - 1](feature)
        picture = self.fine_rgb(F.leaky_relu(feature, _SLOPE)).float()
        if self.progressive:
            picture = pictures[-1] + picture
        if self.input_fusion is not None:
            picture = self.input_fusion(feature, picture, x)
        return picture, pictures

    def parsing(self, x: Tensor) -> Tensor:
        """Soft parsing maps of a face, (N, K, s, s) at the parser's size."""
        seen = x if x.shape[-1] == self.parser_size else F.interpolate(x, size=(self.parser_size,) * 2, mode="area")
        probabilities = self.parser.logits(seen).float().softmax(1)
        return adjusted(probabilities, self.parser.classes) if self.adjusted_parsing else probabilities

    def _coarse_stage(self, x: Tensor, encoded: list[Tensor], maps: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features of the first stage, from full resolution down, and its pictures from small to large."""
        stages: list[Tensor] = []
        pictures: list[Tensor] = []
        feature = encoded[-1]
        for level in range(len(encoded) - 1, -1, -1):
            if level < len(encoded) - 1:
                feature = self.coarse_up[level](_doubled(feature)) + encoded[level]
            feature = self.coarse[level](feature, _sized(maps, feature))
            stages.insert(0, feature)
            picture = self.coarse_rgb[level](F.leaky_relu(feature, _SLOPE)).float()
            pictures.append(_sized(x.float(), picture) + picture if self.progressive else picture)
        return stages, pictures


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _sized(x: Tensor, like: Tensor) -> Tensor:
    """``x`` at the resolution of ``like``, by area or bilinear."""
    side = like.shape[-1]
    if x.shape[-1] == side:
        return x.to(like.dtype)
    if x.shape[-1] > side:
        return F.interpolate(x, size=(side, side), mode="area").to(like.dtype)
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False).to(like.dtype)


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    picture: Tensor = network(faces)[0]
    return picture


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    assert isinstance(network, JSFMGAN)
    picture, stages = network(degraded)
    loss = sum((F.l1_loss(stage, _sized(clean, stage)) for stage in stages), clean.new_zeros(()))
    with torch.no_grad():
        regions = network.parsing(clean)
    return TrainingPass(picture, stages, {"stages": loss}, regions=regions[:, 1:])


def detect(state: StateDict) -> Options | None:
    """Options of a JSFM-GAN state dict of this project, read off its shapes; None where it is another architecture."""
    if "coarse.0.norm1.shared.weight" not in state or "flags" not in state:
        return None
    stage_features, progressive, parser_size = (int(value) for value in state["flags"])
    parser = detect_within(state, parser_size)
    scales = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("coarse_up.")) + 1
    widths = [state[f"coarse_rgb.{level}.weight"].shape[1] for level in range(scales)]
    condition = state["coarse.0.norm1.shared.weight"].shape[1]
    return {
        "out_size": state["constant"].shape[-1] * 2 ** (scales - 1),
        "width": widths[0],
        "widest": max(widths),
        "scales": scales,
        "parser": parser,
        "joint": "fine.0.norm1.tonal.weight" in state,
        "stage_features": bool(stage_features),
        "ufsb": "fine_up.0.unfolded.weight" in state,
        "adjusted_parsing": parser is not None and condition != parser["parsing_ch"],
        "progressive": bool(progressive),
        **fusion_options(state),
    }


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return JSFMGAN(**options)


ARCHITECTURE = Architecture(
    name="jsfm",
    title="JSFM-GAN",
    paper="JSFM-GAN, Applied Soft Computing 185:113974, 2025 (a reading of its abstract)",
    licence="Apache-2.0 (no official code or weights)",
    build=_build,
    presets={
        "official": {},
        "zoo": {
            "out_size": 128,
            "width": 16,
            "widest": 128,
            "scales": 5,
            "parser": ZOO_PRESET,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
    train=_train,
    own_losses=("stages",),
)

__all__ = ["ARCHITECTURE", "JSFM", "JSFMGAN", "SPADE", "UFSB", "detect"]
