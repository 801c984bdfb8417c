"""A picture file's bytes become upright arrays.

The loader is chosen by content and called by name, so that no other loader of libvips ever sees a user's file.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin

from facefort.errors import PictureError
from facefort.pictures import tags, tiff
from facefort.pictures.content import Content
from facefort.pictures.levels import to_unit
from facefort.pictures.metadata import Metadata, clean_exif, profile_channels
from facefort.pictures.vips import CodecError, complaints, pyvips

# A float that still rounds to a level of 16 bits.
_FLOAT_TOLERANCE = 0.5 / 65535
_BIG_TIFF = (b"II+\0", b"MM\0+")


def decode(data: bytes, format_name: str, max_pixels: int) -> Content:
    """Decode the bytes of a picture file.

    Args:
        data: the whole file.
        format_name: what :func:`facefort.pictures.formats.sniff` said.
        max_pixels: more than that is refused before any pixel is decoded.

    Raises:
        PictureError: damaged, cut off, too large, animated, or of a kind that no photo has. The message is the end of
            a sentence that begins with the file's name.
    """
    if format_name == "bmp":
        return _decode_bmp(data, max_pixels)
    try:
        with complaints():
            return _decode_vips(data, format_name, max_pixels)
    except (CodecError, tags.TagError) as error:
        raise _damaged(error) from None


def _decode_vips(data: bytes, format_name: str, max_pixels: int) -> Content:
    image = _open(data, format_name)
    _check_size(image.width, image.height, max_pixels)
    _check_single(data, format_name, image)
    metadata = _metadata(data, format_name, image)
    image = _upright(image)
    if image.interpretation == "cmyk":
        image = _cmyk_to_srgb(image)
    has_alpha = bool(image.hasalpha())
    _check_kind(image, image.bands - has_alpha)
    levels = image.numpy().reshape(image.height, image.width, image.bands)
    white = _white(image, levels)
    return Content(
        pixels=to_unit(levels[..., : image.bands - has_alpha], white, 3),
        alpha=to_unit(levels[..., -1:], white, 1)[..., 0] if has_alpha else None,
        bits=8 if image.format == "uchar" else 16,
        grey=image.bands - has_alpha == 1,
        metadata=metadata,
    )


def _open(data: bytes, format_name: str) -> Any:  # noqa: ANN401 - pyvips has no types
    loader = "heif" if format_name == "avif" else format_name
    return getattr(pyvips.Image, f"{loader}load_buffer")(data, access="sequential", fail_on="error")


def _upright(image: Any) -> Any:  # noqa: ANN401
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    if orientation == 1:
        return image
    # Turning reads columns, and a sequential image gives up its rows only once.
    return image.copy_memory().autorot()


def _cmyk_to_srgb(image: Any) -> Any:  # noqa: ANN401
    return image.icc_transform(
        "srgb",
        embedded=True,
        input_profile="cmyk",
        intent="relative",
        black_point_compensation=True,
        depth=16 if image.format == "ushort" else 8,
    )


def _white(image: Any, levels: NDArray[Any]) -> float:  # noqa: ANN401
    """Level of white; a float file's values are checked, as nothing in the file says where its white is."""
    if image.format == "uchar":
        return 255
    if image.format == "ushort":
        return _avif_white(image) if image.get("vips-loader").startswith("heif") else 65535
    low, high = float(levels.min()), float(levels.max())
    if not np.isfinite([low, high]).all():
        raise PictureError("has pixels that are not numbers (NaN or infinite); save it again as 8 or 16 bits")
    if low < -_FLOAT_TOLERANCE or high > 1 + _FLOAT_TOLERANCE:
        raise PictureError(f"has float pixels from {low:g} to {high:g}; scale them to 0..1, or save it as 8 or 16 bits")
    return 1


def _avif_white(image: Any) -> int:  # noqa: ANN401
    """Level of white of 10 or 12 bits after libvips shifted them up to 16."""
    bits = int(image.get("bits-per-sample"))
    return ((1 << bits) - 1) << (16 - bits)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError(
            f"has {width} x {height} = {width * height} pixels, over the limit of {max_pixels}; "
            f"if you trust it, allow it with --max-pixels {width * height}"
        )


def _check_single(data: bytes, format_name: str, image: Any) -> None:  # noqa: ANN401
    if format_name == "tiff":
        # A thumbnail is a page of the file too; a BigTIFF's directories have another layout, libvips counts them.
        count = _vips_pages(image) if data[:4] in _BIG_TIFF else tiff.pages(data)
        if count > 1:
            raise PictureError(f"holds {count} pages; save each as a file of its own")
    elif _vips_pages(image) > 1 or (format_name == "png" and _is_animated_png(data)):
        raise PictureError("is an animation; save the frames as files of their own (ffmpeg -i FILE %05d.png)")


def _vips_pages(image: Any) -> int:  # noqa: ANN401
    return int(image.get("n-pages")) if image.get_typeof("n-pages") else 1


def _is_animated_png(data: bytes) -> bool:
    """Whether an animation control chunk stands before the first image data."""
    return 0 <= data.find(b"acTL") < data.find(b"IDAT")


def _check_kind(image: Any, colours: int) -> None:  # noqa: ANN401
    if image.format not in ("uchar", "ushort", "float", "double"):
        raise PictureError(f"has {image.format} pixels; save it with 8 or 16 bits a channel")
    if image.interpretation in ("lab", "labs", "labq", "xyz", "lch"):
        raise PictureError(f"has {image.interpretation.upper()} colours; convert it to RGB")
    if colours not in (1, 3):
        raise PictureError(f"has {colours} colour channels; a photo has one (grey), three (RGB) or four (CMYK)")


def _metadata(data: bytes, format_name: str, image: Any) -> Metadata:  # noqa: ANN401
    icc = _blob(image, "icc-profile-data")
    if icc is not None and profile_channels(icc) not in (1, 3):
        icc = None
    exif = _blob(image, "exif-data")
    if format_name == "tiff" and data[:4] not in _BIG_TIFF:
        exif = tiff.exif_block(data)
    return Metadata(
        icc=icc,
        exif=clean_exif(exif) if exif else None,
        xmp=_blob(image, "xmp-data"),
        dots_per_mm=(float(image.xres), float(image.yres)),
    )


def _blob(image: Any, name: str) -> bytes | None:  # noqa: ANN401
    return bytes(image.get(name)) or None if image.get_typeof(name) else None


def _decode_bmp(data: bytes, max_pixels: int) -> Content:
    """Decode a BMP, which libvips does not read."""
    try:
        # Not Image.open: Pillow's own limit would come before ours.
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
        _check_size(image.width, image.height, max_pixels)
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise _damaged(error) from None
    grey, has_alpha = image.mode in ("1", "L"), image.mode == "RGBA"
    levels = np.asarray(image.convert("L" if grey else image.mode if has_alpha else "RGB"))
    levels = levels.reshape(image.height, image.width, -1)
    return Content(
        pixels=to_unit(levels[..., :3], 255, 3),
        alpha=to_unit(levels[..., 3:], 255, 1)[..., 0] if has_alpha else None,
        bits=8,
        grey=grey,
        metadata=Metadata(),
    )


def _damaged(error: Exception) -> PictureError:
    return PictureError(f"is damaged or cut off ({error}); copy it again from where it came from")
