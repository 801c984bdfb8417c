"""A restorer: any network of the field behind one surface, aligned faces in [0, 1] in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from facefort.errors import ModelError
from facefort.models.spec import Architecture, Options, TrainingPass
from facefort.runtime import Runtime


@dataclass(frozen=True)
class Origin:
    """Where a restorer's weights come from: what a report prints beside its numbers."""

    name: str
    sha256: str = ""
    card: dict[str, Any] = field(default_factory=dict)


class Restorer(nn.Module):
    """A face restorer.

    ``restorer(faces)`` maps (N, 3, S, S) in [0, 1] to the same shape and unit and is differentiable; it does not
    clamp, so that gradients live on where a network leaves the range. :meth:`restore` is for use: no gradient, the
    runtime's precision, clamped, checked.

    Args:
        network: the bare network, in its own range.
        architecture: what kind of network it is.
        options: what it was built with.
        origin: where its weights come from.
    """

    def __init__(self, network: nn.Module, architecture: Architecture, options: Options, origin: Origin) -> None:
        super().__init__()
        self.network = network
        self.architecture = architecture
        self.options = options
        self.origin = origin
        self.runtime = Runtime()
        self.compiled: Callable[[Tensor], Tensor] | None = None
        """The same network by other means (:mod:`facefort.models.ways`), for :meth:`restore` alone."""

    @property
    def name(self) -> str:
        """Name for tables: the zoo's name or the checkpoint's."""
        return self.origin.name

    @property
    def size(self) -> int:
        """Side of the aligned face, in pixels."""
        return self.architecture.size(self.options)

    def on(self, runtime: Runtime) -> Restorer:
        """Move to the runtime's device and remember its precision; returns itself."""
        self.runtime = runtime
        self.compiled = None
        runtime.place(self)
        return self

    def forward(self, faces: Tensor) -> Tensor:
        """Restore (N, 3, S, S) in [0, 1]; values may leave the range a little.

        Raises:
            ModelError: the faces have another size than :attr:`size`.
        """
        if faces.ndim != 4 or faces.shape[1:] != (3, self.size, self.size):
            raise ModelError(
                f"{self.name} takes faces of shape (N, 3, {self.size}, {self.size}), not {tuple(faces.shape)}"
            )
        low, high = self.architecture.low, self.architecture.high
        with self.runtime.autocast():
            restored = self.architecture.run(self.network, self._signal(faces))
        if restored.shape != faces.shape:
            raise ModelError(f"{self.name} returned {tuple(restored.shape)} for {tuple(faces.shape)}")
        return (restored.float() - low) / (high - low)

    def training_pass(self, faces: Tensor, clean: Tensor, teacher: nn.Module | None = None) -> TrainingPass:
        """The pass of training on (N, 3, S, S) and (N, 3, S, S) in [0, 1]; pictures come back in [0, 1], unclamped."""
        train = self.architecture.train
        if train is None:
            return TrainingPass(self(faces))
        low, high = self.architecture.low, self.architecture.high
        with self.runtime.autocast():
            done = train(self.network, self._signal(faces), self._signal(clean), teacher)
        restored, *pyramid = [(picture.float() - low) / (high - low) for picture in (done.restored, *done.pyramid)]
        return replace(done, restored=restored, pyramid=pyramid)

    def _signal(self, faces: Tensor) -> Tensor:
        """Pictures in [0, 1] in the network's own range."""
        low, high = self.architecture.low, self.architecture.high
        return (faces * (high - low) + low).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def restore(self, faces: Tensor) -> Tensor:
        """Restore (N, 3, S, S) in [0, 1], clamped to [0, 1].

        A pass in bfloat16, or by other means, that yields NaN is repeated in float32 before it is called a failure.

        Raises:
            ModelError: the network returns NaN or infinity, or one flat colour for a face that is not flat.
        """
        faces = faces.to(self.runtime.device)
        restored = self.compiled(faces) if self.compiled else self(faces)
        plain = self.compiled is None and self.runtime.precision == "fp32"
        if not plain and not bool(restored.isfinite().all()):
            runtime, self.runtime = self.runtime, Runtime(self.runtime.device)
            try:
                restored = self(faces)
            finally:
                self.runtime = runtime
        if not bool(restored.isfinite().all()):
            raise ModelError(f"{self.name} returned NaN; its weights are damaged or do not belong to this architecture")
        restored = restored.clamp(0, 1)
        flat = restored.flatten(1).std(1) < 1e-3
        if bool((flat & (faces.flatten(1).std(1) > 1e-2)).any()):
            raise ModelError(f"{self.name} returned a flat picture; its weights do not belong to this architecture")
        return restored
