"""What is known of an architecture besides its layers: sizes, range, paper, licence, and how its keys betray it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

StateDict = Mapping[str, Tensor]
Options = dict[str, Any]


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
        run_pyramid: the restored batch and the network's auxiliary pictures, small to large, where it has them.
        explain: what a state dict is that belongs to the method and restores nothing (a codebook, a discriminator), as
            the end of a sentence, or None where it is nothing of the kind.
        low: smallest value of the network's range.
        high: largest value of the network's range.
    """

    name: str
    title: str
    paper: str
    licence: str
    build: Callable[..., nn.Module]
    presets: Mapping[str, Options]
    detect: Callable[[StateDict], Options | None]
    run: Callable[[nn.Module, Tensor], Tensor]
    run_pyramid: Callable[[nn.Module, Tensor], list[Tensor]] | None = None
    explain: Callable[[StateDict], str | None] | None = None
    low: float = -1.0
    high: float = 1.0

    def size(self, options: Options) -> int:
        """Side of the aligned face that a network with these options takes, in pixels."""
        return int(options["out_size"])
