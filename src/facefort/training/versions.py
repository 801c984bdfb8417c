"""Versions of faces in different quality, from clean to hardly a face: what the quality judge learns from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facefort.errors import TrainingError
from facefort.models.judges.chips import ARCFACE, cut
from facefort.pictures.degrade import PRESETS, apply, draw, odd
from facefort.pictures.tensors import from_bytes, to_bytes
from facefort.runtime import generator
from facefort.training.data import FaceBank, training_files

if TYPE_CHECKING:
    from facefort.training.quality import VersionSettings

_SIDE = 256
"""Side at which faces are kept."""
_KINDS = ("blur", "motion", "noise", "down", "jpeg", "preset")
# Ranges at a face of 128 px; blur and downsampling grow with the face. Strength is drawn evenly on a log scale.
_BLUR, _MOTION, _NOISE, _DOWN, _JPEG = (0.3, 6.0), (3.0, 25.0), (2.0, 90.0), (1.3, 14.0), (4.0, 90.0)

Picture = NDArray[np.float32]


class FaceVersions:
    """Iterates over pictures; for each, its versions as faces of several sizes and as chips.

    Args:
        source: folder or pattern of FFHQ-aligned faces.
        settings: what is drawn.
        seed: with a picture's name and the version's number it decides a draw.
        limit: pictures used; 0 for all.

    Raises:
        TrainingError: no faces, or one that cannot be read.
    """

    def __init__(self, source: str, settings: VersionSettings, seed: int, limit: int = 0) -> None:
        files = training_files(source)
        self.files = files[:limit] if limit else files
        if min(settings.sizes) < 64:
            raise TrainingError("versions.sizes holds a side below 64 px, which no recogniser takes")
        self._bank = FaceBank(self.files, _SIDE // 2)
        self._settings, self._seed = settings, seed

    def __iter__(self) -> Iterator[tuple[list[Tensor], NDArray[np.uint8]]]:
        """Of each picture: its versions as faces (1, 3, S, S) in [0, 1], and as chips (versions, 112, 112, 3)."""
        cv2.setNumThreads(1)
        for file, picture in zip(self.files, self._bank.pictures, strict=True):
            faces = [
                from_bytes(self._version(picture, file.name, index)[None]) for index in range(self._settings.count)
            ]
            yield faces, to_bytes(torch.cat([cut(face, "ffhq", ARCFACE) for face in faces]))

    def _version(self, picture: NDArray[np.uint8], name: str, index: int) -> NDArray[np.uint8]:
        settings = self._settings
        numbers = np.random.default_rng(generator("version", self._seed, name, index).initial_seed())
        face = _moved(picture.astype(np.float32), settings.jitter, numbers)
        side = int(numbers.choice(settings.sizes))
        face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        if numbers.random() < settings.cover:
            face = _covered(face, numbers)
        if numbers.random() < settings.light:
            face = _relit(face, numbers)
        if numbers.random() >= settings.clean:
            face = _degraded(face, str(numbers.choice(_KINDS)), numbers)
        return np.clip(np.rint(face), 0, 255).astype(np.uint8)


def _moved(face: Picture, amount: float, numbers: np.random.Generator) -> Picture:
    """Shift, scale and turn by up to ``amount`` of the side, a factor of 1 +- amount, and amount radians."""
    side = face.shape[0]
    shift_x, shift_y, zoom, turn = numbers.uniform(-amount, amount, 4)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), math.degrees(turn), 1 + zoom)
    matrix[:, 2] += (shift_x * side, shift_y * side)
    return cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(
        np.float32
    )


def _covered(face: Picture, numbers: np.random.Generator) -> Picture:
    """An ellipse of one colour over a part of the inner face, as a hand, a mask or a microphone covers it."""
    side = face.shape[0]
    centre = tuple(int(v) for v in numbers.uniform(0.3, 0.75, 2) * side)
    axes = tuple(int(v) for v in numbers.uniform(0.06, 0.25, 2) * side)
    colour = tuple(float(v) for v in numbers.uniform(10, 240, 3))
    return np.asarray(
        cv2.ellipse(face.copy(), centre, axes, float(numbers.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    )


def _relit(face: Picture, numbers: np.random.Generator) -> Picture:
    """Gamma, contrast around the mean and brightness; strong enough to lose detail at either end."""
    gamma = math.exp(numbers.uniform(-1.2, 1.2))
    contrast, brightness = numbers.uniform(0.25, 1.5), numbers.uniform(-70, 70)
    bent = 255 * (np.clip(face, 0, 255) / 255) ** gamma
    return np.clip((bent - bent.mean()) * contrast + bent.mean() + brightness, 0, 255).astype(np.float32)


def _degraded(face: Picture, kind: str, numbers: np.random.Generator) -> Picture:
    side = face.shape[0]
    scale = side / 128
    if kind == "blur":
        return np.asarray(cv2.GaussianBlur(face, (0, 0), _even_log(_BLUR, numbers) * scale))
    if kind == "noise":
        return face + numbers.standard_normal(face.shape, dtype=np.float32) * np.float32(_even_log(_NOISE, numbers))
    if kind == "down":
        small = max(4, round(side / max(1.0, _even_log(_DOWN, numbers) * scale)))
        shrunk = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR))
    if kind == "preset":
        preset = PRESETS[str(numbers.choice(sorted(PRESETS)))]
        return apply(face, draw(preset, numbers, side), numbers).astype(np.float32)
    if kind == "motion":
        length = odd(_even_log(_MOTION, numbers) * scale)
        drawn = {
            "blur": "motion",
            "kernel_size": length,
            "angle": float(numbers.uniform(-math.pi, math.pi)),
            "down": 1.0,
        }
    else:
        drawn = {"blur": "none", "down": 1.0, "jpeg": round(_even_log(_JPEG, numbers))}
    return apply(face, drawn, numbers).astype(np.float32)


def _even_log(bounds: tuple[float, float], numbers: np.random.Generator) -> float:
    return math.exp(numbers.uniform(math.log(bounds[0]), math.log(bounds[1])))
