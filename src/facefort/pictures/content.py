"""What decoding gives and encoding takes."""

from __future__ import annotations

from dataclasses import dataclass

from facefort.pictures.levels import Pixels
from facefort.pictures.metadata import Metadata


@dataclass(frozen=True, eq=False)
class Content:
    """The fields of a :class:`~facefort.pictures.photo.Photo` that stand in the file itself."""

    pixels: Pixels
    alpha: Pixels | None
    bits: int
    grey: bool
    metadata: Metadata
