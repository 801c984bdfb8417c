"""Size of a perturbation, in the unit of pictures in [0, 1]: 8/255 is eight 8-bit levels."""

from __future__ import annotations

from torch import Tensor

from facefort.errors import UsageError
from facefort.metrics.security.checks import check_pictures

_SLACK = 1e-4
"""A float difference of 8-bit pictures misses the budget's edge by rounding."""


def linf(perturbed: Tensor, clean: Tensor) -> Tensor:
    """Largest change of a channel of a pixel, (N,), on the range [0, 1]."""
    check_pictures("linf", perturbed, clean)
    return (perturbed - clean.to(perturbed)).abs().flatten(1).amax(1)


def l2(perturbed: Tensor, clean: Tensor) -> Tensor:
    """Euclidean length of the change over all pixels and channels, (N,), on [0, 1]; it grows with the picture."""
    check_pictures("l2", perturbed, clean)
    return (perturbed - clean.to(perturbed)).flatten(1).norm(dim=1)


def saturation(perturbed: Tensor, clean: Tensor, eps: float, mask: Tensor | None = None) -> Tensor:
    """Share of values that stand at the edge of the budget, (N,): a hard clamp passes no gradient there.

    Args:
        perturbed: (N, 3, H, W) in [0, 1].
        clean: the same shape.
        eps: budget on [0, 1].
        mask: (N, 1, H, W), where a change was allowed; the share is taken inside it. None: everywhere.

    Raises:
        UsageError: a budget that is not above 0, or a mask under which nothing may change.
        PictureError: not two such batches of one size.
    """
    check_pictures("saturation", perturbed, clean)
    if eps <= 0:
        raise UsageError(f"saturation needs a budget above 0, not {eps:g}")
    edge = ((perturbed - clean.to(perturbed)).abs() >= eps - _SLACK).to(perturbed.dtype)
    if mask is None:
        return edge.flatten(1).mean(1)
    allowed = (mask.to(edge) > 0).to(edge).expand_as(edge).flatten(1)
    if bool((allowed.sum(1) == 0).any()):
        raise UsageError("a mask allows no change at all: the perturbation is masked away, not unsaturated")
    return (edge.flatten(1) * allowed).sum(1) / allowed.sum(1)
