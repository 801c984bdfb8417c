"""What FID and KID cost and how near they come to pytorch-fid and clean-fid.

    python benchmarks/distribution_cost.py [--calibration FOLDER] [--sizes 100 500 1000 3000]

Peers are used where they import: pytorch-fid 0.3.0 (with torchvision), clean-fid 0.1.35, and torch.jit for the
carrier's own program. FOLDER is `ResultsCalibra` of the pyiqa wheel (published: 225.3678 legacy, 220.5819 clean). CPU
seconds of one thread. The interval's study draws sets from known Gaussians and asks how the spread that one set claims
compares with the spread over fresh sets.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from PIL import Image

from facefort import assets
from facefort.metrics.distribution import frechet_distance
from facefort.metrics.references import from_pictures
from facefort.metrics.sets import Moments, Reference, set_metric
from facefort.models.judges.inception import inception

Array = NDArray[np.float64]


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError):
        return None


def features_like(count: int, seed: int, shift: float = 0.0) -> Array:
    """Features with the falling spectrum that Inception's have, 2048 wide."""
    rng = np.random.default_rng(seed)
    scale = 0.35 / np.sqrt(1 + np.arange(2048) / 12)
    return np.abs(rng.standard_normal((count, 2048)) * scale + 0.3 + shift)


def frechet_by_root(left: Array, right: Moments) -> float:
    """pytorch-fid's formula; its own function where it imports."""
    a = Moments.of(left)
    package = peer("pytorch_fid.fid_score")
    if package is not None:
        return float(package.calculate_frechet_distance(a.mean, a.covariance, right.mean, right.covariance))
    root = scipy.linalg.sqrtm(a.covariance @ right.covariance).real
    trace = np.trace(a.covariance) + np.trace(right.covariance) - 2 * np.trace(root)
    return float(np.square(a.mean - right.mean).sum() + trace)


def cost(sizes: list[int]) -> None:
    right = Moments.of(features_like(6000, 1, 0.02))
    print("| pictures | FID, s | pytorch-fid's root, s | relative difference | interval of 50 groups, s |")
    print("|---|---|---|---|---|")
    for size in sizes:
        left = features_like(size, 2)
        ours, value = seconds(lambda left=left: frechet_distance(left, right))
        theirs, wanted = seconds(lambda left=left: frechet_by_root(left, right))
        reference = Reference("x", right, 6000, "")
        whole, _ = seconds(lambda left=left, reference=reference: set_metric("fid").score(left, reference))
        print(f"| {size} | {ours:.2f} | {theirs:.1f} | {abs(value / wanted - 1):.1e} | {whole:.1f} |", flush=True)


def network() -> None:
    pictures = torch.rand(8, 3, 299, 299) * 2 - 1
    ways: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "facefort": inception(),
        "the carrier's TorchScript": torch.jit.load(str(assets.path("inception-fid"))).eval(),
    }
    print("\n| Inception, batch of 8 | CPU ms per picture |\n|---|---|")
    with torch.inference_mode():
        results = {}
        for name, way in ways.items():
            results[name] = way(pictures)
            taken = min(seconds(lambda way=way: way(pictures))[0] for _ in range(3))
            print(f"| {name} | {1000 * taken / 8:.0f} |", flush=True)
    first, second = results.values()
    print(f"\nLargest difference of their features: {(first - second).abs().max():.1e}.")


def calibration(folder: Path) -> None:
    print("\n| five TID2013 pictures | facefort | published | relative difference |\n|---|---|---|---|")
    for name, published in (("fid", 225.3678), ("fid-clean", 220.5819)):
        metric = set_metric(name)
        spoilt, clean = (
            from_pictures(metric, sorted((folder / part).glob("*.bmp")), part) for part in ("dist_dir", "ref_dir")
        )
        value = metric.score(np.asarray(spoilt.content), clean, groups=0).value
        print(f"| {name} | {value:.4f} | {published} | {abs(value / published - 1):.1e} |", flush=True)


def clean_peer(folder: Path) -> None:
    """clean-fid's own resizing, network input and KID on the calibration pictures, beside ours."""
    resizing, formula = peer("cleanfid.resize"), peer("cleanfid.fid")
    if resizing is None or formula is None:
        print("\nclean-fid does not import here.")
        return
    program = torch.jit.load(str(assets.path("inception-fid"))).eval()
    resize = resizing.build_resizer("clean")
    metric = set_metric("kid-clean")
    rows, ours = {}, {}
    for part in ("dist_dir", "ref_dir"):
        files = sorted((folder / part).glob("*.bmp"))
        planes = [resize(np.asarray(Image.open(file).convert("RGB"))) for file in files]
        with torch.inference_mode():
            signal = torch.from_numpy(np.stack(planes)).permute(0, 3, 1, 2)
            rows[part] = program((signal - 128) / 128).double().numpy()
        ours[part] = np.asarray(from_pictures(metric, files, part).content)
    apart = max(float(np.abs(rows[part] - ours[part]).max()) for part in rows)
    wanted = 1000 * formula.kernel_distance(rows["dist_dir"], rows["ref_dir"], num_subsets=1)
    value = metric.compare(ours["dist_dir"], ours["ref_dir"])
    print(f"\nclean-fid: features differ by {apart:.1e} at most; KID x 1000 is {wanted:.4f} there, {value:.4f} here.")


def interval(width: int, count: int, repeats: int = 100, fresh: int = 120) -> str:
    mixing = np.random.default_rng(99).standard_normal((width, width)) / np.sqrt(width) * np.linspace(1, 0.05, width)

    def draw(number: int, seed: int, shift: float = 0.0) -> Array:
        return np.random.default_rng(seed).standard_normal((number, width)) @ mixing + shift

    right = Moments.of(draw(8000, 1, 0.2 / np.sqrt(width)))
    truth = np.array([frechet_distance(draw(count, seed), right) for seed in range(100, 100 + fresh)])
    metric, reference = set_metric("fid"), Reference("x", right, 8000, "")
    cells, corrected = [], 0.0
    for kind in ("jackknife", "bootstrap"):
        scores = [metric.score(draw(count, seed), reference, interval=kind, seed=seed) for seed in range(repeats)]
        inside = np.mean([score.low <= truth.mean() <= score.high for score in scores])
        # A normal spread's 95 % interval is 3.92 deviations wide.
        spread = np.mean([(score.high - score.low) / 3.92 for score in scores])
        cells.append(f"± {spread:.3f} ({inside:.0%} cover)")
        if kind == "jackknife":
            corrected = float(np.mean([score.value - score.bias for score in scores]))
    limit = frechet_distance(draw(100_000, 7), right)
    return (
        f"| {width} | {count} | {truth.mean():.3f} ± {truth.std():.3f} | {' | '.join(cells)} | {corrected:.3f} "
        f"| {limit:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost and accuracy of FID and KID.")
    parser.add_argument("--calibration", type=Path, help="pyiqa's ResultsCalibra folder")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 500, 1000, 3000], help="none: only the interval")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.sizes:
        cost(options.sizes)
        network()
    if options.calibration:
        calibration(options.calibration)
        clean_peer(options.calibration)
    print("\n| numbers a picture | pictures | FID of fresh sets | jackknife | bootstrap | less bias | of 100,000 |")
    print("|---|---|---|---|---|---|---|")
    for width, count in ((24, 60), (24, 200), (100, 60), (100, 200)):
        print(interval(width, count), flush=True)


if __name__ == "__main__":
    main()
