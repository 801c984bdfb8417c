"""Reading what an ONNX file says of a plain chain of layers: its nodes and their stored parameters.

An ONNX file is a protobuf message (onnx/onnx.proto). Only the fields that such a chain needs are read: the graph's
nodes, with operator and inputs, and its float32 initialisers. Integer ones are sizes and places, no parameters.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefort.errors import WeightsError

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALISER = 1, 5
_NODE_INPUT, _NODE_OPERATOR = 1, 4
_TENSOR_SIZE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9

_FLOAT32, _INT64 = 1, 7
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}  # wire type -> width


@dataclass(frozen=True)
class Node:
    """One node: its operator ("Conv") and the stored parameters among its inputs, in their order."""

    operator: str
    parameters: tuple[NDArray[np.float32], ...]


def read_nodes(data: bytes) -> list[Node]:
    """The nodes of an ONNX model in the order of the file, which is an order of computation.

    Raises:
        WeightsError: not an ONNX model, cut short, or with parameters that are not float32.
    """
    try:
        graph = _Message(_Message(data).one(_MODEL_GRAPH))
        tensors = [_Message(part) for part in graph.parts(_GRAPH_INITIALISER)]
        stored = dict(_parameter(tensor) for tensor in tensors if tensor.numbers(_TENSOR_TYPE) != [_INT64])
        return [_node(_Message(part), stored) for part in graph.parts(_GRAPH_NODE)]
    except (ValueError, IndexError) as error:
        raise WeightsError(f"not a whole ONNX model: {error}") from error


def _node(message: _Message, stored: dict[str, NDArray[np.float32]]) -> Node:
    inputs = [name.decode() for name in message.parts(_NODE_INPUT)]
    return Node(message.one(_NODE_OPERATOR).decode(), tuple(stored[name] for name in inputs if name in stored))


def _parameter(message: _Message) -> tuple[str, NDArray[np.float32]]:
    name = message.one(_TENSOR_NAME).decode()
    if message.numbers(_TENSOR_TYPE) != [_FLOAT32]:
        raise ValueError(f"parameter '{name}' is not float32")
    values = np.frombuffer(message.one(_TENSOR_RAW), "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"parameter '{name}' is not finite")
    return name, values.reshape(message.numbers(_TENSOR_SIZE))


class _Message:
    """A protobuf message taken apart by field number; raises ``ValueError`` or ``IndexError`` on damage."""

    def __init__(self, data: bytes) -> None:
        self._numbers: defaultdict[int, list[int]] = defaultdict(list)
        self._parts: defaultdict[int, list[bytes]] = defaultdict(list)
        place = 0
        while place < len(data):
            key, place = _varint(data, place)
            field, wire = key >> 3, key & 7
            if wire == _VARINT:
                number, place = _varint(data, place)
                self._numbers[field].append(number)
                continue
            length = _FIXED_BYTES.get(wire, 0)
            if wire == _LENGTH_DELIMITED:
                length, place = _varint(data, place)
            elif not length:
                raise ValueError(f"unknown wire type {wire}")
            if place + length > len(data):
                raise ValueError("it is cut short")
            self._parts[field].append(data[place : place + length])
            place += length

    def numbers(self, field: int) -> list[int]:
        return self._numbers[field]

    def parts(self, field: int) -> list[bytes]:
        return self._parts[field]

    def one(self, field: int) -> bytes:
        """The only part of a field that must be there."""
        parts = self._parts[field]
        if len(parts) != 1:
            raise ValueError(f"field {field} occurs {len(parts)} times")
        return parts[0]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
