"""A plain U-Net, no paper's method: what the methods of the zoo are measured against, at their size and training.

Residual blocks at four resolutions, features carried across by concatenation (Ronneberger et al., "U-Net", MICCAI
2015). Networks see RGB in [-1, 1]; the output may leave that range a little.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.vq import ResBlock, norm_groups
from facefort.models.spec import Architecture, Options, StateDict


class UNet(nn.Module):
    """The network.

    Args:
        out_size: side of the face; the network takes any multiple of ``2 ** (len(widths) - 1)``.
        widths: channels from full resolution down; each level halves the side.
        blocks: residual blocks per level on the way down, and on the way up.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`).
        input_floor: least share of the input in that mix.
    """

    side: Tensor

    def __init__(
        self,
        out_size: int = 512,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: int = 2,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__()
        if out_size % 2 ** (len(widths) - 1):
            raise ValueError(f"{len(widths)} levels halve the side {len(widths) - 1} times; {out_size} cannot be")
        groups = math.gcd(*(norm_groups(width) for width in widths))
        self.register_buffer("side", torch.tensor(out_size))
        self.first = nn.Conv2d(3, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(_level(width, width, blocks, groups) for width in widths[:-1])
        pairs = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in pairs)
        self.middle = _level(widths[-1], widths[-1], 2 * blocks, groups)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 3, 1, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(_level(2 * width, width, blocks, groups) for width in widths[:-1])
        self.last = nn.Conv2d(widths[0], 3, 3, 1, 1)
        self.input_fusion = InputFusion(widths[0], floor=input_floor) if input_fusion else None

    def forward(self, face: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 3, S, S), in [-1, 1]."""
        x = self.first(face)
        skips = []
        for level, shrink in zip(self.down, self.shrink, strict=True):
            x = level(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x)
        for level, grow, skip in reversed(list(zip(self.up, self.grow, skips, strict=True))):
            x = grow(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = level(torch.cat([x, skip], 1))
        picture: Tensor = self.last(x)
        return picture if self.input_fusion is None else self.input_fusion(x, picture, face)


def _level(inputs: int, width: int, blocks: int, groups: int) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(inputs if i == 0 else width, width, groups) for i in range(blocks)))


def detect(state: StateDict) -> Options | None:
    """Options of a U-Net's state dict, read off its shapes; None where it is another architecture."""
    levels = len({key.split(".")[1] for key in state if key.startswith("shrink.")})
    if not levels or "middle.0.conv1.weight" not in state or "side" not in state:
        return None
    widths = [state["first.weight"].shape[0], *(state[f"shrink.{level}.weight"].shape[0] for level in range(levels))]
    return {
        "out_size": int(state["side"]),
        "widths": tuple(widths),
        "blocks": len({key.split(".")[2] for key in state if key.startswith("down.0.")}),
        **fusion_options(state),
    }


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return UNet(**options)


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    picture: Tensor = network(faces)
    return picture


ARCHITECTURE = Architecture(
    name="unet",
    title="U-Net (baseline)",
    paper="no paper's method: a plain U-Net to measure the others against",
    licence="Apache-2.0",
    build=_build,
    presets={
        "official": {"out_size": 512},
        "zoo": {
            "out_size": 128,
            "widths": (32, 64, 128, 256),
            "blocks": 1,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
)

__all__ = ["ARCHITECTURE", "UNet", "detect"]
