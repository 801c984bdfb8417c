"""CPU time of the metrics on 512 px pictures, beside the implementations that people use today.

    python benchmarks/metrics_speed.py [PICTURE] [--repeats 21] [--batch 64] [--only "ssim*"]

CPU time (not wall time) of one thread, median and quartiles after one warm-up, so that other work on the machine
disturbs it little. Without PICTURE, scikit-image's astronaut is used. Peers run in the same process on the same
pictures: scikit-image, and where they are installed pytorch-msssim, lpips and basicsr's NIQE (from its source, in
float64, as it ships). A batch is timed as one call here, and as one call a picture for the peer.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from facefort.assets import missing
from facefort.metrics import METRICS, metric

SIDE = 512
FACE = np.s_[20:212, 130:322]
SLOW_MS = 500
"""Above this a metric is timed three times only."""

Work = Callable[[], object]
Peer = Callable[[Tensor, Tensor], object]


def milliseconds(work: Work, repeats: int) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the CPU time."""
    start = time.process_time()
    work()
    if 1000 * (time.process_time() - start) > SLOW_MS:
        repeats = 3
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    low, middle, high = statistics.quantiles(taken, n=4)
    return low, middle, high


def row(name: str, work: Work, repeats: int) -> str:
    low, middle, high = milliseconds(work, repeats)
    return f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} |"


def pixels(batch: Tensor) -> np.ndarray:
    return (batch[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@functools.cache
def peers() -> list[tuple[str, str, Peer]]:
    """The metric a peer stands beside, its name, and itself on one pair of tensors."""

    def of_arrays(compute: Callable[[np.ndarray, np.ndarray], object]) -> Peer:
        converted: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # the conversion is not the peer's to pay

        def call(x: Tensor, y: Tensor) -> object:
            key = x.data_ptr()
            if key not in converted:
                converted[key] = pixels(x), pixels(y)
            return compute(*converted[key])

        return call

    psnr = of_arrays(lambda x, y: peak_signal_noise_ratio(y, x, data_range=255))
    found: list[tuple[str, str, Peer]] = [
        ("psnr-rgb", "scikit-image peak_signal_noise_ratio", psnr),
        ("ssim-rgb", "scikit-image structural_similarity", of_arrays(ssim_of_skimage)),
    ]
    if importlib.util.find_spec("pytorch_msssim"):
        import pytorch_msssim

        found.append(("ssim-rgb", "pytorch-msssim ssim", lambda x, y: pytorch_msssim.ssim(x, y, data_range=1)))
        found.append(("ms-ssim", "pytorch-msssim ms_ssim", lambda x, y: pytorch_msssim.ms_ssim(x, y, data_range=1)))
    if importlib.util.find_spec("lpips"):
        sys.path.insert(0, str(Path(__file__).parent))
        from metrics_parity import import_torchvision, peer_lpips

        import_torchvision()
        alex = peer_lpips("alex")
        found.append(("lpips-alex", "lpips 0.1.4", lambda x, y: alex(2 * x - 1, 2 * y - 1)))
    if importlib.util.find_spec("basicsr"):
        from basicsr.metrics.niqe import calculate_niqe

        niqe = of_arrays(lambda x, _: calculate_niqe(x[..., ::-1], 0))
        found.append(("niqe-y", "basicsr calculate_niqe", niqe))
    return found


def ssim_of_skimage(x: np.ndarray, y: np.ndarray) -> float:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return structural_similarity(x, y, channel_axis=2, **options)


def call(name: str, pictures: Tensor, references: Tensor) -> Work:
    measure = metric(name)
    pair = (pictures, references) if measure.needs_reference else (pictures,)
    return lambda: measure(*pair)


def print_single(pictures: Tensor, references: Tensor, repeats: int, only: str) -> None:
    print("| metric | CPU ms, median | quartiles |\n|---|---|---|")
    for entry in METRICS:
        if not fnmatch(entry.name, only):
            continue
        if missing(entry.facts["weights"]):
            print(f"| {entry.name} | not fetched | |")
        else:
            print(row(entry.name, call(entry.name, pictures, references), repeats), flush=True)
    for key, name, peer in peers():
        if fnmatch(key, only):
            print(row(name, lambda peer=peer: peer(pictures, references), repeats), flush=True)
    attacked = pictures.clone().requires_grad_()
    with torch.enable_grad():
        print(row("ssim-rgb, with its gradient", lambda: metric("ssim-rgb")(attacked, references).sum().backward(), 9))


def print_batch(pictures: Tensor, references: Tensor, count: int, only: str) -> None:
    """One call for a batch, beside the peer called once a picture."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.02 * torch.randn((count, *pictures.shape[1:]), generator=generator)
    batch, clean = (pictures + noise).clamp(0, 1), references.expand(count, -1, -1, -1).contiguous()
    print(f"\n| metric, {count} pictures | facefort, CPU ms a picture | peer, one by one | ratio |\n|---|---|---|---|")
    for key, name, peer in peers():
        if not fnmatch(key, only):
            continue
        number = count if key != "lpips-alex" else min(count, 16)
        some, goals = batch[:number], clean[:number]
        own = milliseconds(call(key, some, goals), 3)[1] / number

        def one_by_one(peer: Peer = peer, some: Tensor = some, goals: Tensor = goals) -> None:
            for place in range(len(some)):
                peer(some[place : place + 1], goals[place : place + 1])

        theirs = milliseconds(one_by_one, 3)[1] / number
        shown = key if number == count else f"{key} ({number} pictures)"
        print(f"| {shown} | {own:.1f} | {theirs:.1f} ({name}) | {theirs / own:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of the metrics.")
    parser.add_argument("picture", type=Path, nargs="?", help="a square photograph of a face")
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", default="*", help="a shell pattern on the metrics' names")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photo = Image.open(options.picture) if options.picture else Image.fromarray(data.astronaut()[FACE])
    clean = np.asarray(photo.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    noise = np.random.default_rng(0).normal(0, 10, clean.shape)
    spoilt = (clean + noise).round().clip(0, 255).astype(np.uint8)
    references, pictures = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() / 255 for x in (clean, spoilt))
    with torch.no_grad():
        print_single(pictures, references, options.repeats, options.only)
        print_batch(pictures, references, options.batch, options.only)


if __name__ == "__main__":
    main()
