"""Networks: restorers, judges and the generator, with safe loading of weights.

``build`` makes a restorer with fresh weights, ``load`` one with trained weights from the zoo or a checkpoint file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facefort.models.restorer import Restorer


def build(name: str, preset: str = "official", **overrides: Any) -> Restorer:  # noqa: ANN401
    """A restorer with fresh weights.

    Args:
        name: architecture ("gfpgan"); `facefort ls models` lists them.
        preset: "official" for the published size, "zoo" for the one that this project trains.
        overrides: options of the architecture that replace the preset's.

    Raises:
        UnknownNameError: unknown architecture or preset.
        UsageError: an option that the architecture does not have.
    """
    from facefort.models.factory import build as make

    return make(name, preset, **overrides)


def load(source: str | Path) -> Restorer:
    """A restorer with trained weights, ready to use.

    Args:
        source: a name of the zoo ("gfpgan-128"), or the path of a checkpoint (.safetensors, .pth, .pt, .ckpt) whose
            architecture and sizes are found from its keys.

    Raises:
        WeightsError: no such file or name, damaged, or of no known architecture.
        UnsafeCheckpointError: unpickling it would run code.
    """
    from facefort.models.factory import load as find

    return find(source)


__all__ = ["build", "load"]
