"""Checkpoints of a training run: everything that the next step depends on, written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facefort.errors import TrainingError
from facefort.files import atomic
from facefort.training.critics import Critic
from facefort.training.optimisers import Mixed


@dataclass
class TrainingState:
    """What a run carries from step to step."""

    network: nn.Module
    averaged: nn.Module
    optimiser: Mixed
    critics: Sequence[Critic] = ()
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        with atomic(path) as stream:
            torch.save(
                {
                    "network": self.network.state_dict(),
                    "averaged": self.averaged.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "critics": [critic.state() for critic in self.critics],
                    "step": self.step,
                    "seconds": self.seconds,
                    "random": _random_state(),
                },
                stream,
            )

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            TrainingError: the file is damaged or belongs to another network.
        """
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(saved["network"])
            self.averaged.load_state_dict(saved["averaged"])
            self.optimiser.load_state_dict(saved["optimiser"])
            for critic, state in zip(self.critics, saved.get("critics", []), strict=True):
                critic.load(state)
            self.step, self.seconds = saved["step"], saved["seconds"]
            torch.set_rng_state(saved["random"]["torch"])
        except (RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
            why = " ".join(str(error).split())[:160]
            raise TrainingError(f"cannot resume from {path.name}: {why}; start anew with another -o") from error

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Exponential moving average of the weights; young runs average over what there is (warm start)."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, current in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
            kept.copy_(current)


def _random_state() -> dict[str, Any]:
    # Batches are drawn from the seed and the step alone; what is left is what a layer draws itself (noise, dropout).
    return {"torch": torch.get_rng_state()}
