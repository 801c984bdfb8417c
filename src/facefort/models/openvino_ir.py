"""Reading the constants of an OpenVINO IR (version 10): an XML graph beside a file of raw numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facefort.errors import WeightsError


def constants(graph: Path) -> dict[str, Tensor]:
    """The float32 constants of a graph by the name that its exporter gave them.

    Args:
        graph: the ``.xml`` file; the numbers lie beside it in a ``.bin`` file of the same name.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    try:
        layers = ET.parse(graph).getroot().iterfind("layers/layer[@type='Const']")  # noqa: S314 - the catalogue's own file
        numbers = graph.with_suffix(".bin").read_bytes()
        return {layer.attrib["name"]: _tensor(data, numbers) for layer, data in _float_data(layers)}
    except (OSError, ET.ParseError, KeyError, ValueError) as error:
        raise WeightsError(f"{graph.name} or its .bin file is damaged ({error}); fetch the weights again") from None


def _float_data(layers: Iterator[ET.Element]) -> Iterator[tuple[ET.Element, ET.Element]]:
    for layer in layers:
        data = layer.find("data")
        if data is not None and data.attrib["element_type"] == "f32":
            yield layer, data


def _tensor(data: ET.Element, numbers: bytes) -> Tensor:
    offset, size = int(data.attrib["offset"]), int(data.attrib["size"])
    shape = [int(length) for length in data.attrib["shape"].split(",") if length]
    flat = np.frombuffer(numbers, "<f4", count=size // 4, offset=offset)
    return torch.from_numpy(flat.astype(np.float32).reshape(shape))
