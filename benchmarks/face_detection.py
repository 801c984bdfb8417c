"""Recall and false alarms of face detection against counts made by eye, and its time per megapixel.

    python benchmarks/face_detection.py PHOTOS [--counts benchmarks/lq_photos_counts.csv]

The counts name photos that are not part of the project; on other photos give a file of your own.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from facefort import samples
from facefort.faces.detect import detector
from facefort.pictures.photo import Photo

SIDES = (None, 60, 40, 30, 24, 20, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=Path, default=Path(__file__).with_name("lq_photos_counts.csv"))
    given = parser.parse_args()
    with given.counts.open(newline="") as lines:
        counts = {row["photo"]: int(row["faces"]) for row in csv.DictReader(lines)}
    photos = {name: Photo.read(given.photos / name).pixels for name in counts}
    find = detector(min_size=10)

    # Where the faces are: what is found at full size, once it agrees with the count made by eye.
    truth = {name: find(pixels) for name, pixels in photos.items()}
    print("| photo | faces seen by eye | found |\n|---|---|---|")
    for name, count in counts.items():
        print(f"| {name} | {count} | {len(truth[name])} |")
    print("\n| median face, px | faces | found | recall | false alarms |\n|---|---|---|---|---|")
    for side in SIDES:
        found, false, total = 0, 0, 0
        for name, pixels in photos.items():
            median = statistics.median(face.size for face in truth[name])
            scale = 1.0 if side is None else min(1.0, side / median)
            small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            centres = [(np.array(face.centre) * scale, face.size * scale) for face in truth[name]]
            hits = set()
            for face in find(small):
                near = [i for i, (c, s) in enumerate(centres) if np.linalg.norm(c - face.centre) < s / 2]
                hits.update(near[:1])
                false += not near
            found += len(hits)
            total += counts[name]
        print(f"| {side or 'as they are'} | {total} | {found} | {found / total:.0%} | {false} |")

    print("\n| photo, megapixels | median ms |\n|---|---|")
    rng = np.random.default_rng(0)
    for height, width in ((512, 512), (1080, 1920), (3000, 4000)):
        ground = cv2.resize(rng.random((30, 40, 3), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        face = cv2.resize(Photo.read(samples.faces()[0]).pixels, (height // 2, height // 2))
        ground[: height // 2, : height // 2] = face
        times = []
        for _ in range(5):
            start = time.perf_counter()
            find(ground)
            times.append(time.perf_counter() - start)
        print(f"| {height * width / 1e6:.1f} | {1000 * statistics.median(times):.0f} |")


if __name__ == "__main__":
    main()
