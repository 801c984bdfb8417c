"""Who is in a picture: recognisers that turn an aligned face into an embedding, and distances between embeddings.

``dlib`` is the default: its weights are in the public domain. ``arcface-mbf`` and ``edgeface`` are more accurate, but
their weights are for non-commercial research only, so nothing takes them unless they are asked for by name. How
accurate they are, and where the thresholds come from, is measured by ``benchmarks/recogniser_accuracy.py`` and written
down in ``docs/recognisers.md``.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from facefort.errors import ModelError
from facefort.models.judges.chips import Layout, Template, cut
from facefort.registry import Registry


class Recogniser(nn.Module, abc.ABC):
    """A network that tells people apart.

    Attributes:
        name: name in :data:`RECOGNISERS`.
        dimension: D, numbers per embedding.
        licence: what the weights may be used for.
        threshold: distance at or below which two pictures count as one person: where 1 in 1000 pairs of strangers of
            LFW does, too (``docs/recognisers.md``).
        chip: size and landmarks of the picture that the network was trained on.
    """

    name: ClassVar[str]
    dimension: ClassVar[int]
    licence: ClassVar[str]
    threshold: ClassVar[float]
    chip: ClassVar[Template]

    def forward(self, faces: Tensor, layout: Layout = "ffhq") -> Tensor:
        """Embed aligned faces, (N, 3, S, S) RGB in [0, 1] with S >= 64 -> (N, D); differentiable in the faces.

        Args:
            faces: aligned faces.
            layout: how: "ffhq" (this project's own crops) or "arcface", either scaled to any S.

        Raises:
            PictureError: not a batch of square RGB pictures, or not finite.
            FaceError: smaller than 64 px.
            UsageError: unknown layout.
        """
        return self.embed(cut(faces, layout, self.chip))

    @abc.abstractmethod
    def embed(self, chips: Tensor) -> Tensor:
        """Embed the network's own chips, (N, 3, chip.size, chip.size) RGB in [0, 1] -> (N, D)."""

    @abc.abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of embeddings (N, D) and (N, D), (N,); 0 for equal ones, and its gradient is finite there."""

    def same(self, a: Tensor, b: Tensor) -> Tensor:
        """Whether embeddings (N, D) and (N, D) are of one person, (N,) bool."""
        return self.distance(a, b) <= self.threshold

    def check_embeddings(self, a: Tensor, b: Tensor) -> None:
        """Refuse what are not two equally long batches of this recogniser's embeddings.

        Raises:
            ModelError: other shapes.
        """
        if a.ndim != 2 or a.shape != b.shape or a.shape[1] != self.dimension:
            shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
            raise ModelError(
                f"{self.name} compares embeddings of shape (N, {self.dimension}) with as many, not {shapes}"
            )


RECOGNISERS: Registry[Callable[[], Recogniser]] = Registry("recogniser")
"""Functions that build each recogniser with its published weights."""

RECOGNISERS.add(
    "dlib",
    "facefort.models.judges.dlib_resnet:load",
    weights=("dlib-resnet",),
    licence="CC0-1.0",
    research_only=False,
)
RECOGNISERS.add(
    "arcface-mbf",
    "facefort.models.judges.mobilefacenet:load",
    weights=("arcface-mobilefacenet",),
    licence="InsightFace non-commercial research",
    research_only=True,
)
RECOGNISERS.add(
    "edgeface",
    "facefort.models.judges.edgeface:load",
    weights=("edgeface",),
    licence="CC-BY-NC-SA-4.0, non-commercial research",
    research_only=True,
)


def recogniser(name: str = "dlib") -> Recogniser:
    """The recogniser called ``name``: one shared instance, in evaluation mode, parameters frozen.

    Raises:
        UnknownNameError: nothing has that name.
        WeightsError: its weights are not fetched, or damaged.
    """
    return _shared(name)


@functools.cache
def _shared(name: str) -> Recogniser:
    return RECOGNISERS.get(name)().eval().requires_grad_(False)
