"""The ways to compute a restorer on this machine, and the fastest of them that draws the same picture.

A way is a library and an arithmetic. Each is timed on one face and compared with torch in float32 over a few faces of
generated people; one whose worst face is further off than :data:`GATE` is out, however fast. The result is kept for
the machine, the libraries and the weights, so that the measurement is made once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from facefort.errors import FacefortError, ModelError, OutputError, UsageError
from facefort.files import cache_dir, sha256_bytes, write_text
from facefort.models.conversion import (
    Compiled,
    Parity,
    needs,
    probe,
    run_openvino,
    save_openvino,
    staged,
    to_openvino,
)
from facefort.models.restorer import Restorer
from facefort.runtime import Precision, Runtime, choose, describe, has_bf16

Backend = Literal["torch", "openvino"]

GATE = 50.0
"""Least PSNR of the worst face against torch in float32, in dB: an error of less than one 8-bit level."""
_SECONDS = 3.0
"""Time after which a way is not timed again."""
_WORDS = {"fp32": "float32", "bf16": "bfloat16", "torch": "torch", "openvino": "OpenVINO"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """A library and an arithmetic."""

    backend: Backend
    precision: Precision

    def __str__(self) -> str:
        return f"{_WORDS[self.backend]} in {_WORDS[self.precision]}"


PLAIN = Way("torch", "fp32")
"""What every other way is compared with."""


@dataclass(frozen=True)
class Tried:
    """What was measured of a way.

    Attributes:
        way: which.
        milliseconds: wall time of one face, the best of a few; 0 where it does not run.
        psnr: of the worst face against torch in float32, in dB; None for that way itself and where it does not run.
        reason: why it is out; empty where it is not.
    """

    way: Way
    milliseconds: float = 0.0
    psnr: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """The way that is taken, and all that was tried: nothing where there was no choice."""

    way: Way = PLAIN
    tried: tuple[Tried, ...] = ()

    def __str__(self) -> str:
        taken = next((one for one in self.tried if one.way == self.way), None)
        plain = next((one for one in self.tried if one.way == PLAIN), None)
        if taken is None or plain is None:
            return str(self.way)
        said = f"{self.way}, {taken.milliseconds:.0f} ms a face"
        if taken is not plain and taken.psnr is not None:
            said += f" (torch in float32: {plain.milliseconds:.0f} ms; {taken.psnr:.0f} dB from it)"
        out = [f"{one.way} is out: {one.reason}" for one in self.tried if one.reason]
        return "; ".join([said, *out])


def take(restorer: Restorer, device: str = "auto", precision: str = "auto", backend: str = "auto") -> Choice:
    """Make the restorer's :meth:`~facefort.models.restorer.Restorer.restore` take the fastest way that is allowed.

    Args:
        restorer: as it was loaded, since what is kept is known by its file; changed in place. Its differentiable
            pass stays torch's.
        device: see :func:`facefort.runtime.choose`.
        precision: "auto", or the only arithmetic that is allowed; a named one has to pass no gate.
        backend: "auto", "torch" or "openvino"; likewise.

    Raises:
        UsageError: no such device or library here, or an unknown name.
        ModelError: the restorer cannot be converted to the library that was named.
    """
    ways = list(allowed(device, precision, backend))
    place = choose(device, "fp32")
    choice = Choice(ways[0])
    if len(ways) > 1:
        choice = _remembered(restorer, ways, place) or _measured(restorer, ways, place)
    _install(restorer, choice.way, place)
    return choice


def allowed(device: str, precision: str, backend: str) -> Iterator[Way]:
    """The ways that this machine has and the user allows; the plainest first."""
    place = choose(device, precision)  # refuses unknown names
    if backend not in ("auto", "torch", "openvino"):
        raise UsageError(f"unknown backend '{backend}'; known: auto, torch, openvino")
    native = place.device != "cpu" or has_bf16()
    precisions: list[Precision] = ["fp32", *(["bf16"] if native else [])]  # type: ignore[list-item]
    if precision != "auto":
        precisions = [place.precision]
    if backend != "openvino":
        yield from (Way("torch", one) for one in precisions)
    if backend == "openvino":
        needs("openvino", "openvino")
        if place.device != "cpu":
            raise UsageError(f"--backend openvino computes on the CPU, not on {place.device}; add --device cpu")
    if backend == "openvino" or (backend == "auto" and place.device == "cpu" and _has_openvino()):
        yield from (Way("openvino", one) for one in precisions)


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _install(restorer: Restorer, way: Way, place: Runtime) -> None:
    precision: Precision = way.precision if way.backend == "torch" else "fp32"
    restorer.on(Runtime(place.device, precision, place.threads))
    if way.backend == "openvino":
        restorer.compiled = _compiled(restorer, way.precision)


def _compiled(restorer: Restorer, precision: Precision) -> Compiled:
    """The restorer by OpenVINO; its graph is kept, since a conversion takes seconds."""
    file = cache_dir() / "openvino" / f"{_key(restorer, restorer.runtime)}.xml"
    if restorer.origin.sha256 and file.exists():
        with contextlib.suppress(ModelError):  # a damaged graph is made again
            return run_openvino(file, precision, restorer.runtime.threads)
    graph = to_openvino(restorer)
    if restorer.origin.sha256:
        with contextlib.suppress(OutputError), staged(file) as made:
            save_openvino(graph, made)
    return run_openvino(graph, precision, restorer.runtime.threads)


def _measured(restorer: Restorer, ways: list[Way], place: Runtime) -> Choice:
    """Time every way and compare it; then keep what was found."""
    log.warning("trying once how %s runs fastest on this machine", restorer.name)
    faces = probe(restorer.size).to(place.device)
    restorer.on(Runtime(place.device, "fp32", place.threads))
    exact = restorer.restore(faces).cpu()
    tried = [_try(restorer, way, place, faces, exact) for way in ways]
    good = [one for one in tried if not one.reason]
    # A way that was named is taken as it is; among several that draw another picture, the plainest stands first.
    best = min(good, key=lambda one: one.milliseconds).way if good else ways[0]
    choice = Choice(best, tuple(tried))
    if restorer.origin.sha256:
        with contextlib.suppress(OutputError):  # then it is measured again next time
            write_text(_file(restorer, place), json.dumps(asdict(choice)))
    return choice


def _try(restorer: Restorer, way: Way, place: Runtime, faces: Tensor, exact: Tensor) -> Tried:
    try:
        _install(restorer, way, place)
        found = Parity.of(restorer.restore(faces).cpu(), exact)
        milliseconds = _time(restorer, faces[:1])
    except FacefortError as error:
        return Tried(way, reason=str(error))
    if way == PLAIN:
        return Tried(way, milliseconds)
    reason = "" if found.psnr >= GATE else f"{found.psnr:.0f} dB from float32, and {GATE:.0f} are asked for"
    return Tried(way, milliseconds, min(found.psnr, 200.0), reason)


def _time(restorer: Restorer, face: Tensor) -> float:
    """Best wall time of a few passes, in milliseconds."""
    begun = time.perf_counter()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        restorer.restore(face).cpu()
        now = time.perf_counter()
        best = min(best, now - start)
        if now - begun > _SECONDS:
            break
    return 1000 * best


def _remembered(restorer: Restorer, ways: list[Way], place: Runtime) -> Choice | None:
    """What was measured before, where it covers these ways."""
    if not restorer.origin.sha256:
        return None
    try:
        kept = json.loads(_file(restorer, place).read_text(encoding="utf-8"))
        tried = tuple(Tried(**{**one, "way": Way(**one["way"])}) for one in kept["tried"])
        by_way = {one.way: one for one in tried}
        good = [by_way[way] for way in ways if not by_way[way].reason]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    best = min(good, key=lambda one: one.milliseconds).way if good else ways[0]
    return Choice(best, tuple(by_way[way] for way in ways))


def _file(restorer: Restorer, place: Runtime) -> Path:
    return cache_dir() / "ways" / f"{_key(restorer, place)}.json"


def _key(restorer: Restorer, place: Runtime) -> str:
    """Weights, options, machine and libraries: whatever could change the time or the picture."""
    facts: dict[str, Any] = {
        "weights": restorer.origin.sha256,
        "architecture": restorer.architecture.name,
        "options": {name: str(value) for name, value in sorted(restorer.options.items())},
        "machine": {**describe(place), "precision": ""},
        "facefort": metadata.version("facefort"),
        "openvino": metadata.version("openvino") if _has_openvino() else "",
        "gate": GATE,
    }
    return sha256_bytes(json.dumps(facts, sort_keys=True).encode())[:24]


__all__ = ["GATE", "PLAIN", "Choice", "Tried", "Way", "allowed", "take"]
