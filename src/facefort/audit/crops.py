"""Faces of whole photos as aligned pictures, for audits and attacks on what people really have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facefort.errors import FaceError, PictureError
from facefort.faces.align import alignment, crop
from facefort.faces.detect import Detector, detector
from facefort.pictures.photo import Photo


@dataclass(frozen=True)
class Cut:
    """What came of one photo: the aligned faces written, or why there are none."""

    photo: Path
    faces: tuple[Path, ...]
    reason: str = ""


def cut_faces(photos: Sequence[Path], size: int, folder: Path, find: Detector | None = None) -> list[Cut]:
    """Detect, align and write every face of every photo as ``folder/NAME-INDEX.png``.

    A photo that cannot be read or holds no face is a :class:`Cut` without faces and with a reason.

    Args:
        photos: whole photos.
        size: side of the aligned faces in pixels.
        folder: where they go; made if need be.
        find: detector; the default one if None.

    Raises:
        WeightsError: the detector has not been fetched.
        OutputError: the folder cannot be written.
    """
    find = find or detector()
    used: set[str] = set()
    return [_cut(path, size, folder, find, used) for path in photos]


def _cut(path: Path, size: int, folder: Path, find: Detector, used: set[str]) -> Cut:
    try:
        photo = Photo.read(path)
    except PictureError as error:
        return Cut(path, (), str(error))
    stem = path.stem
    while stem in used:
        stem += "+"
    used.add(stem)
    written: list[Path] = []
    for index, face in enumerate(find(photo.pixels)):
        try:
            pixels = crop(photo.pixels, alignment(face.landmarks, size), size)
        except FaceError:
            continue
        place = folder / f"{stem}-{index}.png"
        Photo.from_array(pixels).write(place)
        written.append(place)
    return Cut(path, tuple(written), "" if written else "no face found")
