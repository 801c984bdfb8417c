"""How useful a face is to a recogniser, from one picture: face-image quality assessment.

Three judges, whose numbers are not comparable with each other: ``mobilenet`` as a package carries it, ``sdd`` trained
here by SDD-FIQA's method, and ``sdd-official``, the published IR-R50 of SDD-FIQA, whose weights the user brings.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort.errors import UsageError, WeightsError
from facefort.models.judges.chips import ARCFACE, Layout, check_faces, cut
from facefort.models.weights import read_checkpoint
from facefort.registry import Registry


class QualityJudge(nn.Module, abc.ABC):
    """A network that rates a face; higher is better.

    Attributes:
        name: name in :data:`QUALITY_JUDGES`.
        size: side of the network's own input, in pixels.
        tight: whether it sees ArcFace's part of the face, as recognisers do, rather than the whole aligned picture.
        licence: what the weights may be used for.
    """

    name: ClassVar[str]
    size: ClassVar[int]
    tight: ClassVar[bool]
    licence: ClassVar[str]

    def forward(self, faces: Tensor, layout: Layout = "ffhq") -> Tensor:
        """Rate aligned faces, (N, 3, S, S) RGB in [0, 1] with S >= 64 -> (N,); differentiable.

        Args:
            faces: aligned faces.
            layout: how: "ffhq" (this project's own crops) or "arcface".

        Raises:
            PictureError: not a batch of square RGB pictures.
            FaceError: smaller than 64 px.
            UsageError: unknown layout.
        """
        check_faces(faces)
        if self.tight:
            return self.rate(cut(faces, layout, ARCFACE))
        return self.rate(F.interpolate(faces, (self.size,) * 2, mode="bilinear", antialias=True))

    @abc.abstractmethod
    def rate(self, chips: Tensor) -> Tensor:
        """Rate the network's own input, (N, 3, size, size) RGB in [0, 1] -> (N,)."""


Judge = TypeVar("Judge", bound=QualityJudge)


def load_strictly(kind: type[Judge], path: Path) -> Judge:
    """A judge with the weights of a checkpoint; each of its entries must fit and none may be missing.

    Raises:
        WeightsError: missing, damaged, or of another network; the message names an entry.
        UnsafeCheckpointError: unpickling it would run code.
    """
    state = read_checkpoint(path).state
    with torch.device("meta"):
        judge = kind()
    own = judge.state_dict()
    # Counters that torch added to batch normalisation in 2018 and that only training reads.
    state = {**{key: torch.tensor(0) for key in own if key.endswith("num_batches_tracked")}, **state}
    lacking = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    other = [key for key in own if key in state and state[key].shape != own[key].shape]
    for found, what in ((lacking, "lacks"), (foreign, "has the unknown"), (other, "has another size of")):
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise WeightsError(f"{path.name} is not a {kind.name} checkpoint: it {what} {found[0]}{more}")
    judge.load_state_dict({key: state[key].to(own[key].dtype) for key in own}, assign=True)
    return judge


QUALITY_JUDGES: Registry[Callable[[], QualityJudge]] = Registry("quality judge")
"""Functions that build each judge with its published weights; the official one takes the path of its file."""

QUALITY_JUDGES.add(
    "mobilenet", "facefort.models.judges.mobilenet_quality:load", weights=("qualityface",), licence="MIT"
)
QUALITY_JUDGES.add("sdd", "facefort.models.judges.sdd_quality:load", weights=(), licence="Apache-2.0")
QUALITY_JUDGES.add(
    "sdd-official", "facefort.models.judges.sdd_official:load", weights=(), licence="the owner's", brought=True
)


@functools.cache
def quality_judge(name: str, weights: Path | None = None) -> QualityJudge:
    """The judge called ``name``: one shared instance, in evaluation mode, parameters frozen.

    Args:
        name: a name of :data:`QUALITY_JUDGES`.
        weights: a checkpoint of that architecture; needed by ``sdd-official``, None takes what ships or was fetched.

    Raises:
        UnknownNameError: nothing has that name.
        UsageError: weights that only the user can bring were not given.
        WeightsError: weights that are missing, damaged or of another network.
    """
    build: Callable[..., QualityJudge] = QUALITY_JUDGES.get(name)
    if weights is None and QUALITY_JUDGES.entry(name).facts.get("brought"):
        raise UsageError(f"{name} needs the path of its checkpoint; nothing carries it")
    judge = build() if weights is None else build(weights)
    return judge.eval().requires_grad_(False)
