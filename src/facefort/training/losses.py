"""Losses of restoration: pixels, perception, the pyramid of auxiliary pictures, identity."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.errors import ConfigError, suggest
from facefort.models.judges.identity import Recogniser, recogniser
from facefort.models.judges.perceptual import Backbone, lpips
from facefort.models.spec import TrainingPass
from facefort.runtime import generator
from facefort.training.critics import gram
from facefort.training.recipe import LossSettings

Judge = TypeVar("Judge", bound=nn.Module)

_BACKBONES: tuple[Backbone, ...] = ("alex", "vgg")


class RestorationLoss(nn.Module):
    """Weighted sum of the losses of a recipe.

    Args:
        stages: weights, stage by stage.
        device: where the pictures are; the judges are brought there.

    Raises:
        ConfigError: no stage begins at step 0, or two begin at the same step.
    """

    def __init__(self, stages: Sequence[LossSettings], device: str = "cpu") -> None:
        super().__init__()
        self.stages = sorted(stages, key=lambda stage: stage.start)
        starts = [stage.start for stage in self.stages]
        if not starts or starts[0] != 0 or len(set(starts)) < len(starts):
            raise ConfigError(f"the stages of losses must begin at step 0 and at different steps, not at {starts}")
        used = {s.lpips_net for s in stages if s.lpips or s.lpips_close or s.style or s.region_style}
        self.perceptual = {net: _on(lpips(net), device) for net in _BACKBONES if net in used}
        self.recogniser: Recogniser | None = (
            _on(recogniser(), device) if any(s.identity or s.identity_maps for s in stages) else None
        )

    def at(self, step: int) -> LossSettings:
        """The weights of a step."""
        return [stage for stage in self.stages if stage.start <= step][-1]

    def forward(self, done: TrainingPass, clean: Tensor, step: int) -> dict[str, Tensor]:
        """Losses by name, already weighted; their sum is what is minimised.

        Args:
            done: what the network returned; its pictures on [0, 1], unclamped.
            clean: (N, 3, S, S) in [0, 1].
            step: number of the optimiser step.

        Raises:
            ConfigError: the recipe weighs a loss of the method's own that the method does not have.
        """
        weights, restored = self.at(step), done.restored
        losses = {}
        if weights.l1:
            losses["l1"] = weights.l1 * F.l1_loss(restored, clean)
        seen, wanted = _viewed(restored, clean, weights.view, step) if weights.view else (restored, clean)
        if weights.lpips:
            losses["lpips"] = weights.lpips * self.perceptual[weights.lpips_net](seen, wanted).mean()
        if weights.lpips_close:
            near = _close(restored, clean, step)
            losses["lpips_close"] = weights.lpips_close * self.perceptual[weights.lpips_net](*near).mean()
        if weights.style or weights.region_style:
            losses |= self._style(done, clean, weights)
        if weights.pyramid and done.pyramid:
            losses["pyramid"] = weights.pyramid * sum(
                (F.l1_loss(picture, _shrunk(clean, picture)) for picture in done.pyramid), clean.new_zeros(())
            )
        if self.recogniser is not None and (weights.identity or weights.identity_maps):
            losses |= self._identity(self.recogniser, *_lit(seen, wanted, weights.light, step), weights)
        for name, weight in weights.own.items():
            if name not in done.own:
                raise ConfigError(
                    f"this method has no loss '{name}'{suggest(name, done.own)}; leave it out of losses.own"
                )
            losses[name] = weight * done.own[name]
        return losses

    def _identity(self, judge: Recogniser, seen: Tensor, wanted: Tensor, weights: LossSettings) -> dict[str, Tensor]:
        """Distance of the embeddings, and of the maps on the way to them, which say more and generalise better."""
        reached, maps = judge.inspect(seen.clamp(0, 1))
        with torch.no_grad():
            target, target_maps = judge.inspect(wanted.clamp(0, 1))
        losses = {}
        if weights.identity:
            losses["identity"] = weights.identity * judge.distance(reached, target).mean()
        if weights.identity_maps:
            pairs = zip(maps, target_maps, strict=True)
            parts = [(F.normalize(a.float()) - F.normalize(b.float())).square().sum(1).mean() for a, b in pairs]
            losses["identity_maps"] = weights.identity_maps * torch.stack(parts).sum()
        return losses

    def _style(self, done: TrainingPass, clean: Tensor, weights: LossSettings) -> dict[str, Tensor]:
        """Gram losses over the whole face and over each facial part (Chen et al., PSFR-GAN, CVPR 2021)."""
        judge = self.perceptual[weights.lpips_net]
        drawn, wanted = judge.features(done.restored), judge.features(clean)
        losses = {}
        if weights.style:
            parts = [F.l1_loss(gram(a), gram(b)) for a, b in zip(drawn, wanted, strict=True)]
            losses["style"] = weights.style * torch.stack(parts).sum()
        if weights.region_style and done.regions is not None:
            parts = []
            for a, b in zip(drawn[:3], wanted[:3], strict=True):
                masks = F.interpolate(done.regions.detach().float(), size=a.shape[2:], mode="area")
                for region in torch.split(masks, 1, dim=1):
                    parts.append(F.l1_loss(gram(a, region), gram(b, region)))
            losses["region_style"] = weights.region_style * torch.stack(parts).mean()
        return losses


def _on(judge: Judge, device: str) -> Judge:
    """A judge on a device; others share the one on the CPU, so it is copied rather than moved."""
    return judge if device == "cpu" else copy.deepcopy(judge).to(device)


def _viewed(restored: Tensor, clean: Tensor, most: int, step: int) -> tuple[Tensor, Tensor]:
    """Both batches shifted by up to ``most`` pixels and perhaps mirrored, alike.

    A network learns to please one grid of a fixed judge (AlexNet looks in strides of four); a judge that sees every
    step from elsewhere is pleased only by what other judges like too (Kettunen et al., "E-LPIPS", 2019).
    """
    numbers = generator("view", step)
    down, right = torch.randint(2 * most + 1, (2,), generator=numbers).tolist()
    both = F.pad(torch.cat([restored, clean]), (most,) * 4, mode="replicate")
    both = both[:, :, down : down + clean.shape[2], right : right + clean.shape[3]]
    if torch.rand(1, generator=numbers).item() < 0.5:
        both = both.flip(3)
    seen, wanted = both.chunk(2)
    return seen, wanted


def _lit(restored: Tensor, clean: Tensor, amount: float, step: int) -> tuple[Tensor, Tensor]:
    """Both batches under another light and with the same noise, so that a recogniser's habits cannot be exploited."""
    if not amount:
        return restored, clean
    numbers = generator("light", step)
    gain, offset, level = (torch.rand(3, generator=numbers) * 2 - 1).tolist()
    noise = torch.randn(clean.shape, generator=numbers).to(clean) * (abs(level) * amount / 10)
    lit = [(picture - 0.5) * (1 + amount * gain) + 0.5 + amount / 2 * offset + noise for picture in (restored, clean)]
    return lit[0], lit[1]


def _close(restored: Tensor, clean: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """A random window of half the side, enlarged to the whole side, alike in both batches.

    AlexNet's first stride is four pixels: seen from close, it judges texture that it otherwise averages away.
    """
    side = clean.shape[-1]
    top, left = torch.randint(side // 2 + 1, (2,), generator=generator("close", step)).tolist()
    both = torch.cat([restored, clean])[:, :, top : top + side // 2, left : left + side // 2]
    seen, wanted = F.interpolate(both, size=(side, side), mode="bilinear", align_corners=False).chunk(2)
    return seen, wanted


def _shrunk(clean: Tensor, like: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(clean, like.shape[-1])
