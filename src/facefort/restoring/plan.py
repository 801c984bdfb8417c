"""Which faces of a photo are restored: detected, listed, drawn by hand, or the photo itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facefort.errors import PictureError
from facefort.faces.align import template
from facefort.faces.detect import Detector
from facefort.faces.face import Face
from facefort.pictures.photo import Photo
from facefort.restoring.facelist import Entry, drawn_face
from facefort.restoring.settings import RestoreSettings, parse_box


@dataclass(frozen=True, eq=False)
class Wanted:
    """A face, and what is to be done with it.

    Attributes:
        face: where it is.
        skip: why it is left as it is; empty where it is to be restored.
        weight: its own ``-w``.
    """

    face: Face
    skip: str = ""
    weight: float | None = None


def plan(photo: Photo, settings: RestoreSettings, detector: Detector, listed: Sequence[Entry] | None) -> list[Wanted]:
    """Faces of a photo, in a fixed order.

    Raises:
        PictureError: an aligned face that is not square, or a box outside the photo.
    """
    if settings.aligned:
        return [Wanted(_whole(photo))]
    if listed is not None:
        return [_listed(entry, photo) for entry in listed]
    if settings.box is not None:
        return [Wanted(_drawn(photo, settings.box))]
    found = detector(photo.pixels)
    if not settings.only_center_face:
        return [Wanted(face) for face in found]
    central = min(found, key=lambda face: _from_centre(face, photo), default=None)
    return [Wanted(face, "" if face is central else "not the face in the centre") for face in found]


def _whole(photo: Photo) -> Face:
    """The face that fills an aligned picture."""
    if abs(photo.width - photo.height) > 1:
        raise PictureError(
            f"{photo.path or 'the photo'} has {photo.width} x {photo.height} pixels, and an aligned face is square; "
            "leave out --aligned to have the face found"
        )
    landmarks = np.asarray(template(photo.width), np.float32)
    return Face(box=(0.0, 0.0, float(photo.width), float(photo.height)), score=1.0, landmarks=landmarks)


def _listed(entry: Entry, photo: Photo) -> Wanted:
    skip = "" if entry.keep else "keep is false in the face list"
    return Wanted(entry.face(photo.width, photo.height), skip, entry.weight)


def _drawn(photo: Photo, text: str) -> Face:
    box = parse_box(text)
    if box[0] >= photo.width or box[1] >= photo.height or box[2] <= 0 or box[3] <= 0:
        raise PictureError(
            f"--box {text} lies outside {photo.path or 'the photo'}, which has {photo.width} x {photo.height} pixels"
        )
    return drawn_face(box, photo.width, photo.height)


def _from_centre(face: Face, photo: Photo) -> float:
    x, y = face.centre
    return math.hypot(x - photo.width / 2, y - photo.height / 2)
