"""How far a model's output moves when its input is perturbed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from facefort.errors import ModelError, UsageError
from facefort.metrics.fidelity import psnr
from facefort.metrics.security.checks import check_pictures

CAP_DB = 60.0
"""PSNR counts up to this where it must be finite: above, the error is below a quarter of an 8-bit level."""


def psnr_cc(attacked: Tensor, clean: Tensor) -> Tensor:
    """PSNR between a model's outputs for the perturbed and for the clean input, in dB, (N,) float64; equal: inf.

    "Clean to clean", the self-consistency of RobustSIRR and of Robust Rain Removal (Yu et al., CVPR 2022).

    Args:
        attacked: f(x'), (N, 3, H, W) in [0, 1].
        clean: f(x).
    """
    check_pictures("psnr-cc", attacked, clean)
    return psnr(attacked, clean.to(attacked))


def psnr_in(perturbed: Tensor, clean: Tensor) -> Tensor:
    """PSNR between the perturbed and the clean *input*, in dB, (N,) float64; equal inputs give inf."""
    check_pictures("psnr-in", perturbed, clean)
    return psnr(perturbed, clean.to(perturbed))


def gain(perturbed: Tensor, clean: Tensor, attacked: Tensor, restored: Tensor, cap: float = CAP_DB) -> Tensor:
    """psnr-cc minus psnr-in, in dB, (N,) float64: below 0, the model amplifies the perturbation.

    Both are capped, so that an input which the perturbation did not change has a gain (0 where the output did not
    change either). The ratio of distortions is that of Choi et al., ICCV 2019.

    Args:
        perturbed: x'.
        clean: x.
        attacked: f(x').
        restored: f(x).
        cap: PSNR above this counts as this, in dB.
    """
    return psnr_cc(attacked, restored).clamp(max=cap) - psnr_in(perturbed, clean).clamp(max=cap)


def code_flip(attacked: Tensor, clean: Tensor) -> Tensor:
    """Share of codebook indices that the perturbation changes, (N,) float32 in [0, 1].

    Args:
        attacked: indices that f(x') looks up, (N, ...) integers.
        clean: the same of f(x).

    Raises:
        ModelError: no integers, no codes, or shapes that differ.
    """
    if attacked.shape != clean.shape or attacked.ndim < 2 or 0 in attacked.shape:
        shapes = f"{tuple(attacked.shape)} and {tuple(clean.shape)}"
        raise ModelError(f"code-flip compares as many codebook indices, (N, ...), not {shapes}")
    if attacked.is_floating_point() or clean.is_floating_point():
        raise ModelError("code-flip compares codebook indices, which are integers; give the indices, not the codes")
    return (attacked != clean.to(attacked.device)).flatten(1).float().mean(1)


def robustness_area(curve: Mapping[float, float], cap: float = CAP_DB) -> float:
    """Area under psnr-cc over the budget by the trapezoidal rule, divided by the largest budget: a mean, in dB.

    The curve begins at a budget of 0 with the cap; every value counts up to the cap. Areas compare only over the same
    budgets.

    Args:
        curve: budget -> psnr-cc in dB, of one picture or of a mean; 0 may be among the budgets and must then be
            (nearly) unchanged.
        cap: in dB.

    Raises:
        UsageError: no budget above 0, or a negative one.
        ModelError: a value is NaN, or the output changes without any perturbation.
    """
    budgets = sorted(curve)
    if not budgets or budgets[0] < 0 or budgets[-1] <= 0:
        raise UsageError("an area needs psnr-cc at one budget above 0 at least, and at none below 0")
    heights = {0.0: torch.inf} | {budget: float(curve[budget]) for budget in budgets}
    if any(height != height for height in heights.values()):
        raise ModelError("psnr-cc is NaN at a budget; find and fix what made it")
    if heights[0.0] < cap:
        raise ModelError(
            f"psnr-cc is {heights[0.0]:.1f} dB without any perturbation; the model draws noise or keeps state, "
            "so fix its seed first"
        )
    axis = torch.tensor(sorted(heights), dtype=torch.float64)
    values = torch.tensor([min(heights[float(budget)], cap) for budget in axis], dtype=torch.float64)
    return float(torch.trapezoid(values, axis) / axis[-1])
