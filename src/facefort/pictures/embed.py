"""Putting EXIF, XMP and the JFIF header, byte for byte, into encoded files.

libvips would parse an EXIF block and write it anew, with tags added and maker's notes moved.
"""

from __future__ import annotations

import zlib

from facefort.pictures import tiff

JPEG_EXIF_LIMIT = 65535 - 2 - 6
"""Largest EXIF block of a JPEG: one segment holds it, with a length of two bytes and the prefix "Exif"."""
JPEG_XMP_LIMIT = 65535 - 2 - 29
"""Largest XMP packet of a JPEG's one segment, with the length and the name space before it."""

_XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_HEADER_END = 33
_WEBP_EXIF_FLAG = 0x08
_WEBP_XMP_FLAG = 0x04


def with_blocks(file: bytes, format_name: str, exif: bytes | None, xmp: bytes | None) -> bytes:
    """An encoded file with metadata added.

    Args:
        file: what an encoder wrote, without EXIF and XMP; a JPEG begins with JFIF.
        format_name: "jpeg", "png", "webp" or "tiff".
        exif: block from its byte order mark on.
        xmp: packet.
    """
    if exif is None and xmp is None:
        return file
    return {"jpeg": _into_jpeg, "png": _into_png, "webp": _into_webp, "tiff": tiff.with_tags}[format_name](
        file, exif, xmp
    )


def with_jfif(file: bytes, dots_per_mm: tuple[float, float]) -> bytes:
    """A JPEG that begins with the JFIF segment, which libvips leaves out: it says YCbCr, and the resolution on paper.

    Args:
        file: JPEG without that segment.
        dots_per_mm: horizontal and vertical; 1.0 means unknown.
    """
    known = dots_per_mm != (1.0, 1.0)
    dots = [min(65535, round(each * 25.4)) if known else 1 for each in dots_per_mm]
    body = b"JFIF\0\x01\x02" + bytes([known]) + b"".join(each.to_bytes(2, "big") for each in dots) + b"\0\0"
    return file[:2] + _segment(b"\xff\xe0", body) + file[2:]


def _into_jpeg(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    at = 4 + int.from_bytes(file[4:6], "big")  # behind JFIF, which is the first segment
    blocks = ((b"Exif\0\0", exif), (_XMP_NAMESPACE, xmp))
    segments = [_segment(b"\xff\xe1", prefix + block) for prefix, block in blocks if block is not None]
    return file[:at] + b"".join(segments) + file[at:]


def _segment(marker: bytes, body: bytes) -> bytes:
    return marker + (len(body) + 2).to_bytes(2, "big") + body


def _into_png(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    chunks = b""
    if exif is not None:
        chunks += _chunk(b"eXIf", exif)
    if xmp is not None:
        chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    return file[:_PNG_HEADER_END] + chunks + file[_PNG_HEADER_END:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def _into_webp(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    extended = bytearray(file[12:] if file[12:16] == b"VP8X" else _webp_header(file) + file[12:])
    if exif is not None:
        extended[8] |= _WEBP_EXIF_FLAG
        extended += _riff(b"EXIF", exif)
    if xmp is not None:
        extended[8] |= _WEBP_XMP_FLAG
        extended += _riff(b"XMP ", xmp)
    return _riff(b"RIFF", b"WEBP" + bytes(extended))


def _webp_header(file: bytes) -> bytes:
    """Extended header for a bare lossy stream, whose size stands, 14 bits each, in its frame header (RFC 6386, 9.1)."""
    assert file[12:16] == b"VP8 ", "an encoder of lossy WebP writes a bare VP8 stream or an extended file"
    size = [int.from_bytes(file[at : at + 2], "little") & 0x3FFF for at in (26, 28)]
    return _riff(b"VP8X", bytes(4) + b"".join((each - 1).to_bytes(3, "little") for each in size))


def _riff(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
