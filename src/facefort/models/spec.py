"""What is known of an architecture besides its layers: sizes, range, paper, licence, and how its keys betray it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

StateDict = Mapping[str, Tensor]
Options = dict[str, Any]


@dataclass(frozen=True)
class TrainingPass:
    """What a network returns while it is trained, in its own range.

    Attributes:
        restored: (N, 3, S, S).
        pyramid: auxiliary pictures, small to large; empty where the method has none.
        own: the method's own losses by name (codebook, code, stages ...), unweighted scalars.
        latent: what the method encodes a face to, for losses that compare two passes; None where there is none.
        regions: (N, R, H, W) soft masks of facial parts, for the style loss by region; None where there are none.
    """

    restored: Tensor
    pyramid: list[Tensor] = field(default_factory=list)
    own: dict[str, Tensor] = field(default_factory=dict)
    latent: Tensor | None = None
    regions: Tensor | None = None


Training = Callable[[nn.Module, Tensor, Tensor, nn.Module | None], TrainingPass]
"""(network, degraded batch, clean batch, frozen teacher or None), in the network's range -> what the losses need."""


@dataclass(frozen=True)
class Architecture:
    """One published restorer: how to build it, recognise its weights and call it.

    Attributes:
        name: name on the command line.
        title: the method's name in print.
        paper: citation.
        licence: licence of the official code and weights; this project's own weights are Apache-2.0.
        build: options -> bare network.
        presets: named options; "official" has the published size, "zoo" the one that ships.
        detect: options read from a state dict's keys and shapes, or None where it is another architecture.
        run: (network, batch in the network's range) -> restored batch in the network's range.
        train: the pass of training, where it differs from ``run``.
        own_losses: names of the method's own losses that ``train`` returns.
        explain: what a state dict is that belongs to the method and restores nothing (a codebook, a discriminator), as
            the end of a sentence, or None where it is nothing of the kind.
        low: smallest value of the network's range.
        high: largest value of the network's range.
        size_option: the option that holds the side of the face.
    """

    name: str
    title: str
    paper: str
    licence: str
    build: Callable[..., nn.Module]
    presets: Mapping[str, Options]
    detect: Callable[[StateDict], Options | None]
    run: Callable[[nn.Module, Tensor], Tensor]
    train: Training | None = None
    own_losses: tuple[str, ...] = ()
    explain: Callable[[StateDict], str | None] | None = None
    low: float = -1.0
    high: float = 1.0
    size_option: str = "out_size"

    def size(self, options: Options) -> int:
        """Side of the aligned face that a network with these options takes, in pixels."""
        return int(options[self.size_option])
