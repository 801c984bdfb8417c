"""A photo: upright float pixels with everything else that its file said, and back into a file without losing it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefort.errors import OutputError, PictureError, UsageError
from facefort.files import sha256_bytes, write_bytes
from facefort.pictures.content import Content
from facefort.pictures.decode import decode
from facefort.pictures.encode import encode, fitting_blocks
from facefort.pictures.formats import FORMATS, HEAD_BYTES, MAX_PIXELS, foreign, format_for, sniff
from facefort.pictures.levels import Pixels
from facefort.pictures.metadata import Metadata
from facefort.pictures.vips import CodecError, complaints, pyvips

__all__ = ["MAX_PIXELS", "Metadata", "Photo"]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in memory.

    Attributes:
        pixels: (H, W, 3) float32 RGB in [0, 1], upright, in the colour space of ``metadata.icc``.
        alpha: (H, W) float32 in [0, 1], not multiplied into the pixels; None where the file has none.
        bits: 8 or 16, of the file. Float files count as 16, palettes and single bits as 8.
        grey: the file was grey; it is written grey again if the pixels stay grey.
        format: "jpeg", "png", "webp", "tiff", "bmp" or "avif".
        metadata: colour profile, EXIF, XMP and resolution as they lie in the file.
        path: where it was read from.
        sha256: of the bytes that were read, "" for a photo made from an array.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    bits: int = 8
    grey: bool = False
    format: str = "png"
    metadata: Metadata = dataclasses.field(default_factory=Metadata)
    path: Path | None = None
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.float32 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels must be (H, W, 3) float32, not {self.pixels.shape} {self.pixels.dtype}")
        if 0 in self.pixels.shape:
            raise ValueError("a photo has at least one pixel")
        if self.alpha is not None and (self.alpha.dtype != np.float32 or self.alpha.shape != self.pixels.shape[:2]):
            raise ValueError(f"alpha must be {self.pixels.shape[:2]} float32, not {self.alpha.shape}")
        if self.bits not in (8, 16):
            raise ValueError(f"bits must be 8 or 16, not {self.bits}")
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {self.format}")

    @classmethod
    def read(cls, path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
        """Read a JPEG, PNG, WebP, TIFF, BMP or AVIF file; its content decides which, not its suffix.

        CMYK is converted to sRGB through the file's profile. An animation or a file of several pages is refused,
        because a single picture could not be written back without losing the others.

        Args:
            path: the file.
            max_pixels: larger pictures are refused from their header, before anything is decoded.

        Raises:
            PictureError: missing, not a picture, damaged, cut off, too large, animated.
        """
        path = Path(path)
        data, format_name = _load(path)
        try:
            decoded = decode(data, format_name, max_pixels)
        except PictureError as error:
            raise PictureError(f"{path} {error}") from None
        return cls(
            pixels=decoded.pixels,
            alpha=decoded.alpha,
            bits=decoded.bits,
            grey=decoded.grey,
            format=format_name,
            metadata=decoded.metadata,
            path=path,
            sha256=sha256_bytes(data),
        )

    @classmethod
    def from_array(
        cls,
        pixels: NDArray[np.floating],
        *,
        alpha: NDArray[np.floating] | None = None,
        bits: int = 8,
        grey: bool = False,
        format: str = "png",
        metadata: Metadata | None = None,
        path: Path | None = None,
    ) -> Photo:
        """A photo of float pixels in [0, 1] that came from no file; other float types become float32.

        Raises:
            ValueError: another shape than (H, W, 3), or integers, whose white nobody could know.
        """
        if not np.issubdtype(pixels.dtype, np.floating):
            raise ValueError(f"pixels must be floats in [0, 1], not {pixels.dtype}")
        return cls(
            pixels=np.ascontiguousarray(pixels, np.float32),
            alpha=None if alpha is None else np.ascontiguousarray(alpha, np.float32),
            bits=bits,
            grey=grey,
            format=format,
            metadata=metadata or Metadata(),
            path=path,
        )

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    def replace(self, pixels: NDArray[np.floating]) -> Photo:
        """The same photo with other pixels; alpha is resized to theirs.

        Args:
            pixels: (H', W', 3) floats in [0, 1].
        """
        changed = np.ascontiguousarray(pixels, np.float32)
        alpha = self.alpha
        if alpha is not None and alpha.shape != changed.shape[:2]:
            alpha = _resized(alpha, changed.shape[1], changed.shape[0])
        return dataclasses.replace(self, pixels=changed, alpha=alpha)

    def losses(self, path: Path | str) -> tuple[str, ...]:
        """What a file of that name would not keep, in words for a warning; empty where it keeps all.

        Raises:
            OutputError: the suffix is of no format that facefort writes.
        """
        target = format_for(Path(path))
        exif, xmp = fitting_blocks(self.metadata, target)
        lost = {
            "16 bits a channel": self.bits == 16 and not target.deep,
            "transparency": self.alpha is not None and not target.alpha,
            "the colour profile": self.metadata.icc is not None and not target.metadata,
            "EXIF": self.metadata.exif is not None and exif is None,
            "XMP": self.metadata.xmp is not None and xmp is None,
        }
        return tuple(words for words, is_lost in lost.items() if is_lost)

    def write(self, path: Path | str, *, quality: int = 95, strip_metadata: bool = False) -> None:
        """Write the photo, whole or not at all, in the format of the suffix.

        Pixels are rounded to the file's bit depth; a format of 8 bits gets 8 (see :meth:`losses`). EXIF and XMP say
        afterwards that the picture is upright and how large it is, and an old thumbnail is erased. JPEG is written
        without chroma subsampling.

        Args:
            path: the file; missing folders are made.
            quality: 1 to 100, for JPEG and WebP.
            strip_metadata: leave out EXIF and XMP. The colour profile stays: it is what the colours mean.

        Raises:
            OutputError: the place cannot be written, no format has the suffix, or it cannot keep the transparency.
            PictureError: a pixel is NaN or infinite.
            UsageError: quality out of range.
        """
        path = Path(path)
        target = format_for(path)
        if not 1 <= quality <= 100:
            raise UsageError(f"quality must be from 1 to 100, not {quality}")
        if self.alpha is not None and not target.alpha:
            keeping = ", ".join(each.suffixes[0] for each in FORMATS.values() if each.alpha and each.writable)
            raise OutputError(f"cannot write {path}: {target.name} has no transparency; choose one of {keeping}")
        metadata = dataclasses.replace(self.metadata, exif=None, xmp=None) if strip_metadata else self.metadata
        try:
            with complaints():
                data = encode(Content(self.pixels, self.alpha, self.bits, self.grey, metadata), target, quality)
        except PictureError as error:
            raise PictureError(f"{path} was not written: {error}") from None
        except CodecError as error:
            raise OutputError(f"cannot write {path}: {error}; another format may take it") from None
        write_bytes(path, data)


def _load(path: Path) -> tuple[bytes, str]:
    """A file's bytes and the name of its format; a file that is no picture is not read beyond its first bytes."""
    if path.is_dir():
        raise PictureError(f"{path} is a folder, not a picture")
    if path.exists() and not path.is_file():
        raise PictureError(f"{path} is a device or pipe, not a picture file")
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            format_name = sniff(head)
            if format_name is None:
                raise PictureError(_no_picture(path, head))
            return head + stream.read(), format_name
    except FileNotFoundError:
        raise PictureError(f"{path} does not exist; check the name") from None
    except OSError as error:
        raise PictureError(f"cannot read {path}: {error.strerror or error}") from None


def _no_picture(path: Path, head: bytes) -> str:
    if not head:
        return f"{path} is empty (0 bytes); copy it again from where it came from"
    kind = foreign(head)
    if kind is None:
        return f"{path} is not a picture, whatever its name says; facefort reads {', '.join(FORMATS)}"
    return f"{path} is {kind}, which facefort does not read; convert it to PNG or JPEG"


def _resized(alpha: Pixels, width: int, height: int) -> Pixels:
    """Alpha at another size; a linear kernel stays within [0, 1], where a sharper one would ring."""
    old_height, old_width = alpha.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(alpha).data, old_width, old_height, 1, "float")
    image = image.resize(width / old_width, vscale=height / old_height, kernel="linear")
    resized: Pixels = image.numpy().reshape(height, width)
    return np.clip(resized, 0, 1)
