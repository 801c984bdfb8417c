"""What a 12-megapixel photo costs around the network: read, detect, align, paste, write.

    python benchmarks/photo_overhead.py

A sample face, enlarged, stands on a smooth ground in a JPEG of 4000 x 3000. The network is the identity, so that the
whole time is facefort's own; it includes hashing the file and flushing what is written to disk. The first turn is not
counted. Aim: 0.6 s of wall time in total on two quiet cores; where others share them, CPU time tells more.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from facefort import samples
from facefort.faces.align import alignment, crop
from facefort.faces.detect import Detector, detector
from facefort.faces.paste import keep_colour, paste
from facefort.pictures.photo import Photo

WIDTH, HEIGHT = 4000, 3000
FACE = 1600
"""Side of the enlarged sample in the photo; its face fills about two thirds of it."""
NETWORK = 512
TURNS = 5
STAGES = ("read", "detect", "align", "paste", "write", "total")


class Watch:
    """Wall and CPU seconds of each stage of one turn."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = time.perf_counter() - wall, time.process_time() - cpu


def write_photo(path: Path) -> None:
    """The photo: a face in the middle of a ground that runs from dark to bright, its border faded in."""
    across = np.linspace(0.3, 0.7, WIDTH, dtype=np.float32)
    pixels = np.repeat(np.repeat(across[None, :, None], HEIGHT, axis=0), 3, axis=2)
    face = cv2.resize(Photo.read(samples.faces()[0]).pixels, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
    line = np.clip((FACE / 2 - np.abs(np.arange(FACE) - FACE / 2)) / (FACE / 10), 0, 1).astype(np.float32)
    share = np.minimum.outer(line, line)[..., None]
    y, x = (HEIGHT - FACE) // 2, (WIDTH - FACE) // 2
    part = pixels[y : y + FACE, x : x + FACE]
    part += share * (np.clip(face, 0, 1) - part)
    Photo.from_array(pixels).write(path, quality=92)


def turn(source: Path, target: Path, find: Detector) -> Watch:
    """Take one photo through every stage."""
    watch = Watch()
    with watch.stage("total"):
        with watch.stage("read"):
            photo = Photo.read(source)
        with watch.stage("detect"):
            faces = find(photo.pixels)
        if len(faces) != 1:
            raise SystemExit(f"{len(faces)} faces found where there is one")
        with watch.stage("align"):
            matrix = alignment(faces[0].landmarks, NETWORK)
            aligned = crop(photo.pixels, matrix, NETWORK)
        with watch.stage("paste"):
            pixels = photo.pixels.copy()
            paste(pixels, keep_colour(aligned, aligned), matrix)
        with watch.stage("write"):
            photo.replace(pixels).write(target)
    return watch


def main() -> None:
    find = detector()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jpg", Path(folder) / "out.jpg"
        write_photo(source)
        turns = [turn(source, target, find) for _ in range(TURNS + 1)][1:]
    print(f"{WIDTH} x {HEIGHT} JPEG, one face, {os.cpu_count()} cores, median of {TURNS}\n")
    print("| stage | wall ms | CPU ms |\n|---|---:|---:|")
    for stage in STAGES:
        wall, cpu = (1000 * statistics.median(each.seconds[stage][which] for each in turns) for which in (0, 1))
        print(f"| {stage} | {wall:.0f} | {cpu:.0f} |")


if __name__ == "__main__":
    main()
