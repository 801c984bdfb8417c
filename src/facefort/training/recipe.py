"""A recipe: every setting of a training run, as one validated table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from facefort.config import option


@dataclass(frozen=True)
class DataSettings:
    """What the network is trained on."""

    faces: str = option("folder of aligned faces to train on; several are joined by +", "")
    presets: tuple[str, ...] = option("degradation presets, drawn with equal probability", ("gfpgan",))
    flip: bool = option("mirror half of the faces", True)
    jitter: float = option("random shift, scale and rotation, as a share of the face", 0.05, low=0, high=0.3)
    colour: float = option("random brightness, contrast and saturation of the clean face", 0.15, low=0, high=0.5)
    warp: float = option(
        "random smooth deformation, as a share of the face: people that no generator draws", 0.0, low=0, high=0.1
    )
    sharpen: float = option("random sharpening up to this amount, or blurring to a third of it", 0.0, low=0, high=2)
    clean_share: float = option("share of faces that are degraded only by 8-bit rounding", 0.03, low=0, high=1)
    bad_limit: float = option("share of unreadable files at which training refuses to start", 0.02, low=0, high=1)


@dataclass(frozen=True)
class LossSettings:
    """Weights of the losses from one step of the training on; 0 leaves a loss out."""

    start: int = option("step from which these weights count", 0, low=0)

    l1: float = option("L1 on [0, 1]", 1.0, low=0)
    lpips: float = option("LPIPS", 0.5, low=0)
    lpips_net: Literal["alex", "vgg"] = option("backbone of the LPIPS loss", "alex", choices=("alex", "vgg"))
    pyramid: float = option("L1 of the network's auxiliary pictures, where it has them", 0.0, low=0)
    identity: float = option("distance of the default recogniser's embeddings", 0.0, low=0)
    identity_maps: float = option("mean square between the unit-normalised maps of its layers", 0.0, low=0)
    lpips_close: float = option("LPIPS of a quarter of the face, enlarged twofold", 0.0, low=0)
    style: float = option("L1 between Gram matrices of the LPIPS backbone's features", 0.0, low=0)
    region_style: float = option("the same within each facial part that the method knows", 0.0, low=0)
    own: dict[str, float] = field(
        default_factory=dict, metadata={"help": "weights of the method's own losses, such as codebook or code"}
    )
    light: float = option("random gain, offset and noise of what the recogniser sees", 0.0, low=0, high=0.5)
    view: int = option("random shift in pixels, and mirroring, of what LPIPS and the recogniser see", 0, low=0, high=16)


@dataclass(frozen=True)
class CriticSettings:
    """One discriminator: what it looks at, how it judges, and what it weighs."""

    where: Literal["face", "left_eye", "right_eye", "mouth"] = option(
        "part that it looks at", "face", choices=("face", "left_eye", "right_eye", "mouth")
    )
    kind: Literal["patch", "multiscale"] = option("network", "patch", choices=("patch", "multiscale"))
    width: int = option("channels of its first layer", 32, low=1)
    layers: int = option("halvings of the resolution", 3, low=1, high=5)
    loss: Literal["hinge", "softplus", "lsgan"] = option("loss", "hinge", choices=("hinge", "softplus", "lsgan"))
    weight: float = option("weight of the generator's loss", 0.1, low=0)
    adaptive: bool = option("scale the weight by the ratio of the gradients at the picture, at most to 1", False)
    matching: float = option("L1 between the critic's features of restored and clean faces", 0.0, low=0)
    style: float = option("L1 between their Gram matrices", 0.0, low=0)
    start: int = option("step from which it counts", 0, low=0)
    rate: float = option("learning rate", 4e-4, low=0)
    r1: float = option("gradient penalty on clean faces", 0.0, low=0)
    r1_every: int = option("steps between penalties", 16, low=1)


@dataclass(frozen=True)
class RobustSettings:
    """Adversarial training: half of each batch is attacked (Madry et al. 2018), the other half stays as it is."""

    epsilon: float = option(
        "radius of the l-infinity ball on [0, 1], such as 0.0157 (4/255); 0 trains as usual", 0.0, low=0
    )
    steps: int = option("steps of PGD", 3, low=1)
    consistency: float = option("mean square between the latents of a face and of its attacked twin", 0.1, low=0)
    start: int = option("optimiser step from which it counts", 0, low=0)


@dataclass(frozen=True)
class Recipe:
    """A training run from start to end."""

    model: str = option("architecture", "gfpgan")
    preset: str = option("size of the architecture", "zoo")
    options: dict[str, Any] = field(default_factory=dict, metadata={"help": "overrides of the preset's options"})
    teacher: str = option("frozen network that the method learns from: a name of the zoo or a checkpoint", "")
    weights: str = option("weights to start from: a name of the zoo or a checkpoint; empty for fresh ones", "")
    parts: dict[str, str] = field(
        default_factory=dict, metadata={"help": "trained parts by the name of the submodule that they fill"}
    )
    data: DataSettings = field(default_factory=DataSettings, metadata={"help": "data"})
    losses: tuple[LossSettings, ...] = field(
        default=(LossSettings(),), metadata={"help": "weights of the losses, stage by stage"}
    )
    robust: RobustSettings = field(default_factory=RobustSettings, metadata={"help": "adversarial training"})
    critics: tuple[CriticSettings, ...] = field(default=(), metadata={"help": "discriminators"})
    frozen: tuple[str, ...] = option("prefixes of parameters that are not trained", ())
    steps: int = option("number of optimiser steps", 4000, low=1)
    batch: int = option("faces per step, over all processes", 16, low=1)
    accumulate: int = option("parts in which a batch is computed, to save memory", 1, low=1)
    rate: float = option("learning rate of Adam", 5e-4, low=0)
    betas: tuple[float, float] = option("betas of Adam", (0.9, 0.99))
    muon: float = option("rate of Muon for kernels and matrices, relative to Adam's; 0: Adam for all", 0.0, low=0)
    warmup: int = option("steps of linear warm-up", 100, low=0)
    decay: int = option("last steps, over which the rate falls to zero along a cosine", 1000, low=0)
    clip: float = option("gradient norm is cut to this", 1.0, low=0)
    ema: float = option("decay of the averaged weights that ship", 0.998, low=0, high=1)
    seed: int = option("seed of weights, order and degradations", 0)
    precision: str = option("arithmetic of the forward pass", "auto", choices=("auto", "fp32", "bf16"))
    device: str = option("device", "auto")
    threads: int = option("threads per process, 0 = torch's choice", 0, low=0)
    workers: int = option("processes that draw the batches, for a GPU; 0 = two threads", 0, low=0)
    tensorboard: bool = option("also log for TensorBoard (extra `train`)", False)
    save_minutes: float = option("minutes between checkpoints", 3.0, low=0)
    sample_steps: int = option("steps between sample sheets", 250, low=1)
    samples: str = option("faces of the sample sheet and of the validation score", "synthetic:8000..8015")
