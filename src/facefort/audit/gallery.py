"""Pictures of the faces that tell most: the least stable ones under attack.

Pictures are written before the row that they belong to, and removed again when enough faces turn out to be more
telling. The ranking is read from the rows alone, so that an interrupted audit ends with the same gallery.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from facefort.audit.measure import INPUT_IDENTITY, Attempt, Specimens
from facefort.audit.plan import CONTROL, Cell
from facefort.files import explained
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import to_pictures
from facefort.runs import RunFolder

AMPLIFIED = 10


class Gallery:
    """The pictures of a run.

    A face is ranked by its lowest ``psnr-cc`` over all attacks; by ``psnr-rgb`` where nothing is attacked; by the
    distance of its identity from the input's where there is no reference either. Equal faces are ranked by name.

    Args:
        run: where rows and pictures lie; rows of an earlier session count.
        cells: the plan.
        keep: how many faces.
    """

    def __init__(self, run: RunFolder, cells: Sequence[Cell], keep: int) -> None:
        self._run = run
        self._keep = keep
        self._attacked = any(cell.attack for cell in cells)
        self._roles = ["clean", "degraded", "restored"]
        for cell in cells:
            if cell.attack:
                self._roles += attack_roles(cell.attack.index)
        self._scores: dict[str, float] = {}
        rows: dict[str, int] = {}
        for row in run.rows():
            if row.status == "done":
                rows[row.unit] = rows.get(row.unit, 0) + 1
                self.rank(row.unit, row.values)
        # What an earlier session left half done keeps its pictures until it is whole.
        self._open = {unit for unit, count in rows.items() if count < len(cells)}

    def show(self, specimens: Specimens) -> None:
        """Write the pictures of a batch that do not depend on an attack."""
        if self._keep:
            if specimens.reference is not None:
                self._write(specimens.names, "clean", specimens.reference)
            self._write(specimens.names, "degraded", specimens.degraded)
            self._write(specimens.names, "restored", specimens.restored)

    def show_attempt(self, specimens: Specimens, attempt: Attempt) -> None:
        """Write the pictures of one attack on a batch: input, ten times its change around grey, restoration."""
        if self._keep:
            change = (attempt.adversarial - specimens.degraded) * AMPLIFIED + 0.5
            shown = (attempt.adversarial, change.clamp(0, 1), attempt.attacked)
            for role, pictures in zip(attack_roles(attempt.attack.index), shown, strict=True):
                self._write(specimens.names, role, pictures)

    def rank(self, unit: str, values: Mapping[str, Any]) -> None:
        """Take note of a finished row."""
        score = self._score(values)
        if score is not None:
            self._scores[unit] = min(score, self._scores.get(unit, math.inf))

    def settle(self, units: Iterable[str]) -> None:
        """Keep the most telling faces and remove the rest; ``units`` have been worked on to the end."""
        self._open.difference_update(units)
        telling = heapq.nsmallest(self._keep, self._scores.items(), key=lambda item: (item[1], item[0]))
        kept = {self._run.picture(unit, role) for unit in (*dict(telling), *self._open) for role in self._roles}
        folder = self._run.path / "pictures"
        with explained(folder):
            for path in folder.iterdir():
                if path not in kept:
                    path.unlink()

    def _score(self, values: Mapping[str, Any]) -> float | None:
        """The smaller, the more telling."""
        if self._attacked:
            return None if values.get("objective") == CONTROL else values.get("psnr-cc")
        if "psnr-rgb" in values:
            return float(values["psnr-rgb"])
        return -float(values[INPUT_IDENTITY]) if INPUT_IDENTITY in values else 0.0

    def _write(self, names: Sequence[str], role: str, pictures: Tensor) -> None:
        for name, pixels in zip(names, to_pictures(pictures), strict=True):
            _save(self._run.picture(name, role), pixels)


def attack_roles(index: int) -> tuple[str, str, str]:
    """Roles of an attack's pictures: attacked input, its change, restoration of it."""
    return f"adversarial-{index}", f"difference-{index}", f"attacked-{index}"


def _save(path: Path, pixels: Any) -> None:  # noqa: ANN401 - (H, W, 3) floats
    Photo.from_array(pixels).write(path)
