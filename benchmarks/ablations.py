"""What each idea of JSFM-GAN and MSSG-Net is worth: the whole method beside itself without it.

    python tools/train_zoo.py --recipes recipes/ablations --faces FACES -o RUNS
    python benchmarks/ablations.py RUNS --faces FACES/london512 [--only jsfm] [--attacked 40] [--steps 20]

RUNS holds the weights of `recipes/ablations`; FACES is a source of aligned high-quality faces, degraded here (preset
gfpgan, seed 0, 128 px). "Attacked" is PGD inside 4/255 on the degraded face, away from the original (pix_gt), through
MSSG-Net's soft codes, whose gradient is not masked; the drop is that of PSNR. "Whole is better" is the share of faces
on which the whole method has the lower LPIPS-vgg, with its 95 % interval (percentile bootstrap over faces): where that
holds 50 %, the training is too short, or the idea too small, to tell.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from zoo import Faces, degraded, markdown, restored

from facefort.attacks.sweep import attack
from facefort.metrics import metric
from facefort.models import load
from facefort.models.judges.identity import recogniser
from facefort.models.restorer import Restorer

RECIPES = Path(__file__).parents[1] / "recipes" / "ablations"
EPSILON = "4/255"
HEADS = ("", "lpips-alex ↓", "lpips-vgg ↓", "psnr-rgb ↑", "dlib ↓", "closer ↑", "whole is better")
ATTACKED = ("attacked lpips-alex ↓", "attacked psnr-rgb ↑", "drop, dB ↓")


def ladder(method: str) -> list[str]:
    """The whole method and its ablations, by the names of their recipes."""
    return [method, *sorted(path.stem for path in RECIPES.glob(f"{method}-*.yaml"))]


@torch.no_grad()
def each(name: str, pictures: Tensor, clean: Tensor) -> Tensor:
    """A metric of every picture, (N,)."""
    parts = zip(pictures.split(16), clean.split(16), strict=True)
    return torch.cat([metric(name)(one, other) for one, other in parts])


@torch.no_grad()
def distances(pictures: Tensor, clean: Tensor) -> Tensor:
    judge = recogniser("dlib")
    parts = zip(pictures.split(16), clean.split(16), strict=True)
    return torch.cat([judge.distance(judge(one), judge(other)) for one, other in parts])


def share(wins: Tensor, draws: int = 2000) -> str:
    """Share of wins in percent with the interval of its bootstrap."""
    rng = np.random.default_rng(0)
    values = wins.double().numpy()
    means = rng.choice(values, (draws, len(values))).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * values.mean():.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def attacked(restorer: Restorer, faces: Faces, count: int, steps: int) -> list[str]:
    """LPIPS-alex and PSNR of attacked faces, and what PSNR they lost."""
    assert faces.clean is not None
    given, clean = faces.given[:count], faces.clean[:count]
    found = []
    for start in range(0, count, 8):
        part = slice(start, start + 8)
        names = [str(start + i) for i in range(len(given[part]))]
        done = attack(
            restorer,
            given[part],
            objective="pix_gt",
            budgets=EPSILON,
            steps=steps,
            names=names,
            reference=clean[part],
        )
        found.append(done[0].pictures)
    after = restored(restorer, torch.cat(found))
    before = each("psnr-rgb", restored(restorer, given), clean).mean()
    psnr = each("psnr-rgb", after, clean).mean()
    return [f"{each('lpips-alex', after, clean).mean():.4f}", f"{psnr:.2f}", f"{before - psnr:.2f}"]


def table(method: str, faces: Faces, options: argparse.Namespace) -> str:
    """One method's table; rows whose weights RUNS lacks are left out and named."""
    assert faces.clean is not None
    rows, whole, absent = [], None, []
    at_first = distances(faces.given, faces.clean)
    for name in ladder(method):
        file = options.runs / f"{name}.safetensors"
        if not file.exists():
            absent.append(name)
            continue
        restorer = load(str(file))
        pictures = restored(restorer, faces.given)
        vgg, apart = each("lpips-vgg", pictures, faces.clean), distances(pictures, faces.clean)
        row = [name.replace("_", " "), f"{each('lpips-alex', pictures, faces.clean).mean():.4f}", f"{vgg.mean():.4f}"]
        row += [f"{each('psnr-rgb', pictures, faces.clean).mean():.2f}", f"{apart.mean():.4f}"]
        row += [f"{100 * (apart < at_first).float().mean():.0f} %"]
        row += ["" if whole is None else share(whole < vgg)]
        whole = vgg if name == method else whole
        if options.attacked:
            row += attacked(restorer, faces, options.attacked, options.steps)
        rows.append(row)
    text = markdown([*HEADS, *(ATTACKED if options.attacked else ())], rows)
    return text + (f"\n\nNot trained: {', '.join(absent)}." if absent else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--only", nargs="+", default=["jsfm", "mssg"], choices=["jsfm", "mssg"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--attacked", type=int, default=40, help="faces that are attacked; 0: none")
    parser.add_argument("--steps", type=int, default=20, help="steps of PGD")
    options = parser.parse_args()
    faces = degraded("faces", options.faces, limit=options.limit)
    print(f"{len(faces.given)} faces, {min(options.attacked, len(faces.given))} of them attacked\n")
    for method in options.only:
        print(f"## {method}\n\n{table(method, faces, options)}\n", flush=True)


if __name__ == "__main__":
    main()
