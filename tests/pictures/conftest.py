"""Makers of picture files of every kind, without any file that somebody owns."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms

from facefort.pictures.vips import pyvips

THUMBNAIL = b"\xff\xd8THUMBNAIL-OF-THE-OLD-PICTURE\xff\xd9"
MAKER_NOTE = b"Acme\0\x01\x02\x03 opaque"

XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" tiff:Orientation="6" dc:format="keep me">'
    b"<exif:PixelXDimension>9999</exif:PixelXDimension></rdf:Description></rdf:RDF></x:xmpmeta>"
    b'<?xpacket end="w"?>'
)


def _entry(order: str, tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")


def make_exif(orientation: int = 6, order: str = "<", width: int = 9999, height: int = 9998) -> bytes:
    """An EXIF block laid out by hand: maker, orientation, EXIF directory with sizes and a maker's note, thumbnail."""
    short, long = (lambda v: struct.pack(order + "H", v)), (lambda v: struct.pack(order + "I", v))
    first_at = 8
    first_size = 2 + 3 * 12 + 4
    exif_at = first_at + first_size
    exif_size = 2 + 4 * 12 + 4
    second_at = exif_at + exif_size
    second_size = 2 + 2 * 12 + 4
    make_at = second_at + second_size
    make = b"Acme Cameras\0\0"
    note_at = make_at + len(make)
    date = b"2020:01:02 03:04:05\0"
    date_at = note_at + len(MAKER_NOTE)
    thumbnail_at = date_at + len(date)
    first = struct.pack(order + "H", 3)
    first += _entry(order, 0x010F, 2, 13, long(make_at))
    first += _entry(order, 0x0112, 3, 1, short(orientation))
    first += _entry(order, 0x8769, 4, 1, long(exif_at)) + long(second_at)
    exif = struct.pack(order + "H", 4)
    exif += _entry(order, 0x9003, 2, 20, long(date_at))
    exif += _entry(order, 0x927C, 7, len(MAKER_NOTE), long(note_at))
    exif += _entry(order, 0xA002, 3, 1, short(width)) + _entry(order, 0xA003, 4, 1, long(height)) + long(0)
    second = struct.pack(order + "H", 2)
    second += _entry(order, 0x0201, 4, 1, long(thumbnail_at)) + _entry(order, 0x0202, 4, 1, long(len(THUMBNAIL)))
    second += long(0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + long(first_at)
    return head + first + exif + second + make + MAKER_NOTE + date + THUMBNAIL


def pillow_bytes(array: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    """A file of ``kind`` ("PNG") that Pillow, not the code under test, encoded."""
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(stream, kind, **options)
    return stream.getvalue()


def pillow_exif(kind: str, block: bytes) -> bytes:
    """The block as Pillow wants it: it writes what it is given, and JPEG needs the prefix."""
    return b"Exif\0\0" + block if kind == "JPEG" else block


def vips_image(array: np.ndarray, interpretation: str) -> pyvips.Image:
    return pyvips.Image.new_from_array(array).copy(interpretation=interpretation)


def smooth(height: int = 48, width: int = 64) -> np.ndarray:
    """(H, W, 3) uint8 without hard edges, which lossy formats keep to a level or two."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2).astype(np.uint8)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """Writes bytes to a file of the test's folder."""

    def write(data: bytes, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The makers above; tests of this folder cannot import a conftest."""
    return SimpleNamespace(
        THUMBNAIL=THUMBNAIL,
        MAKER_NOTE=MAKER_NOTE,
        XMP=XMP,
        make_exif=make_exif,
        pillow_bytes=pillow_bytes,
        pillow_exif=pillow_exif,
        vips_image=vips_image,
        smooth=smooth,
        srgb_profile=srgb_profile,
    )
