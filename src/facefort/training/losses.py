"""Losses of restoration: pixels, perception, the pyramid of auxiliary pictures, identity."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.judges.identity import Recogniser, recogniser
from facefort.models.judges.perceptual import lpips
from facefort.training.recipe import LossSettings


class RestorationLoss(nn.Module):
    """Weighted sum of the losses of a recipe.

    Args:
        settings: weights.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings
        self.perceptual = lpips("vgg" if settings.lpips_net == "vgg" else "alex") if settings.lpips else None
        self.recogniser: Recogniser | None = None
        if settings.identity:
            self.recogniser = recogniser()

    def forward(self, restored: Tensor, pyramid: list[Tensor], clean: Tensor, step: int) -> dict[str, Tensor]:
        """Losses by name, already weighted; their sum is what is minimised.

        Args:
            restored: (N, 3, S, S) on [0, 1], unclamped.
            pyramid: auxiliary pictures on [0, 1], from small to large; may be empty.
            clean: (N, 3, S, S) in [0, 1].
            step: number of the optimiser step.
        """
        weights = self.settings
        losses = {}
        if weights.l1:
            losses["l1"] = weights.l1 * F.l1_loss(restored, clean)
        if self.perceptual is not None:
            losses["lpips"] = weights.lpips * self.perceptual(restored, clean).mean()
        if weights.pyramid and pyramid and step < weights.pyramid_until:
            losses["pyramid"] = weights.pyramid * sum(
                (F.l1_loss(picture, _shrunk(clean, picture)) for picture in pyramid), clean.new_zeros(())
            )
        if self.recogniser is not None and step >= weights.identity_from:
            judge = self.recogniser
            losses["identity"] = weights.identity * judge.distance(judge(restored.clamp(0, 1)), judge(clean)).mean()
        return losses


def _shrunk(clean: Tensor, like: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(clean, like.shape[-1])
