"""How long a 12-megapixel photo takes from file to float32 RGB and back, beside Pillow and OpenCV.

Run with: python benchmarks/pictures_io.py

Every library does the same work in this one process: a JPEG file becomes upright float32 RGB in [0, 1]; such an array
becomes a JPEG file of quality 95 without chroma subsampling. The photo is made here: smooth colours with sensor noise.
The first turn is not counted; facefort's time includes hashing the file, and flushing what it writes to disk.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from facefort.pictures.photo import Photo

WIDTH, HEIGHT = 4000, 3000
TURNS = 11


def make_photo() -> np.ndarray:
    """(3000, 4000, 3) uint8 that compresses about as well as a photo does."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + rng.normal(0, 4, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)


def read_pillow(path: Path) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    return np.asarray(image, np.float32) / np.float32(255)


def read_cv2(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)


def write_pillow(pixels: np.ndarray, path: Path) -> None:
    levels = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    Image.fromarray(levels).save(path, "JPEG", quality=95, subsampling=0)


def write_cv2(pixels: np.ndarray, path: Path) -> None:
    levels = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    cv2.imwrite(str(path), cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), options)


def medians(rivals: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each; they take turns, so that a busy moment of the machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(TURNS + 1):
        for name, work in rivals.items():
            start = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jpg", Path(folder) / "out.jpg"
        Image.fromarray(make_photo()).save(source, quality=92)
        photo = Photo.read(source)
        read = medians(
            {
                "facefort": lambda: Photo.read(source),
                "Pillow": lambda: read_pillow(source),
                "OpenCV": lambda: read_cv2(source),
            }
        )
        write = medians(
            {
                "facefort": lambda: photo.write(target),
                "Pillow": lambda: write_pillow(photo.pixels, target),
                "OpenCV": lambda: write_cv2(photo.pixels, target),
            }
        )
    print(f"{WIDTH} x {HEIGHT} JPEG, {os.cpu_count()} cores, median of {TURNS}\n")
    print("| library | read, ms | write, ms |\n|---|---:|---:|")
    for name in read:
        print(f"| {name} | {read[name]:.0f} | {write[name]:.0f} |")


if __name__ == "__main__":
    main()
