"""Measure two restorations of the same faces, and print them side by side as papers do."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

import facefort
from facefort.measuring.result import Measurement
from facefort.models import zoo
from facefort.models.sources import faces
from facefort.pictures.degrade import degrade
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import to_pictures
from facefort.report import comparison, render


def write(folder: Path, names: list[str], pictures: np.ndarray) -> Path:
    for name, picture in zip(names, pictures, strict=True):
        Photo.from_array(np.clip(picture, 0, 1)).write(folder / f"{name}.png")
    return folder


with tempfile.TemporaryDirectory() as scratch:
    here = Path(scratch)
    restorer = facefort.load(zoo.DEFAULT)
    batch = next(iter(faces("samples", restorer.size, limit=4).batches(4)))
    degraded = degrade(batch.faces, "gfpgan", seed=1, names=batch.names).pictures
    clean = write(here / "clean", batch.names, to_pictures(batch.faces))
    found: dict[str, Measurement] = {}
    for name, pictures in {
        "median filter": np.stack([cv2.medianBlur(picture, 3) for picture in to_pictures(degraded)]),
        restorer.name: to_pictures(restorer.restore(degraded)),
    }.items():
        found[name] = facefort.measure(write(here / name, batch.names, pictures), clean, ["psnr-rgb", "lpips-alex"])
    print(render(comparison("Two restorations of four faces", found), "md"))
