"""Pictures that travel inside a page: shrunk, WebP-encoded data URIs under one byte budget."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facefort.errors import PictureError
from facefort.pictures.vips import CodecError, complaints, pyvips

QUALITY = 88
PAGE_BYTES = 5_600_000


@dataclass(frozen=True)
class Inlined:
    """A picture as a page carries it: the data URI and the shown size in pixels."""

    uri: str
    width: int
    height: int


class Album:
    """The pictures of one page, which together never outgrow ``budget`` bytes of base64 text.

    Args:
        budget: bytes for all pictures of the page.
    """

    def __init__(self, budget: int = PAGE_BYTES) -> None:
        self.budget = budget
        self.used = 0

    def together(self, paths: Sequence[Path], side: int) -> tuple[Inlined, ...] | None:
        """Take in pictures that only make sense side by side, or none of them.

        Args:
            paths: picture files.
            side: the longer side in the page, in pixels; a smaller picture keeps its size.

        Returns:
            One entry per path, or None where the budget does not hold them all.

        Raises:
            PictureError: a file is missing or not a picture.
        """
        pictures = tuple(encode(path, side) for path in paths)
        cost = sum(len(picture.uri) for picture in pictures)
        if self.used + cost > self.budget:
            return None
        self.used += cost
        return pictures


def encode(path: Path, side: int) -> Inlined:
    """Read a picture file and encode it for a page, its longer side at most ``side`` pixels.

    The page shows sRGB, upright, in 8 bits; transparency shows on white.

    Raises:
        PictureError: the file is missing or not a picture.
    """
    try:
        with complaints():
            picture = pyvips.Image.thumbnail(str(path), side, height=side, size="down", output_profile="srgb")
            if picture.hasalpha():
                picture = picture.flatten(background=255)
            data: bytes = picture.webpsave_buffer(Q=QUALITY, effort=4, keep="none")
    except CodecError as error:
        raise PictureError(f"cannot show {path.name} in the page ({error}); run the same command again") from None
    text = base64.b64encode(data).decode("ascii")
    return Inlined(f"data:image/webp;base64,{text}", picture.width, picture.height)
