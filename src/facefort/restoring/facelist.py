"""The editable face list: ``faces.json``, written by a run, changed by hand, given back with ``--faces``.

One entry a line. ``keep: false`` leaves a face as it is; ``weight`` replaces ``-w`` for one face; a box may be moved or
added, and one without landmarks is aligned by the box alone. A photo that the list does not name is searched as usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from facefort.errors import ConfigError
from facefort.faces.align import landmarks_in_box
from facefort.faces.face import Box, Face, share_outside
from facefort.files import atomic

HELP = "keep: false leaves a face as it is, weight replaces -w; then run again with --faces THIS_FILE --force"

Number = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Point = tuple[Number, Number]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """One face of the list.

    Attributes:
        photo: file name of the photo.
        box: x0, y0, x1, y1 in pixels of the upright photo.
        landmarks: left eye, right eye, nose tip, left and right mouth corner, as seen in the photo; None for a box
            that was drawn by hand.
        keep: False leaves the face as it is.
        weight: replaces ``-w`` for this face.
        score: of the detection; 1 for a box that was drawn by hand.
        sha256: of the photo's file; where it is given, the entry belongs to that content, whatever its name.
    """

    photo: str
    box: tuple[Number, Number, Number, Number]
    landmarks: tuple[Point, Point, Point, Point, Point] | None = None
    keep: bool = True
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    score: float = 1.0
    sha256: str = ""

    def face(self, width: int, height: int) -> Face:
        """The face that the entry describes, in a photo of that size."""
        if self.landmarks is None:
            return drawn_face(self.box, width, height)
        landmarks = np.array(self.landmarks, np.float32)
        return Face(self.box, self.score, landmarks, share_outside(self.box, width, height))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    faces: tuple[Entry, ...]
    help: str = ""


class FaceList:
    """Entries of a face list, found by photo."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._by_content: dict[str, list[Entry]] = {}
        self._by_name: dict[str, list[Entry]] = {}
        for entry in entries:
            table, key = (self._by_content, entry.sha256) if entry.sha256 else (self._by_name, entry.photo)
            table.setdefault(key, []).append(entry)

    @classmethod
    def read(cls, path: Path) -> FaceList:
        """Read a face list.

        Raises:
            ConfigError: no such file, or an entry that makes no sense; the message says which.
        """
        try:
            content = msgspec.json.decode(path.read_bytes(), type=_File)
        except OSError as error:
            raise ConfigError(f"cannot read the face list {path}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not a face list: {error}") from None
        for number, entry in enumerate(content.faces):
            x0, y0, x1, y1 = entry.box
            if x1 <= x0 or y1 <= y0:
                raise ConfigError(f"{path}: faces[{number}] of {entry.photo} has an empty box; give x0, y0, x1, y1")
        return cls(content.faces)

    def of(self, name: str, sha256: str) -> list[Entry] | None:
        """Entries of a photo, by its content and by its name; None where the list does not name it."""
        return [*self._by_content.get(sha256, ()), *self._by_name.get(name, ())] or None


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Write a face list, one entry a line, whole or not at all.

    Raises:
        OutputError: the place cannot be written.
    """
    with atomic(path) as stream:
        stream.write(b'{"help": ' + msgspec.json.encode(HELP) + b',\n "faces": [')
        for number, entry in enumerate(entries):
            stream.write((b",\n  " if number else b"\n  ") + msgspec.json.encode(entry))
        stream.write(b"\n]}\n")


def drawn_face(box: Box, width: int, height: int) -> Face:
    """An upright face in a box that a person drew, its landmarks where those of the average face lie."""
    return Face(box, 1.0, landmarks_in_box(box), share_outside(box, width, height))
