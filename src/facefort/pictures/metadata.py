"""What a file says beside its pixels, and what must change in it once the pixels have."""

from __future__ import annotations

import re
from dataclasses import dataclass

from facefort.pictures import tags

_ORIENTATION = 0x0112
_WIDTHS = (0x0100, 0xA002)
_HEIGHTS = (0x0101, 0xA003)
_THUMBNAIL_OFFSET = 0x0201
_THUMBNAIL_LENGTH = 0x0202

_XMP_ORIENTATION = (b"tiff:Orientation",)
_XMP_WIDTHS = (b"tiff:ImageWidth", b"exif:PixelXDimension")
_XMP_HEIGHTS = (b"tiff:ImageLength", b"exif:PixelYDimension")

_PROFILE_CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}


@dataclass(frozen=True)
class Metadata:
    """Blocks of a file, as they lie in it.

    Attributes:
        icc: colour profile of the pixels; None for sRGB, and for CMYK files, whose pixels become sRGB.
        exif: EXIF block from its byte order mark on; None where there is none or it is damaged.
        xmp: XMP packet.
        dots_per_mm: horizontal and vertical resolution on paper; 1.0 where the file does not say.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dots_per_mm: tuple[float, float] = (1.0, 1.0)


def profile_channels(icc: bytes) -> int:
    """Channels of the pixels that a colour profile describes; 0 for a kind that no photo here has (ICC.1, 7.2.6)."""
    return _PROFILE_CHANNELS.get(icc[16:20], 0)


def clean_exif(block: bytes) -> bytes | None:
    """An EXIF block without the prefix that JPEG puts before it, or None where its directories are damaged."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        settled_exif(block, 1, 1)
    except tags.TagError:
        return None
    return block


def settled_exif(block: bytes, width: int, height: int) -> bytes:
    """An EXIF block that fits upright pixels of a new size.

    Numbers are changed in place, so that a maker's note keeps the offsets it may point to. The thumbnail is erased: it
    shows the picture as it was.

    Raises:
        tags.TagError: its directories are damaged.
    """
    edited = bytearray(block)
    first, *others = tags.chain(block)
    for field in _with_exif_directory(block, first):
        if field.tag == _ORIENTATION:
            _set(edited, field, tags.SHORT, 1)
        elif field.tag in _WIDTHS:
            _set(edited, field, tags.LONG, width)
        elif field.tag in _HEIGHTS:
            _set(edited, field, tags.LONG, height)
    for offset in others:
        _erase_thumbnail(edited, block, tags.fields(block, offset))
    pointer = tags.next_pointer(block, first)
    edited[pointer : pointer + 4] = bytes(4)
    return bytes(edited)


def settled_xmp(packet: bytes, width: int, height: int) -> bytes:
    """An XMP packet that fits upright pixels of a new size."""
    for names, value in ((_XMP_ORIENTATION, 1), (_XMP_WIDTHS, width), (_XMP_HEIGHTS, height)):
        pattern = rb"((?:" + b"|".join(names) + rb")(?:\s*=\s*[\"']|>)\s*)\d+"
        packet = re.sub(pattern, rb"\g<1>" + str(value).encode(), packet)
    return packet


def _with_exif_directory(block: bytes, first: int) -> list[tags.Field]:
    found = tags.fields(block, first)
    for field in tuple(found):
        if field.tag == tags.EXIF_DIRECTORY:
            found += tags.fields(block, tags.integer(block, field.position + 8, 4))
    return found


def _set(edited: bytearray, field: tags.Field, kind: int, value: int) -> None:
    order = tags.byte_order(bytes(edited[:2]))
    size = 2 if kind == tags.SHORT else 4
    edited[field.position + 2 : field.position + 12] = (
        kind.to_bytes(2, order) + (1).to_bytes(4, order) + value.to_bytes(size, order).ljust(4, b"\0")
    )


def _erase_thumbnail(edited: bytearray, block: bytes, fields: list[tags.Field]) -> None:
    facts = {field.tag: tags.integer(block, field.position + 8, 4) for field in fields if field.kind == tags.LONG}
    offset, length = facts.get(_THUMBNAIL_OFFSET), facts.get(_THUMBNAIL_LENGTH)
    if offset is not None and length is not None:
        edited[offset : offset + length] = bytes(len(edited[offset : offset + length]))
