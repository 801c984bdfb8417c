"""The codebook of high-quality faces that CodeFormer and MSSG-Net draw with: a VQ auto-encoder of clean faces."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from facefort.models.blocks.vqgan import CODES_PER_SIDE, VQAutoEncoder, read_options
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return VQAutoEncoder(**options)


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    picture: Tensor = network(faces)[0]
    return picture


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """Reproduces the clean face: what is degraded is not looked at."""
    picture, codebook, _ = network(clean)
    return TrainingPass(picture, own={"codebook": codebook})


def detect(state: StateDict) -> Options | None:
    """Options of a VQ auto-encoder's state dict; None where it is another network, or one that only contains it."""
    options = read_options(state, CODES_PER_SIDE)
    if options is None or any(not key.startswith(("encoder.", "quantize.", "generator.")) for key in state):
        return None
    return options


ARCHITECTURE = Architecture(
    name="vqgan",
    title="VQGAN",
    paper="Esser et al., Taming Transformers for High-Resolution Image Synthesis, CVPR 2021; CodeFormer's first stage",
    licence="S-Lab License 1.0 (CodeFormer's official code and weights)",
    build=_build,
    presets={
        "official": {},
        "zoo": {"img_size": 128, "nf": 32, "ch_mult": (1, 1, 2, 4), "codebook_size": 512, "emb_dim": 128},
    },
    detect=detect,
    run=_run,
    train=_train,
    own_losses=("codebook",),
    size_option="img_size",
)

__all__ = ["ARCHITECTURE", "detect"]
