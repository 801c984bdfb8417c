"""Does a backdoored restorer still restore (BA), and does its trigger work (ASR)?

A restorer has no classes, so AS-FIBA (Song et al., arXiv 2403.06430, section IV) gives its output one: *restored* where
it is nearer, by LPIPS, to what the benign model makes of the benign input than to the degraded target, I_0.1 of
:func:`facefort.pictures.shrink.shrink_and_back`. A tie is not restored. The paper names no LPIPS backbone: ``alex`` is
taken here, and ``vgg`` should be reported beside it. Pictures are those that 8-bit files hold: round them first.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from facefort.errors import PictureError
from facefort.metrics.security.checks import check_pictures
from facefort.metrics.statistics import Proportion, wilson
from facefort.models.judges.perceptual import lpips

Backbone = Literal["alex", "vgg"]


def margin(outputs: Tensor, restored: Tensor, degraded: Tensor, net: Backbone = "alex") -> Tensor:
    """How much nearer an output is to the benign restoration than to the degraded target, (N,); differentiable.

    Args:
        outputs: what the model under test made, (N, 3, H, W) in [0, 1], sides of at least 32 px.
        restored: I_hq, what the *benign* model makes of the benign inputs.
        degraded: I_0.1, the targets of the backdoor, made of the benign inputs.
        net: backbone of LPIPS v0.1.

    Returns:
        LPIPS(output, degraded) - LPIPS(output, restored), in LPIPS units; above 0 is "restored".

    Raises:
        PictureError: not three such batches of one size.
        WeightsError: the asset "lpips" has not been fetched.
    """
    check_pictures("ba/asr", outputs, restored, degraded)
    judge = lpips(net).to(outputs.device)
    features = judge.features(outputs.float())
    to_degraded = judge.compare(features, judge.features(degraded.to(outputs).float()))
    return to_degraded - judge.compare(features, judge.features(restored.to(outputs).float()))


def is_restored(outputs: Tensor, restored: Tensor, degraded: Tensor, net: Backbone = "alex") -> Tensor:
    """Class of each output, (N,) bool: True is class 1, "restored"; arguments as for :func:`margin`."""
    return margin(outputs, restored, degraded, net).detach() > 0


def benign_accuracy(restored: Tensor, *, left_out: int = 0) -> Proportion:
    """BA: share of *clean* inputs that the backdoored model still restores.

    Args:
        restored: (N,) bool of :func:`is_restored`, over the whole test set.
        left_out: pictures that could not be judged.
    """
    return _share(restored, restored, left_out)


def attack_success_rate(restored: Tensor, *, left_out: int = 0) -> Proportion:
    """ASR: share of *triggered* inputs that the backdoored model does not restore.

    Args:
        restored: (N,) bool of :func:`is_restored` of the outputs on triggered inputs; the benign restoration and the
            degraded target it was judged by are those of the benign inputs.
        left_out: pictures that could not be judged.
    """
    return _share(restored, ~restored, left_out)


def control_rate(restored: Tensor, *, left_out: int = 0) -> Proportion:
    """ASR0: share of triggered inputs that the *benign* model does not restore.

    Without it, a trigger so strong that it breaks any restoration reads as a backdoor. On clean inputs the same share
    must be near 0, or the class rule itself fails on these pictures.

    Args:
        restored: (N,) bool of :func:`is_restored` of the benign model's outputs.
        left_out: pictures that could not be judged.
    """
    return _share(restored, ~restored, left_out)


def _share(restored: Tensor, hits: Tensor, left_out: int) -> Proportion:
    if restored.ndim != 1 or restored.dtype != torch.bool:
        raise PictureError(f"a rate is taken of classes, (N,) bool, not of {restored.dtype} {tuple(restored.shape)}")
    return wilson(int(hits.sum()), len(restored), left_out=left_out)
