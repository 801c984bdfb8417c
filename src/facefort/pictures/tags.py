"""Tag directories, the structure that TIFF files and EXIF blocks share (TIFF 6.0, section 2): reading, laying out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

ByteOrder: TypeAlias = Literal["little", "big"]

EXIF_DIRECTORY = 0x8769
GPS_DIRECTORY = 0x8825
INTEROPERABILITY_DIRECTORY = 0xA005
SHORT = 3
LONG = 4

_SUBDIRECTORIES = (EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY_DIRECTORY)
# Bytes of one number of each type, and how many numbers a value has: a rational is two numbers of four bytes.
_NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_NUMBERS = {5: 2, 10: 2}


class TagError(ValueError):
    """A directory that points outside its block or names an unknown byte order."""


@dataclass(frozen=True)
class Field:
    """Where one tag lies in a block."""

    tag: int
    kind: int
    count: int
    position: int
    """Offset of its twelve bytes: tag, type, count, value or pointer to it."""


@dataclass(frozen=True)
class Value:
    """One tag's content, in the byte order of the block that it came from."""

    kind: int
    count: int
    data: bytes


Directory: TypeAlias = "dict[int, Value | Directory]"


def byte_order(block: bytes) -> ByteOrder:
    """Byte order that the first two bytes of a TIFF file or EXIF block name.

    Raises:
        TagError: neither "II" nor "MM".
    """
    if block[:2] == b"II":
        return "little"
    if block[:2] == b"MM":
        return "big"
    raise TagError(f"no byte order in {block[:2]!r}")


def integer(block: bytes, at: int, size: int) -> int:
    """Unsigned number of ``size`` bytes at offset ``at``, in the block's byte order.

    Raises:
        TagError: it lies outside the block.
    """
    return int.from_bytes(cut(block, at, size), byte_order(block))


def cut(block: bytes, at: int, size: int) -> bytes:
    """``size`` bytes from offset ``at``.

    Raises:
        TagError: they lie outside the block.
    """
    if at + size > len(block):
        raise TagError(f"{size} bytes at {at} of a block of {len(block)}")
    return block[at : at + size]


def fields(block: bytes, offset: int) -> list[Field]:
    """Tags of the directory at ``offset``.

    Raises:
        TagError: the directory lies outside the block.
    """
    count = integer(block, offset, 2)
    places = range(offset + 2, offset + 2 + 12 * count, 12)
    return [Field(integer(block, p, 2), integer(block, p + 2, 2), integer(block, p + 4, 4), p) for p in places]


def next_pointer(block: bytes, offset: int) -> int:
    """Offset of the four bytes in which the directory at ``offset`` names the one after it (0: none)."""
    return offset + 2 + 12 * integer(block, offset, 2)


def chain(block: bytes) -> Iterator[int]:
    """Offsets of the directories that follow one another in a block, from the first.

    Raises:
        TagError: there is none, one lies outside the block, or they go round in a circle.
    """
    seen: set[int] = set()
    offset = integer(block, 4, 4)
    if not offset:
        raise TagError("no directory")
    while offset:
        if offset in seen:
            raise TagError("the directories go round in a circle")
        seen.add(offset)
        yield offset
        offset = integer(block, next_pointer(block, offset), 4)


def content(block: bytes, field: Field) -> bytes:
    """Bytes of a tag's value, whose type must be one of TIFF 6.0.

    Raises:
        TagError: the value lies outside the block.
    """
    size = _NUMBER_BYTES[field.kind] * _NUMBERS.get(field.kind, 1) * field.count
    at = field.position + 8
    return cut(block, at if size <= 4 else integer(block, at, 4), size)


def read(block: bytes, offset: int) -> Directory:
    """The directory at ``offset`` with its EXIF, GPS and interoperability directories.

    Left out are values of unknown types, and values that lie outside the block: editors cut off maker's notes.

    Raises:
        TagError: a directory lies outside the block.
    """
    return _read(block, offset, depth=0)


def _read(block: bytes, offset: int, depth: int) -> Directory:
    tags: Directory = {}
    for field in fields(block, offset):
        if field.tag in _SUBDIRECTORIES and depth < len(_SUBDIRECTORIES):
            tags[field.tag] = _read(block, integer(block, field.position + 8, 4), depth + 1)
        elif field.kind in _NUMBER_BYTES:
            with contextlib.suppress(TagError):
                tags[field.tag] = Value(field.kind, field.count, content(block, field))
    return tags


def swapped(tags: Directory) -> Directory:
    """The same directory in the other byte order."""
    return {tag: swapped(value) if isinstance(value, dict) else _swapped(value) for tag, value in tags.items()}


def _swapped(value: Value) -> Value:
    size = _NUMBER_BYTES[value.kind]
    return Value(value.kind, value.count, np.frombuffer(value.data, f"u{size}").byteswap().tobytes())


def lay_out(tags: Directory, start: int, order: ByteOrder) -> bytes:
    """A directory as bytes that will lie at offset ``start``, its values and directories behind it."""
    table = bytearray(len(tags).to_bytes(2, order))
    behind = bytearray()
    end = start + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        at = end + len(behind)
        if isinstance(value, dict):
            kind, count, inline = LONG, 1, at.to_bytes(4, order)
            behind += lay_out(value, at, order)
        else:
            kind, count, inline = value.kind, value.count, value.data
            if len(inline) > 4:
                inline = at.to_bytes(4, order)
                behind += value.data + bytes(len(value.data) % 2)  # values start at even offsets
        table += tag.to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order) + inline.ljust(4, b"\0")
    return bytes(table) + bytes(4) + bytes(behind)
