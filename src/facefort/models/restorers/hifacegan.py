"""HiFaceGAN: features that suppress the degradation, replenished by blocks of spatially adaptive normalisation.

Yang et al., "HiFaceGAN: Face Renovation via Collaborative Suppression and Replenishment", ACM Multimedia 2020. Two
generators go by that name: the published one, whose encoder's features are the conditions at each size, and
"LIP-SPADE", where the encoder only makes the start and the degraded picture itself is the condition; BasicSR carries
the latter as its HiFaceGAN, and some of the released weights are of it. Networks see RGB in [-1, 1] and end in tanh.

The trap of the published weights is their batch norm, which has no parameters: the authors run the network in
training mode, so that the result for one face depends on the other faces of its batch. Here evaluation uses the
running statistics, and :meth:`HiFaceGAN.calibrate` gathers better ones from faces of the user's own; with no
statistics at all, each face is normalised by its own, as a batch of one is in training mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.spade import BatchNorm, NormKind, PictureNorm, SimplifiedLIP, SPADEResBlock
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass

Variant = Literal["hifacegan", "lipspade"]
Naming = Literal["official", "basicsr"]
_HALVINGS = 5


def _stages(ngf: int, widest: int) -> list[list[nn.Module]]:
    """The encoder's stages: one at full size, then five that each halve the size; the last has no activation."""
    stages: list[list[nn.Module]] = [[nn.Conv2d(3, ngf, 3, padding=1, bias=False), PictureNorm(ngf), nn.ReLU()]]
    for level in range(_HALVINGS):
        inputs, outputs = (ngf * min(2**power, widest) for power in (level, level + 1))
        stage = [SimplifiedLIP(inputs), nn.Conv2d(inputs, outputs, 3, padding=1), PictureNorm(outputs)]
        stages.append(stage if level == _HALVINGS - 1 else [*stage, nn.ReLU()])
    return stages


class ContentAdaptiveSuppressor(nn.Module):
    """The encoder of the published generator: a feature at each size."""

    def __init__(self, ngf: int, widest: int) -> None:
        super().__init__()
        head, *stages = _stages(ngf, widest)
        self.head = nn.Sequential(*head)
        for level, stage in enumerate(stages):
            self.add_module(f"encoder_{level}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> features of H / 32, H / 16 ... H."""
        features = [self.head(x)]
        for level in range(_HALVINGS):
            features.insert(0, self.get_submodule(f"encoder_{level}")(features[0]))
        return features


class LIPEncoder(nn.Module):
    """The same stages in one row, as LIP-SPADE numbers them."""

    def __init__(self, ngf: int, widest: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(layer for stage in _stages(ngf, widest) for layer in stage))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, widest * ngf, H / 32, W / 32)."""
        feature: Tensor = self.model(x)
        return feature


class HiFaceGAN(nn.Module):
    """Both generators that are called HiFaceGAN.

    Args:
        ngf: width at full size; published with 64 and 48.
        variant: "hifacegan", or "lipspade".
        norm: "batch" as published, "instance" as BasicSR computes it.
        naming: how the middle blocks are called in the state dict: `G_middle`, or BasicSR's `g_middle`.
        widest: no level is wider than this times ``ngf``; always 16 in the paper.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
    """

    def __init__(
        self,
        ngf: int = 64,
        variant: Variant = "hifacegan",
        norm: NormKind = "batch",
        naming: Naming = "official",
        widest: int = 16,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__()
        if variant not in ("hifacegan", "lipspade"):
            raise ValueError(f"the variant is hifacegan or lipspade, not {variant!r}")
        if norm not in ("batch", "instance"):
            raise ValueError(f"the norm is batch or instance, not {norm!r}")
        if naming not in ("official", "basicsr"):
            raise ValueError(f"the naming is official or basicsr, not {naming!r}")
        own = variant == "hifacegan"
        self.middle = "G_middle" if naming == "official" else "g_middle"
        if widest < 1:
            raise ValueError(f"widest must be at least 1, not {widest}")
        top = widest * ngf
        self.fc = nn.Conv2d(3, top, 3, padding=1)  # LIP-SPADE's weights hold it too, without using it
        self.head_0 = SPADEResBlock(top, top, top if own else 3, norm)
        for place in (0, 1):
            self.add_module(f"{self.middle}_{place}", SPADEResBlock(top, top, top if own else 3, norm))
        widths = [ngf * min(2**power, widest) for power in (4, 3, 2, 1, 0)]
        self.ups = nn.ModuleList(
            SPADEResBlock(inputs, outputs, outputs if own else 3, norm) for inputs, outputs in pairwise(widths)
        )
        self.to_rgbs = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for width in widths[1:])
        self.input_fusion = InputFusion(ngf, floor=input_floor) if input_fusion else None
        self.encoder = ContentAdaptiveSuppressor(ngf, widest) if own else None
        self.lip_encoder = None if own else LIPEncoder(ngf, widest)

    def forward(self, x: Tensor, return_rgb: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Restore a batch.

        Args:
            x: (N, 3, H, W) in [-1, 1]; sides are multiples of 32, at least 64.
            return_rgb: also compute the pictures of H / 8, H / 4 and H / 2, which training by stages looks at.

        Returns:
            The picture (N, 3, H, W) in [-1, 1], and the smaller pictures from small to large.
        """
        if any(side % 32 or side < 64 for side in x.shape[2:]):
            raise ValueError(f"the sides must be multiples of 32 from 64 on, not {tuple(x.shape[2:])}")
        out, conditions = self._start(x)
        out = _doubled(self.head_0(out, conditions[0]))
        for place in (0, 1):
            out = self.get_submodule(f"{self.middle}_{place}")(out, conditions[1])
        pictures: list[Tensor] = []
        last = len(self.ups) - 1
        for level, up in enumerate(self.ups):
            out = up(_doubled(out), conditions[level + 2])
            if return_rgb or level == last:
                pictures.append(torch.tanh(self.to_rgbs[level](F.leaky_relu(out, 0.2))))
        picture = pictures[-1]
        if self.input_fusion is not None:
            picture = self.input_fusion(out, picture, x)
        return picture, pictures[:-1]

    def _start(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The feature that generation starts from, and the conditions from small to large."""
        if self.lip_encoder is not None:
            return self.lip_encoder(x), [x] * 6
        assert self.encoder is not None
        return self.fc(F.interpolate(x, size=[side // 32 for side in x.shape[2:]])), self.encoder(x)

    @property
    def calibrated(self) -> bool:
        """Whether all batch norms hold statistics; True where there are no batch norms."""
        return all(norm.calibrated for norm in self._batch_norms())

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Measure the batch norms' statistics anew, over all ``batches`` alike; nothing else changes.

        Args:
            batches: degraded faces (N, 3, H, W) in [-1, 1], such as the network will meet; some hundred faces do.
        """
        norms = self._batch_norms()
        modes = {module: module.training for module in self.modules()}
        momenta = [norm.momentum for norm in norms]
        self.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
            norm.train()
        try:
            for batch in batches:
                self(batch)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
            for module, training in modes.items():
                module.training = training

    def _batch_norms(self) -> list[BatchNorm]:
        return [module for module in self.modules() if isinstance(module, BatchNorm)]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    image: Tensor = network(faces)[0]
    return image


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    image, pictures = network(degraded, return_rgb=True)
    return TrainingPass(image, list(pictures))


def detect(state: StateDict) -> Options | None:
    """Options of a HiFaceGAN state dict; None where it is another architecture.

    The network takes any size, so the weights do not tell it: the published widths are used at 512 px, narrower ones
    at the 128 px of this project's own.
    """
    needed = ("head_0.conv_0.weight_orig", "ups.3.norm_0.mlp_gamma.weight", "to_rgbs.3.weight", "fc.weight")
    if any(key not in state for key in needed):
        return None
    own = "encoder.head.0.weight" in state
    if not own and "lip_encoder.model.0.weight" not in state:
        return None
    ngf = state["to_rgbs.3.weight"].shape[1]
    return {
        "out_size": 512 if ngf >= 48 else 128,
        "ngf": ngf,
        "variant": "hifacegan" if own else "lipspade",
        "norm": "batch" if "head_0.norm_0.param_free_norm.running_mean" in state else "instance",
        "naming": "official" if "G_middle_0.conv_0.weight_orig" in state else "basicsr",
        "widest": state["fc.weight"].shape[0] // ngf,
        **fusion_options(state),
    }


def _build(out_size: int = 512, **options: Any) -> nn.Module:  # noqa: ANN401
    if out_size % 32 or out_size < 64:
        raise ValueError(f"out_size must be a multiple of 32 of at least 64, not {out_size}")
    return HiFaceGAN(**options)


ARCHITECTURE = Architecture(
    name="hifacegan",
    title="HiFaceGAN",
    paper="Yang et al., HiFaceGAN: Face Renovation via Collaborative Suppression and Replenishment, ACM MM 2020",
    licence="CC BY-NC-SA 4.0 (official code and weights)",
    build=_build,
    presets={
        "official": {"out_size": 512, "ngf": 64},
        "official-48": {"out_size": 512, "ngf": 48},
        "lipspade": {"out_size": 512, "ngf": 64, "variant": "lipspade"},
        "zoo": {
            "out_size": 128,
            "ngf": 16,
            "widest": 8,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
    train=_train,
)

__all__ = ["ARCHITECTURE", "HiFaceGAN", "detect"]
