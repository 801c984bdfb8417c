"""`facefort export`: a restorer as a graph for other programs, and how near its pictures stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facefort.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from facefort.models.conversion import Compiled, Parity
    from facefort.models.restorer import Restorer


@click.command(name="export")
@click.argument("model")
@click.option("--onnx", type=click.Path(path_type=Path, dir_okay=False), help="Write an ONNX graph here (.onnx).")
@click.option(
    "--openvino",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write an OpenVINO graph here (.xml, with its .bin beside it).",
)
def command(model: str, onnx: Path | None, openvino: Path | None) -> int:
    """Write MODEL, a name of the zoo or a checkpoint, as a graph, run that and print how near it stays to torch.

    The graph takes one aligned face, float32 (1, 3, S, S), RGB in [0, 1], and returns the restored one alike. One
    whose pictures differ from torch's is not left behind.
    """
    if onnx is None and openvino is None:
        raise UsageError("say what to write: --onnx FILE.onnx, --openvino FILE.xml, or both")
    _check_ending("--onnx", onnx, ".onnx")
    _check_ending("--openvino", openvino, ".xml")

    from facefort.models import conversion, load
    from facefort.runtime import Runtime

    for package, wanted in (("onnx", onnx), ("onnxscript", onnx), ("onnxruntime", onnx), ("openvino", openvino)):
        if wanted is not None:
            conversion.needs(package, "openvino" if package == "openvino" else "onnx")
    restorer = load(model).on(Runtime())
    if onnx is not None:
        with conversion.staged(onnx) as made:
            conversion.save_onnx(restorer, made)
            parity = _compared(restorer, conversion.run_onnx(made))
        _tell(onnx, [onnx], parity, restorer)
    if openvino is not None:
        with conversion.staged(openvino) as made:
            conversion.save_openvino(conversion.to_openvino(restorer), made)
            parity = _compared(restorer, conversion.run_openvino(made))
        _tell(openvino, [openvino, openvino.with_suffix(".bin")], parity, restorer)
    return EXIT_OK


def _check_ending(flag: str, file: Path | None, ending: str) -> None:
    if file is not None and file.suffix != ending:
        raise UsageError(f"{flag} takes a file that ends in {ending}, not {file.name}")


def _compared(restorer: Restorer, graph: Compiled) -> Parity:
    """How far the graph's pictures are from torch's; one that is no good is refused."""
    from facefort.errors import ModelError
    from facefort.models.conversion import SAME_GRAPH, Parity, probe

    faces = probe(restorer.size)
    parity = Parity.of(graph(faces), restorer.restore(faces))
    if parity.psnr < SAME_GRAPH:
        raise ModelError(
            f"the graph draws other pictures than {restorer.name} in torch ({parity}; {SAME_GRAPH:.0f} dB are asked "
            "for) and was not kept; a model that draws noise of its own cannot be exported"
        )
    return parity


def _tell(target: Path, files: list[Path], parity: Parity, restorer: Restorer) -> None:
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    side = restorer.size
    click.echo(f"{target}: {megabytes:.1f} MB; float32 (1, 3, {side}, {side}) RGB in [0, 1] in and out")
    click.echo(f"against torch in float32: {parity}")
