"""Finding faces and their five landmarks in a photo.

The detector is CenterFace (Xu et al., 2019), run under OpenCV; its landmarks are refined by the 468-point mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from facefort import assets
from facefort.errors import FaceError
from facefort.faces import landmarks as mesh
from facefort.faces.align import alignment, crop, template
from facefort.faces.face import Face, share_outside
from facefort.registry import Registry

WORKING_PIXELS = 800_000
"""Photos are shrunk to this many pixels for one pass of the detector."""
SMALLEST = 10.0
"""Smallest face that the detector sees, in pixels of the shrunk photo."""
_STRIDE = 4
_OVERLAP = 0.3
_SURE = 0.75
_MARGIN = 0.2
_TURNING_PIXELS = 250_000
_THUMBNAIL = 320
_REFINE_SIZE = 256


class Detector(Protocol):
    """Finds the faces of a photo."""

    def __call__(self, pixels: np.ndarray) -> list[Face]:
        """Faces of (H, W, 3) float32 RGB in [0, 1], the largest first."""
        ...


DETECTORS: Registry[Callable[[float | None, float], Detector]] = Registry("detector")
DETECTORS.add(
    "centerface",
    "facefort.faces.detect:CenterFace",
    weights=("centerface", "facemesh"),
    note="photos above 0.8 megapixels are shrunk to that: at 12 megapixels faces below about 40 px are not seen",
)
DETECTORS.add(
    "centerface-fine",
    "facefort.faces.detect:FineCenterFace",
    weights=("centerface", "facemesh"),
    note="large photos are searched in tiles at full size: slower, sees faces from about 10 px",
)


def detector(name: str = "centerface", *, threshold: float | None = None, min_size: float = 20) -> Detector:
    """A detector by name.

    Args:
        name: one of :data:`DETECTORS`.
        threshold: confidence from which a face counts; None is the detector's own default (0.65).
        min_size: faces whose longer side is shorter than this, in pixels of the photo, are left out.

    Raises:
        UnknownNameError: unknown detector.
        WeightsError: its weights have not been fetched.
    """
    return DETECTORS.get(name)(threshold, min_size)


@dataclass(frozen=True, eq=False)
class _Found:
    """A raw detection in pixels of the picture that was searched."""

    score: float
    box: np.ndarray  # (4,) x0, y0, x1, y1
    points: np.ndarray  # (5, 2)

    @property
    def upright(self) -> bool:
        """Whether the eyes lie rather beside than above each other, and above the mouth."""
        eyes, mouth = self.points[:2], self.points[3:]
        across, down = eyes[1] - eyes[0]
        return bool(abs(down) < across and mouth[:, 1].mean() > eyes[:, 1].mean())

    def moved(self, scale: float, x: float = 0.0, y: float = 0.0) -> _Found:
        offset = np.array([x, y], np.float32)
        return _Found(self.score, self.box * scale + np.tile(offset, 2), self.points * np.float32(scale) + offset)


class CenterFace:
    """CenterFace on the photo shrunk to 0.8 megapixels, and on a thumbnail for faces that fill it.

    Where no face surely stands upright, the photo is also searched on its sides and its head; a scan that lies
    on its side is found, and its faces' :attr:`Face.roll` says so.

    Args:
        threshold: confidence from which a face counts; None is 0.65.
        min_size: smallest longer side in pixels of the photo.
    """

    def __init__(self, threshold: float | None = None, min_size: float = 20) -> None:
        self.threshold = 0.65 if threshold is None else threshold
        self.min_size = min_size
        self.network = cv2.dnn.readNetFromONNX(str(assets.path("centerface")))

    def __call__(self, pixels: np.ndarray) -> list[Face]:
        """See :class:`Detector`."""
        height, width = pixels.shape[:2]
        if min(height, width) < 4:
            return []
        working = _to_bytes(_shrunk(pixels, self._working_pixels(height * width)))
        scale = width / working.shape[1]
        found = self._turned(working)
        faces = [self._face(one.moved(scale), pixels) for one in found]
        return sorted((f for f in faces if f.size >= self.min_size), key=lambda face: -face.size)

    def _working_pixels(self, pixels: int) -> int:
        return min(pixels, WORKING_PIXELS)

    def _turned(self, picture: np.ndarray) -> list[_Found]:
        """Faces of a uint8 picture whichever way it lies; the quarter turn in which they are surest wins."""
        found = self._upright(picture)
        if any(one.upright and one.score > _SURE for one in found):
            return found
        # Which way is up is asked of a smaller picture: most photos without a sure face simply show none.
        small = _shrunk(picture, _TURNING_PIXELS)
        sure = [
            sum(one.score for one in self._detect(np.ascontiguousarray(np.rot90(small, turns))) if one.upright)
            for turns in range(4)
        ]
        turns = int(np.argmax(sure))
        if turns == 0 or sure[turns] < max(sure[0], sum(one.score for one in found if one.upright)) + _MARGIN:
            return found
        turned = self._upright(np.ascontiguousarray(np.rot90(picture, turns)))
        return [_turned_back(one, turns, picture.shape[1], picture.shape[0]) for one in turned]

    def _upright(self, picture: np.ndarray) -> list[_Found]:
        """Upright faces of a uint8 picture, each once."""
        found = self._search(picture)
        longest = max(picture.shape[:2])
        if longest > 1.5 * _THUMBNAIL:
            small = _shrunk(picture, round(picture.shape[0] * picture.shape[1] * (_THUMBNAIL / longest) ** 2))
            ratio = picture.shape[1] / small.shape[1]
            # From the thumbnail only what is too large for the full pass: its boxes are coarser.
            found += [one.moved(ratio) for one in self._detect(small) if np.ptp(one.box[[0, 2]]) > 0.3 * _THUMBNAIL]
        return _distinct(found)

    def _search(self, picture: np.ndarray) -> list[_Found]:
        return self._detect(picture)

    def _detect(self, picture: np.ndarray) -> list[_Found]:
        """One pass of the network over a uint8 RGB picture."""
        height, width = (-(-side // 32) * 32 for side in picture.shape[:2])
        padded = np.zeros((height, width, 3), np.float32)
        padded[: picture.shape[0], : picture.shape[1]] = picture
        self.network.setInput(padded.transpose(2, 0, 1)[None])
        heat, scale, offset, points = self.network.forward(("537", "538", "539", "540"))
        rows, columns = np.nonzero(heat[0, 0] > self.threshold)
        sizes = np.exp(scale[0, :, rows, columns]) * _STRIDE  # (n, 2) height, width
        shift = offset[0, :, rows, columns]
        low = np.stack([columns + shift[:, 1] + 0.5, rows + shift[:, 0] + 0.5], 1) * _STRIDE - sizes[:, ::-1] / 2
        boxes = np.concatenate([low, low + sizes[:, ::-1]], 1)
        # Landmarks come as (y, x) in shares of the box.
        marks = points[0, :, rows, columns].reshape(-1, 5, 2)[:, :, ::-1] * sizes[:, None, ::-1] + low[:, None]
        scores = heat[0, 0, rows, columns]
        return [_Found(float(s), b, m.astype(np.float32)) for s, b, m in zip(scores, boxes, marks, strict=True)]

    def _face(self, one: _Found, pixels: np.ndarray) -> Face:
        x0, y0, x1, y1 = (float(v) for v in one.box)
        outside = share_outside((x0, y0, x1, y1), pixels.shape[1], pixels.shape[0])
        return refine(Face((x0, y0, x1, y1), min(one.score, 1.0), one.points, outside), pixels)


class FineCenterFace(CenterFace):
    """CenterFace over a large photo at full size, in overlapping tiles of one megapixel."""

    def _working_pixels(self, pixels: int) -> int:
        return pixels

    def _search(self, picture: np.ndarray) -> list[_Found]:
        if picture.shape[0] * picture.shape[1] <= WORKING_PIXELS:
            return self._detect(picture)
        coarse = _shrunk(picture, WORKING_PIXELS)
        found = [one.moved(picture.shape[1] / coarse.shape[1]) for one in self._detect(coarse)]
        for x, y, tile in _tiles(picture, 1024, 192):
            found += [one.moved(1.0, x, y) for one in self._detect(tile)]
        return found


def refine(face: Face, pixels: np.ndarray) -> Face:
    """The face with landmarks from the 468-point mesh, or unchanged where the mesh disagrees with the detector.

    On faces below about 20 px the mesh sees too little and is not asked.
    """
    if face.size < 20:
        return face
    try:
        matrix = alignment(face.landmarks, _REFINE_SIZE)
    except FaceError:
        return face
    points = mesh.five_points(mesh.mesh(crop(pixels, matrix, _REFINE_SIZE)))
    # A profile or a hidden mouth throws the mesh off; the detector's points then stay.
    if np.linalg.norm(points - template(_REFINE_SIZE), axis=1).max() > 0.16 * _REFINE_SIZE:
        return face
    inverse = cv2.invertAffineTransform(matrix)
    return replace(face, landmarks=(points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32))


def _distinct(found: Sequence[_Found]) -> list[_Found]:
    """Non-maximum suppression: of detections that overlap, the most confident stays."""
    kept: list[_Found] = []
    for one in sorted(found, key=lambda f: -f.score):
        if all(_overlap(one.box, other.box) < _OVERLAP for other in kept):
            kept.append(one)
    return kept


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, or over the smaller box where one lies in the other."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    shared = width * height
    return float(max(shared / (sum(areas) - shared), 0.5 * shared / min(areas)))


def _turned_back(one: _Found, turns: int, width: int, height: int) -> _Found:
    """A detection of the picture turned by ``turns`` quarters against the clock, in pixels of the upright one."""
    points = np.concatenate([one.points, one.box.reshape(2, 2)]).astype(np.float32)
    for left in range(turns, 0, -1):
        # np.rot90 sends (x, y) to (y, w - 1 - x); w is the width of the picture before this quarter.
        before = width if left % 2 == 1 else height
        points = np.stack([before - 1 - points[:, 1], points[:, 0]], 1)
    corners = points[5:]
    return _Found(one.score, np.concatenate([corners.min(0), corners.max(0)]), points[:5])


def _tiles(picture: np.ndarray, side: int, overlap: int) -> Iterator[tuple[int, int, np.ndarray]]:
    for y in _starts(picture.shape[0], side, overlap):
        for x in _starts(picture.shape[1], side, overlap):
            yield x, y, picture[y : y + side, x : x + side]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _shrunk(picture: np.ndarray, pixels: int) -> np.ndarray:
    height, width = picture.shape[:2]
    ratio = (pixels / (height * width)) ** 0.5
    if ratio >= 1:
        return picture
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture * np.float32(255)), 0, 255).astype(np.uint8)
