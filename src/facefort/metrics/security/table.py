"""What each number of this room is: the table that `facefort ls security-metrics` prints."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from facefort.errors import UnknownNameError
from facefort.metrics.metric import Direction

Of = Literal["model", "backdoor", "protection", "perturbation"]
Scope = Literal["picture", "set", "curve"]


@dataclass(frozen=True)
class SecurityMetric:
    """One number with everything that a reader must know to compare it.

    Attributes:
        name: what it is called in rows and tables.
        of: what it measures; :attr:`direction` is the way in which *that* is better.
        direction: an attack's success is better when it is higher, for the attack.
        range: smallest and largest possible value.
        unit: "dB", "share", or what the number counts.
        scope: one number per picture, per set of pictures (a share with its Wilson interval), or per curve.
        variant: one line that fixes the definition, down to what the source leaves open.
        source: paper or code that defines it.
        needs: what must be at hand to compute it.
        target: "package.module:function".
        differentiable: whether gradients reach the pictures.
    """

    name: str
    of: Of
    direction: Direction
    range: tuple[float, float]
    unit: str
    scope: Scope
    variant: str
    source: str
    needs: tuple[str, ...]
    target: str
    differentiable: bool = False

    @property
    def compute(self) -> Callable[..., Any]:
        """The function itself, imported now; its docstring names the arguments."""
        module, attribute = self.target.split(":")
        function = getattr(importlib.import_module(module), attribute)
        assert callable(function)
        return function


_HERE = "facefort.metrics.security"
_ASFIBA = "Song et al., AS-FIBA, arXiv 2403.06430, section IV"
_IDGUARD = "Qu et al., ID-Guard, arXiv 2409.13349, equation 13 and section IV"
_INF = float("inf")

_LPIPS_RULE = (
    "restored iff lpips-alex to the benign restoration of the benign input < lpips-alex to I_0.1; ties are not"
)
_SPLIT = "FFT window (2b+1)^2, b = floor(0.1 min(H, W)), MSE over pixels and channels, 0-255"

_ALL = (
    SecurityMetric(
        "ba",
        "backdoor",
        "higher",
        (0, 1),
        "share",
        "set",
        f"backdoored model, clean inputs: {_LPIPS_RULE}",
        _ASFIBA + "; backbone unspecified there",
        ("benign model", "lpips weights"),
        f"{_HERE}.backdoor:benign_accuracy",
    ),
    SecurityMetric(
        "asr",
        "backdoor",
        "higher",
        (0, 1),
        "share",
        "set",
        f"backdoored model, triggered inputs, share not restored: {_LPIPS_RULE}",
        _ASFIBA + "; backbone unspecified there",
        ("benign model", "trigger", "lpips weights"),
        f"{_HERE}.backdoor:attack_success_rate",
    ),
    SecurityMetric(
        "asr0",
        "backdoor",
        "lower",
        (0, 1),
        "share",
        "set",
        f"benign model, triggered inputs, share not restored (control): {_LPIPS_RULE}",
        "facefort; the class rule is that of " + _ASFIBA,
        ("benign model", "trigger", "lpips weights"),
        f"{_HERE}.backdoor:control_rate",
    ),
    SecurityMetric(
        "freq-low",
        "backdoor",
        "lower",
        (0, 255.0**2),
        "squared 8-bit levels",
        "picture",
        f"low part: {_SPLIT}",
        "window: HazardFY/FIBA; use: AS-FIBA, table IV, without a definition",
        ("reference",),
        f"{_HERE}.frequency:frequency_distance",
        differentiable=True,
    ),
    SecurityMetric(
        "freq-high",
        "backdoor",
        "lower",
        (0, 255.0**2),
        "squared 8-bit levels",
        "picture",
        f"high part: {_SPLIT}",
        "window: HazardFY/FIBA; use: AS-FIBA, table IV, without a definition",
        ("reference",),
        f"{_HERE}.frequency:frequency_distance",
        differentiable=True,
    ),
    SecurityMetric(
        "l2-mask",
        "protection",
        "higher",
        (0, 4),
        "squared range [-1, 1]",
        "picture",
        "mean over face pixels and channels of (output of protected - output of unprotected)^2 on [-1, 1], unclipped",
        _IDGUARD,
        ("manipulator", "face mask of the input"),
        f"{_HERE}.protection:l2_mask",
        differentiable=True,
    ),
    SecurityMetric(
        "id-sim",
        "protection",
        "lower",
        (-1, 1),
        "cosine",
        "picture",
        "cosine of arcface-mbf embeddings of both outputs; another network than the paper's ArcFace IR-SE50",
        _IDGUARD,
        ("manipulator", "arcface-mobilefacenet weights (research only)"),
        f"{_HERE}.protection:identity_similarity",
        differentiable=True,
    ),
    SecurityMetric(
        "dsr",
        "protection",
        "higher",
        (0, 1),
        "share",
        "set",
        "share with l2-mask > 0.05 on [-1, 1] and id-sim < 0.4",
        _IDGUARD,
        ("l2-mask", "id-sim"),
        f"{_HERE}.protection:disruption_success_rate",
    ),
    SecurityMetric(
        "dsr-l2",
        "protection",
        "higher",
        (0, 1),
        "share",
        "set",
        "share with l2-mask > 0.05 on [-1, 1], whoever the face shows",
        "Ruiz et al., Disrupting Deepfakes, ECCV-W 2020, on the mask of ID-Guard",
        ("l2-mask",),
        f"{_HERE}.protection:disruption_success_rate",
    ),
    SecurityMetric(
        "psnr-cc",
        "model",
        "higher",
        (0, _INF),
        "dB",
        "picture",
        "psnr-rgb between the outputs for the perturbed and for the clean input; equal outputs: inf",
        "Yu et al., Towards Robust Rain Removal, CVPR 2022 (yuyi-sd/Robust_Rain_Removal)",
        ("perturbed input",),
        f"{_HERE}.consistency:psnr_cc",
        differentiable=True,
    ),
    SecurityMetric(
        "psnr-in",
        "perturbation",
        "higher",
        (0, _INF),
        "dB",
        "picture",
        "psnr-rgb between the perturbed and the clean input; equal inputs: inf",
        "Yu et al., Towards Robust Rain Removal, CVPR 2022 (yuyi-sd/Robust_Rain_Removal)",
        ("perturbed input",),
        f"{_HERE}.consistency:psnr_in",
        differentiable=True,
    ),
    SecurityMetric(
        "gain",
        "model",
        "higher",
        (-60, 60),
        "dB",
        "picture",
        "psnr-cc minus psnr-in, both capped at 60 dB; below 0 the model amplifies the perturbation",
        "after Choi et al., Evaluating Robustness of Deep Image Super-Resolution, ICCV 2019",
        ("perturbed input",),
        f"{_HERE}.consistency:gain",
        differentiable=True,
    ),
    SecurityMetric(
        "code-flip",
        "model",
        "lower",
        (0, 1),
        "share",
        "picture",
        "share of codebook indices that differ between the perturbed and the clean input",
        "facefort",
        ("perturbed input", "model with a codebook"),
        f"{_HERE}.consistency:code_flip",
    ),
    SecurityMetric(
        "rob-auc",
        "model",
        "higher",
        (0, 60),
        "dB",
        "curve",
        "area under psnr-cc over the budget, trapezoid, values capped at 60 dB, 60 dB at 0, divided by the range",
        "facefort",
        ("psnr-cc at several budgets",),
        f"{_HERE}.consistency:robustness_area",
    ),
    SecurityMetric(
        "linf",
        "perturbation",
        "lower",
        (0, 1),
        "range [0, 1]",
        "picture",
        "largest absolute change of a channel of a pixel",
        "standard",
        ("perturbed input",),
        f"{_HERE}.perturbation:linf",
        differentiable=True,
    ),
    SecurityMetric(
        "l2",
        "perturbation",
        "lower",
        (0, _INF),
        "range [0, 1], summed over pixels",
        "picture",
        "Euclidean length of the change over all pixels and channels; grows with the picture",
        "standard",
        ("perturbed input",),
        f"{_HERE}.perturbation:l2",
        differentiable=True,
    ),
    SecurityMetric(
        "saturation",
        "perturbation",
        "lower",
        (0, 1),
        "share",
        "picture",
        "share of values whose change is at the budget (within 1e-4), inside the mask where there is one",
        "facefort",
        ("perturbed input", "budget"),
        f"{_HERE}.perturbation:saturation",
    ),
)

SECURITY_METRICS: Mapping[str, SecurityMetric] = MappingProxyType({each.name: each for each in _ALL})
"""Every number of this room by its name."""


def security_metric(name: str) -> SecurityMetric:
    """The entry called ``name``.

    Raises:
        UnknownNameError: nothing has that name.
    """
    if name not in SECURITY_METRICS:
        raise UnknownNameError("security metric", name, SECURITY_METRICS)
    return SECURITY_METRICS[name]
