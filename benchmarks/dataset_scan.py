"""How long it takes to recognise and to check whole data sets, by names alone, beside a plain walk over the files.

Run with: python benchmarks/dataset_scan.py [FOLDER FOR THE TREES]

The trees are made here: hard links to one small picture under the data sets' own names, and CelebA's three tables.
CPU seconds of this process, median of three, the file system's cache warm; the trees are removed afterwards.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from facefort.pictures.datasets import recognise
from facefort.pictures.datasets.labels import PARTS

TURNS = 3
LINKS = 30_000  # to one file; file systems have limits
NAMES = tuple(f"Attribute_{i}" for i in range(40))


def fill(folder: Path, names: Iterable[str], size: tuple[int, int]) -> None:
    """Pictures of those names, few of them real files."""
    folder.mkdir(parents=True, exist_ok=True)
    source: Path | None = None
    for place, name in enumerate(names):
        path = folder / name
        if source is None or place % LINKS == 0:
            source = path
            Image.new("RGB", size, (90, 120, 150)).save(path)
        else:
            os.link(source, path)


def celeba(root: Path) -> Path:
    count = 202_599
    listed = [f"{i:06d}.jpg" for i in range(1, count + 1)]
    fill(root / "img_align_celeba", listed, (178, 218))
    values = np.random.default_rng(0).choice(["-1", " 1"], (count, 40))
    rows = [f"{name} {' '.join(row)}" for name, row in zip(listed, values, strict=True)]
    (root / "list_attr_celeba.txt").write_text("\n".join([str(count), " ".join(NAMES), *rows]) + "\n")
    parts = [0] * 162_770 + [1] * 19_867 + [2] * 19_962
    people = [i % 10_177 + 1 for i in range(count)]
    for name, column in (("list_eval_partition.txt", parts), ("identity_CelebA.txt", people)):
        (root / name).write_text("".join(f"{n} {v}\n" for n, v in zip(listed, column, strict=True)))
    return root


def ffhq(root: Path) -> Path:
    for thousand in range(0, 70_000, 1000):
        names = [f"{i:05d}.png" for i in range(thousand, thousand + 1000)]
        fill(root / "images1024x1024" / f"{thousand:05d}", names, (64, 64))
    return root


def masks(root: Path) -> Path:
    fill(root / "CelebA-HQ-img", [f"{i}.jpg" for i in range(30_000)], (64, 64))
    for folder in range(15):
        numbers = range(folder * 2000, folder * 2000 + 2000)
        names = [f"{i:05d}_{part}.png" for i in numbers for part in PARTS[:11]]
        fill(root / "CelebAMask-HQ-mask-anno" / str(folder), names, (64, 64))
    return root


def lfw(root: Path) -> Path:
    for person in range(5749):
        count = 3 if person < 1735 else 2
        fill(root / f"Person_{person:05d}", [f"Person_{person:05d}_{i:04d}.jpg" for i in range(1, count + 1)], (64, 64))
    return root


def walk(root: Path) -> int:
    """The least that anybody can do: list every name."""
    return sum(len(files) for _, _, files in os.walk(root))


def globbed(root: Path) -> int:
    """What a script does: every file as a path, sorted."""
    return len(sorted(path for path in root.rglob("*") if path.is_file()))


def cpu(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(TURNS + 1):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def main() -> None:
    place = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    print("| tree | files | os.walk, s | sorted rglob, s | recognise, s | recognise and check, s |")
    print("|---|---:|---:|---:|---:|---:|")
    try:
        for make in (celeba, ffhq, masks, lfw):
            root = make(place / make.__name__)
            found = recognise(root)
            times = [
                cpu(lambda root=root: walk(root)),
                cpu(lambda root=root: globbed(root)),
                cpu(lambda root=root: recognise(root)),
                cpu(lambda root=root: recognise(root).check()),
            ]
            cells = " | ".join(f"{each:.2f}" for each in times)
            print(f"| {found.title} | {walk(root):,} | {cells} |", flush=True)
            shutil.rmtree(root)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
