"""A face found in a photo: where it is, how it is turned, and what stands in the way of restoring it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facefort.errors import UsageError

TINY = 24.0
"""Side in pixels below which a face holds too little to be restored faithfully."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the photo; may reach beyond it.
        score: the detector's confidence in [0, 1]; 1 for a face that a person marked.
        landmarks: (5, 2) float32, x and y in pixels of the photo: left eye, right eye, nose tip, left and right
            corner of the mouth, left and right as they appear in an upright face.
        outside: share of the box that lies outside the photo, in [0, 1].
    """

    box: Box
    score: float
    landmarks: np.ndarray
    outside: float = 0.0

    @property
    def size(self) -> float:
        """Longer side of the box in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def roll(self) -> float:
        """Angle of the line through the eyes, in degrees, clockwise in the picture; 0 for an upright face."""
        dx, dy = self.landmarks[1] - self.landmarks[0]
        return math.degrees(math.atan2(float(dy), float(dx)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know before trusting the result: "tiny", "cut off", "sideways", "upside down"."""
        found = []
        if self.size < TINY:
            found.append("tiny")
        if self.outside > 0.1:
            found.append("cut off")
        if abs(self.roll) > 135:
            found.append("upside down")
        elif abs(self.roll) > 45:
            found.append("sideways")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the editable list of faces."""
        return {
            "box": [round(float(v), 2) for v in self.box],
            "score": round(float(self.score), 4),
            "landmarks": [[round(float(v), 2) for v in point] for point in self.landmarks],
            "outside": round(float(self.outside), 4),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Face:
        """The face that :meth:`to_dict` wrote, perhaps edited by a person.

        Raises:
            UsageError: a box or landmarks that are none.
        """
        try:
            x0, y0, x1, y1 = (float(v) for v in values["box"])
            landmarks = np.asarray(values["landmarks"], np.float32)
            score, outside = float(values.get("score", 1.0)), float(values.get("outside", 0.0))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"a face needs box [x0, y0, x1, y1] and five landmarks ({error})") from None
        if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all() or x1 <= x0 or y1 <= y0:
            raise UsageError("a face needs box [x0, y0, x1, y1] with x0 < x1, y0 < y1 and five landmarks [x, y]")
        return cls((x0, y0, x1, y1), score, landmarks, outside)


def share_outside(box: Box, width: int, height: int) -> float:
    """Share of a box that lies outside a photo of ``width`` x ``height`` pixels."""
    x0, y0, x1, y1 = box
    inside = max(0.0, min(x1, width) - max(x0, 0.0)) * max(0.0, min(y1, height) - max(y0, 0.0))
    return 1 - inside / max((x1 - x0) * (y1 - y0), 1e-9)
