"""A restorer as a graph that other programs run: ONNX and OpenVINO, and how near its pictures stay.

The graph takes one aligned face, (1, 3, S, S) RGB in [0, 1], and returns the restored one in the same form, clamped.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from facefort.errors import ModelError, UsageError
from facefort.files import explained
from facefort.models.restorer import Restorer
from facefort.models.sources import faces as sample_faces
from facefort.pictures.degrade import degrade
from facefort.runtime import Precision

if TYPE_CHECKING:
    import openvino

Compiled = Callable[[Tensor], Tensor]
"""(N, 3, S, S) in [0, 1] -> the same, clamped; without a gradient."""

SAME_GRAPH = 70.0
"""A graph in the same arithmetic must come this near, in dB: a twelfth of what rounding to 8 bits changes."""
_OPSET = 18


@dataclass(frozen=True)
class Parity:
    """How far two ways to compute the same faces are apart.

    Attributes:
        psnr: of the worst face, in dB.
        largest: largest difference of a value, on [0, 1].
        faces: how many were compared.
    """

    psnr: float
    largest: float
    faces: int

    @classmethod
    def of(cls, ours: Tensor, theirs: Tensor) -> Parity:
        """Compare two batches (N, 3, S, S) in [0, 1]."""
        apart = (ours.double() - theirs.double()).abs()
        worst = float(apart.square().flatten(1).mean(1).max())
        return cls(-10 * math.log10(worst) if worst > 0 else math.inf, float(apart.max()), len(ours))

    def __str__(self) -> str:
        near = "equal" if self.psnr == math.inf else f"{self.psnr:.1f} dB"
        return f"{near} over {self.faces} faces, largest difference {self.largest:.1e}"


class OneFace(nn.Module):
    """A restorer as the graph computes it: one face, clamped, in float32."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, face: Tensor) -> Tensor:
        """(1, 3, S, S) in [0, 1] -> the same."""
        restored: Tensor = self.restorer(face).clamp(0, 1)
        return restored


def probe(size: int, count: int = 4) -> Tensor:
    """Degraded faces of generated people, (N, 3, S, S), that every comparison looks at."""
    batch = next(iter(sample_faces("samples", size, limit=count).batches(count)))
    return degrade(batch.faces, "gfpgan", seed=1, names=batch.names).pictures


def needs(package: str, extra: str) -> None:
    """Make sure that an optional package is installed.

    Raises:
        UsageError: it is not; the message says how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"this needs the package {package}; pip install 'facefort[{extra}]'")


def _openvino() -> Any:  # noqa: ANN401 - the package has no types
    """The package, with its statistics off: its converter would send them over the network."""
    needs("openvino", "openvino")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def to_openvino(restorer: Restorer) -> openvino.Model:
    """The restorer as a graph of OpenVINO.

    Raises:
        UsageError: openvino is not installed.
        ModelError: the network cannot be converted.
    """
    openvino = _openvino()
    shape = (1, 3, restorer.size, restorer.size)
    try:
        with torch.no_grad(), _quiet():
            return openvino.convert_model(OneFace(restorer), example_input=torch.rand(shape), input=[list(shape)])
    except Exception as error:
        raise ModelError(f"OpenVINO cannot convert {restorer.name}: {_cause(error)}") from error


def run_openvino(model: openvino.Model | Path, precision: Precision = "fp32", threads: int = 0) -> Compiled:
    """Compile a graph for this processor; 0 threads are as many as it has cores.

    Raises:
        UsageError: openvino is not installed.
        ModelError: the graph is damaged, or cannot be computed here.
    """
    openvino = _openvino()
    hint: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if threads:
        hint["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(model, "CPU", hint)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot compile the graph: {_cause(error)}") from error

    def run(faces: Tensor) -> Tensor:
        try:
            return torch.cat([torch.from_numpy(compiled(face[None].numpy())[0].copy()) for face in faces])
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot run the graph: {_cause(error)}") from error

    return run


def save_openvino(model: openvino.Model, file: Path) -> None:
    """Write ``file`` (.xml) and the numbers beside it (.bin)."""
    _openvino().save_model(model, file, compress_to_fp16=False)


def save_onnx(restorer: Restorer, file: Path) -> None:
    """Write the restorer as an ONNX graph, one file.

    Raises:
        UsageError: onnx or onnxscript is not installed.
        ModelError: the network cannot be converted.
    """
    needs("onnx", "onnx")
    needs("onnxscript", "onnx")
    face = torch.rand(1, 3, restorer.size, restorer.size)
    try:
        with torch.no_grad(), _quiet():
            OneFace(restorer)(face)  # what a network decides by its own values, it decides before it is recorded
            program = torch.onnx.export(
                OneFace(restorer),
                (face,),
                input_names=["face"],
                output_names=["restored"],
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        program.save(file, external_data=False)
    except OSError:
        raise
    except Exception as error:
        raise ModelError(f"{restorer.name} cannot be written as ONNX: {_cause(error)}") from error


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Where to write a graph that appears under ``target`` only when the block ends well; ``target`` comes last.

    What stood there before stays until then.

    Raises:
        OutputError: the place cannot be written.
    """
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.stem}.", dir=target.parent) as folder:
            made = Path(folder) / target.name
            yield made
            beside = [file for file in made.parent.iterdir() if file != made]
            if beside:
                target.unlink(missing_ok=True)  # an old graph would not fit the new numbers
            for file in (*beside, made):
                os.replace(file, target.parent / file.name)


def run_onnx(file: Path) -> Compiled:
    """Open an ONNX graph with onnxruntime on the processor."""
    needs("onnxruntime", "onnx")
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(faces: Tensor) -> Tensor:
        done = [session.run(None, {"face": face[None].numpy()})[0] for face in faces]
        return torch.from_numpy(np.concatenate(done))

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the remarks of converters, on shapes and packages that nothing here needs, from the user.

    They set levels of everybody's log, too; afterwards these are what they were.
    """
    root = logging.getLogger()
    level, disabled = root.level, root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.setLevel(level)


def _cause(error: BaseException) -> str:
    """One line on what went wrong first."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


__all__ = [
    "SAME_GRAPH",
    "Compiled",
    "OneFace",
    "Parity",
    "probe",
    "run_onnx",
    "run_openvino",
    "save_onnx",
    "save_openvino",
    "staged",
    "to_openvino",
]
