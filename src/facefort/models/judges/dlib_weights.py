"""Reading the parameters out of a network that dlib serialised (``dlib::serialize`` of a ``loss_metric`` network).

The file is one stream without an index: the loss, a version number per nested layer, the input layer, then each layer
from the input on, with its kind, its settings, its parameters and what is left of its buffers. Every field is read and
checked, so a file that is cut short, longer, or of another network is refused.

Number formats (dlib/serialize.h): an integer is a control byte (sign in bit 7, count of bytes in bits 0-3) and that
many bytes, little-endian; a real is a mantissa and a binary exponent, both such integers; a tensor is a version, four
sizes and float32 values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefort.errors import WeightsError

_TENSOR_VERSION = 2
_INPUT_VERSION = 3
_NESTED_VERSIONS = (1, 2)  # 1: a tag or skip layer, which has no record of its own; 2: a computing layer
_BUFFERS = 3  # a layer ends with its input gradient, its cached output and its final gradient: all empty in a file


@dataclass(frozen=True)
class Layer:
    """One layer as the file describes it.

    Attributes:
        kind: dlib's tag: "con", "affine", "relu", "max_pool", "avg_pool", "add_prev" or "fc".
        settings: con: filters, kernel height, width, stride y, x, padding y, x; pools: window height, width, stride
            y, x, padding y, x; fc: outputs, inputs; none for the others.
        values: parameters, flat float32; empty where the kind has none.
    """

    kind: str
    settings: tuple[int, ...]
    values: NDArray[np.float32]


def read_layers(data: bytes) -> list[Layer]:
    """The layers of a serialised metric network, from the input to the output.

    Raises:
        WeightsError: the bytes are not such a network, or not all of it.
    """
    try:
        return list(_layers(_Stream(data)))
    except (ValueError, IndexError) as error:
        raise WeightsError(f"not a whole dlib network: {error}") from error


def _layers(stream: _Stream) -> Iterator[Layer]:
    stream.expect(stream.integer() == 1 and stream.text() == "loss_metric_2", "it does not begin with a metric loss")
    stream.reals(2)  # margin and threshold of the training loss
    count = 0
    while (version := stream.integer()) != _INPUT_VERSION:
        stream.expect(version in _NESTED_VERSIONS, f"unknown layer version {version}")
        count += version == _TENSOR_VERSION
    stream.expect(stream.text() == "input_rgb_image_sized", "its input is not an RGB picture of fixed size")
    stream.reals(3)  # mean colour
    stream.integers(2)  # height and width
    for index in range(count + 1):
        yield _layer(stream)
        if index == 0:
            stream.expect(stream.integer() == 1, "its input is expanded")
    stream.expect(stream.at_end, "bytes follow its last layer")


def _layer(stream: _Stream) -> Layer:
    kind = stream.text()
    settings: tuple[int, ...] = ()
    values = np.zeros(0, np.float32)
    if kind == "con_4":
        values = stream.tensor()
        settings = stream.integers(7)
        stream.aliases(2)
        stream.reals(4)  # multipliers of learning rate and weight decay, for weights and bias
    elif kind == "affine_":
        values = stream.tensor()
        stream.aliases(2)
        stream.expect(stream.integer() == 0, "an affine layer is not per channel")
    elif kind == "fc_2":
        settings = stream.integers(2)
        values = stream.tensor()
        stream.aliases(2)
        stream.integer()  # whether it has a bias
        stream.reals(4)
    elif kind in ("max_pool_2", "avg_pool_2"):
        settings = stream.integers(6)
    else:
        stream.expect(kind in ("relu_", "add_prev_"), f"unknown layer '{kind}'")
    for _ in range(3):
        stream.boolean()
    for _ in range(_BUFFERS):
        stream.expect(stream.tensor().size == 0, f"a buffer of layer '{kind}' is not empty")
    return Layer(kind.rstrip("_0123456789"), settings, values)


class _Stream:
    """A cursor over dlib's serialisation; raises ``ValueError`` or ``IndexError`` where the bytes do not fit."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def at_end(self) -> bool:
        return self._place == len(self._data)

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            raise ValueError(f"{problem} (byte {self._place})")

    def integer(self) -> int:
        control = self._data[self._place]
        length = control & 0x0F
        self.expect(1 <= length <= 8 and not control & 0x70, "no integer where one belongs")
        magnitude = int.from_bytes(self._take(length + 1)[1:], "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> tuple[int, ...]:
        return tuple(self.integer() for _ in range(count))

    def reals(self, count: int) -> None:
        """Pass over ``count`` real numbers: nothing that a prediction needs is stored as one."""
        self.integers(2 * count)

    def text(self) -> str:
        return self._take(self.integer()).decode("ascii")

    def boolean(self) -> bool:
        byte = self._take(1)
        self.expect(byte in (b"0", b"1"), "no boolean where one belongs")
        return byte == b"1"

    def aliases(self, count: int) -> None:
        """Pass over ``count`` views into a parameter tensor (a version and four sizes each)."""
        for _ in range(count):
            self.expect(self.integers(5)[0] == 1, "unknown view of a tensor")

    def tensor(self) -> NDArray[np.float32]:
        version, *sizes = self.integers(5)
        self.expect(version == _TENSOR_VERSION and min(sizes) >= 0, "no tensor where one belongs")
        count = sizes[0] * sizes[1] * sizes[2] * sizes[3]
        values = np.frombuffer(self._take(4 * count), "<f4").astype(np.float32)
        self.expect(bool(np.isfinite(values).all()), "a parameter is not finite")
        return values

    def _take(self, count: int) -> bytes:
        end = self._place + count
        self.expect(count >= 0 and end <= len(self._data), "it is cut short")
        taken = self._data[self._place : end]
        self._place = end
        return taken
