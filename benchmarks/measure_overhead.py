"""What `facefort measure` costs over the metrics themselves, and whether its memory grows with the pictures.

    python benchmarks/measure_overhead.py [--pictures 64] [--most 2000]

Overhead: CPU seconds of the verb's engine on a folder of 256 px pairs, less those of the same metrics on the same
tensors in memory; reading and hashing files is part of it. Memory: peak resident memory of a process that measures 100
pictures and of one that measures many, PSNR and SSIM on 128 px pairs, each process on its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from facefort.measuring.run import run
from facefort.measuring.settings import MeasureSettings
from facefort.metrics import metric
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import to_batch

METRICS = ("psnr-rgb", "ssim-rgb")


def write(folder: Path, count: int, side: int) -> None:
    """Pairs of a soft pattern and the same with noise."""
    y, x = np.mgrid[:side, :side] / side
    for i in range(count):
        rng = np.random.default_rng(i)
        clean = 0.5 + 0.4 * np.stack([np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y)] * 3, 2)
        for name, pixels in (("r", clean), ("t", clean + rng.normal(0, 0.04, clean.shape))):
            Photo.from_array(pixels.clip(0, 1)).write(folder / name / f"{i:05d}.png")


def settings(folder: Path, metrics: tuple[str, ...] = METRICS, batch: int = 4) -> MeasureSettings:
    return MeasureSettings(test=str(folder / "t"), reference=str(folder / "r"), metrics=metrics, batch=batch)


def cpu(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def overhead(folder: Path, names: tuple[str, ...], batch: int) -> tuple[float, float, float]:
    """CPU seconds of the verb, of the metrics alone, and of reading the files alone."""
    files = {side: sorted((folder / side).iterdir()) for side in ("t", "r")}
    tensors = {side: to_batch([Photo.read(path).pixels for path in paths]) for side, paths in files.items()}

    @torch.no_grad()
    def bare() -> None:
        for start in range(0, len(files["t"]), batch):
            part = slice(start, start + batch)
            for name in names:
                one = metric(name)
                one(tensors["t"][part], *([tensors["r"][part]] if one.needs_reference else []))

    bare()
    reading = cpu(lambda: [Photo.read(path) for paths in files.values() for path in paths])
    return cpu(lambda: run(settings(folder, names, batch))), cpu(bare), reading


def peak(folder: Path) -> float:
    """Peak memory in MiB of a process of its own that measures a folder."""
    done = subprocess.run([sys.executable, __file__, "--one", str(folder)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Overhead and memory of measuring.")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--most", type=int, default=2000)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one is not None:
        run(settings(options.one))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "overhead")
        write(folder, options.pictures, 256)
        print(f"{options.pictures} pairs of 256 px, CPU ms a picture\n")
        print("| metrics | the verb | the metrics alone | reading the files | the rest |\n|---|---|---|---|---|")
        for names in (("psnr-rgb",), METRICS, (*METRICS, "lpips-alex")):
            whole, bare, reading = (1000 * value / options.pictures for value in overhead(folder, names, 4))
            shown = " | ".join(f"{value:.2f}" for value in (whole, bare, reading, whole - bare - reading))
            print(f"| {', '.join(names)} | {shown} |", flush=True)
        print("\n| pairs of 128 px | peak memory, MiB |\n|---|---|")
        for count in (100, options.most):
            place = Path(scratch, str(count))
            write(place, count, 128)
            print(f"| {count} | {peak(place):.0f} |", flush=True)


if __name__ == "__main__":
    main()
