"""The optimiser of a run: Adam for everything, or Muon for the matrices among the weights and Adam for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from facefort.runtime import has_bf16
from facefort.training.recipe import Recipe

_LEAST = 16
"""Kernels with fewer outputs or inputs than this are no matrices worth orthogonalising: a first or a last layer."""
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps along the nearest semi-orthogonal matrix of the averaged gradient.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, with Nesterov's momentum; steps as
    large as Adam's by the factor of Liu et al., "Muon is scalable for LLM training", 2025. A kernel is the matrix
    of its outputs by all else. ``torch.optim.Muon`` takes matrices only and always iterates in bfloat16, which a
    processor without it emulates fourteen times slower than float32; the steps are otherwise the same.

    Args:
        kernels: parameters of two or more axes; singleton axes in front are dropped.
        rate: learning rate.
        momentum: of the averaged gradient.
    """

    def __init__(self, kernels: Iterable[nn.Parameter], rate: float, momentum: float = 0.95) -> None:
        super().__init__(kernels, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step with the gradients that the kernels hold."""
        assert closure is None
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                average = state["momentum"].lerp_(kernel.grad, 1 - group["momentum"])
                ahead = as_matrix(kernel.grad.lerp(average, group["momentum"]))
                factor = 0.2 * math.sqrt(max(ahead.shape))
                kernel.add_(orthogonal(ahead).reshape(kernel.shape), alpha=-group["lr"] * factor)


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly U V^T of a matrix U S V^T: singular values between 0.7 and 1.2, by five Newton-Schulz iterations."""
    native = matrix.is_cuda or has_bf16()
    x = matrix.to(torch.bfloat16 if native else torch.float32)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        inner = x @ x.T
        x = torch.addmm(x, torch.addmm(inner, inner, inner, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Mixed:
    """Several optimisers that act as one, each with its own multiple of the rate.

    Args:
        parts: optimisers and their multiples.
    """

    def __init__(self, parts: Iterable[tuple[torch.optim.Optimizer, float]]) -> None:
        self.parts = list(parts)

    def set_rate(self, rate: float) -> None:
        """Give every part its multiple of the rate."""
        for part, multiple in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * multiple

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part, _ in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """One step with the gradients that the parameters hold."""
        for part, _ in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` continues from."""
        return {"parts": [part.state_dict() for part, _ in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, also from the state of one optimiser.

        Raises:
            ValueError: the state is of other optimisers or parameters.
        """
        for (part, _), values in zip(self.parts, state.get("parts", [state]), strict=True):
            part.load_state_dict(values)


def optimiser(named: Iterable[tuple[str, nn.Parameter]], recipe: Recipe) -> Mixed:
    """The optimiser that a recipe asks for.

    Args:
        named: trained parameters by name.
        recipe: ``rate``, ``betas``, and ``muon``, Muon's rate relative to Adam's; 0 leaves all to Adam.
    """
    kernels: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in named:
        (kernels if recipe.muon and _is_kernel(name, parameter) else others).append(parameter)
    parts: list[tuple[torch.optim.Optimizer, float]] = []
    if others:
        parts.append((torch.optim.Adam(others, recipe.rate, betas=recipe.betas, eps=1e-8), 1.0))
    if kernels:
        parts.append((Muon(kernels, recipe.rate * recipe.muon), recipe.muon))
    return Mixed(parts)


def as_matrix(kernel: Tensor) -> Tensor:
    """A kernel as (outputs, all else); singleton axes in front are dropped."""
    while kernel.ndim > 2 and kernel.shape[0] == 1:
        kernel = kernel[0]
    return kernel.reshape(kernel.shape[0], -1)


def _is_kernel(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix between layers; tables of codes and positions are not."""
    if parameter.ndim < 2 or name.endswith(("position_emb", "embedding.weight", "constant")):
        return False
    return min(as_matrix(parameter).shape) >= _LEAST


__all__ = ["Mixed", "Muon", "as_matrix", "optimiser", "orthogonal"]
