"""The picture formats: how a file is recognised by its first bytes, and what each format can keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facefort.errors import OutputError

MAX_PIXELS = 200_000_000
"""Larger pictures are refused unless the caller allows them: a small file can claim any size."""
HEAD_BYTES = 64
"""Bytes of a file that :func:`sniff` and :func:`foreign` look at."""


@dataclass(frozen=True)
class Format:
    """What a picture format is called and what it can keep."""

    name: str
    suffixes: tuple[str, ...]
    alpha: bool = True
    deep: bool = False
    """Keeps 16 bits a channel."""
    grey: bool = True
    """Has a grey form; elsewhere grey is written as equal red, green and blue."""
    metadata: bool = True
    """Keeps the colour profile, EXIF and XMP."""
    writable: bool = True


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), alpha=False),
        Format("png", (".png",), deep=True),
        Format("webp", (".webp",), grey=False),
        Format("tiff", (".tif", ".tiff"), deep=True),
        Format("bmp", (".bmp", ".dib"), alpha=False, metadata=False),
        Format("avif", (".avif",), grey=False, writable=False),
    )
}

PICTURE_SUFFIXES: tuple[str, ...] = tuple(suffix for each in FORMATS.values() for suffix in each.suffixes)
"""Suffixes, in lower case, of the files that a folder is searched for."""

_FOREIGN = (
    (0, b"GIF8", "a GIF"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (4, b"JXL ", "a JPEG XL"),
    (4, b"jP  ", "a JPEG 2000"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftyphev", "a HEIC"),
    (4, b"ftypmif1", "a HEIF"),
    (4, b"ftypcr", "a camera's raw file"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"PK\x03\x04", "a zip archive"),
)


def sniff(head: bytes) -> str | None:
    """Name of the format that a file's first bytes announce, or None where it is none of :data:`FORMATS`."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    if head[4:8] == b"ftyp" and {b"avif", b"avis"} & _brands(head):
        return "avif"
    return None


def foreign(head: bytes) -> str | None:
    """What a file is that facefort does not read, in words with an article, where its first bytes tell."""
    return next((words for at, magic, words in _FOREIGN if head[at : at + len(magic)] == magic), None)


def format_for(path: Path) -> Format:
    """The format that a file is written in, by its suffix.

    Raises:
        OutputError: no format that facefort writes has that suffix.
    """
    suffix = path.suffix.lower()
    for each in FORMATS.values():
        if suffix in each.suffixes and each.writable:
            return each
    known = ", ".join(each.suffixes[0] for each in FORMATS.values() if each.writable)
    shown = f"'{path.suffix}'" if suffix else "a name without a suffix"
    raise OutputError(f"cannot write {path}: no picture format for {shown}; end the name with one of {known}")


def _brands(head: bytes) -> set[bytes]:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[at : at + 4] for at in (8, *range(16, end, 4))}
