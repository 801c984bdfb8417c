"""CPU time of the metrics on a 512 px pair, beside the implementations that people use today.

    python benchmarks/metrics_speed.py [PICTURE] [--repeats 21]

CPU time (not wall time) of one thread, median and interquartile range after one warm-up, so that other work on the
machine disturbs it little. Without PICTURE, the face of scikit-image's astronaut is used. Peers: scikit-image for PSNR
and SSIM.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from facefort.assets import missing
from facefort.metrics import METRICS, metric

SIDE = 512
FACE = np.s_[20:212, 130:322]


def milliseconds(work: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the CPU time."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    low, middle, high = statistics.quantiles(taken, n=4)
    return low, middle, high


def row(name: str, work: Callable[[], object], repeats: int) -> str:
    low, middle, high = milliseconds(work, repeats)
    return f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} |"


def peers(clean: np.ndarray, spoilt: np.ndarray) -> dict[str, Callable[[], object]]:
    return {
        "scikit-image peak_signal_noise_ratio": lambda: peak_signal_noise_ratio(clean, spoilt, data_range=255),
        "scikit-image structural_similarity": lambda: structural_similarity(
            clean,
            spoilt,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of the metrics.")
    parser.add_argument("picture", type=Path, nargs="?", help="a square photograph of a face")
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photo = Image.open(options.picture) if options.picture else Image.fromarray(data.astronaut()[FACE])
    clean = np.asarray(photo.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    noise = np.random.default_rng(0).normal(0, 10, clean.shape)
    spoilt = (clean + noise).round().clip(0, 255).astype(np.uint8)
    reference, pictures = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() / 255 for x in (clean, spoilt))
    print("| metric | CPU ms, median | quartiles |\n|---|---|---|")
    with torch.inference_mode():
        for entry in METRICS:
            if missing(entry.facts["weights"]):
                print(f"| {entry.name} | not fetched | |")
                continue
            pair = (pictures, reference) if entry.facts["needs_reference"] else (pictures,)
            measure = metric(entry.name)
            print(row(entry.name, lambda measure=measure, pair=pair: measure(*pair), options.repeats))
    for name, work in peers(clean, spoilt).items():
        print(row(name, work, options.repeats))


if __name__ == "__main__":
    main()
