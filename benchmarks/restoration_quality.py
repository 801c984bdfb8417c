"""How much a restorer gains on degraded faces with a known original, beside two classical filters.

    python benchmarks/restoration_quality.py FACES [--model gfpgan-128] [--preset gfpgan] [--limit N] [--json FILE]

FACES is a source of aligned high-quality faces (a folder, or synthetic:8000..8063). The filters' strength is chosen in
their favour: the best of several by mean PSNR over these very faces.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facefort.metrics import metric
from facefort.models import load
from facefort.models.judges.identity import recogniser
from facefort.models.sources import faces as open_faces
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import from_bytes, round_to_8_bits, to_bytes

METRICS = ("lpips-alex", "lpips-vgg", "psnr-rgb", "ssim-rgb")


def filtered(batch: Tensor, one: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    return from_bytes(np.stack([one(picture) for picture in to_bytes(batch)]))


def best_of(batch: Tensor, clean: Tensor, filters: list[Callable[[np.ndarray], np.ndarray]]) -> Tensor:
    done = [filtered(batch, one) for one in filters]
    scores = [float(metric("psnr-rgb")(result, clean).clamp(max=60).mean()) for result in done]
    return done[int(np.argmax(scores))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces")
    parser.add_argument("--model", default="gfpgan-128")
    parser.add_argument("--preset", default="gfpgan")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recognisers", default="dlib")
    parser.add_argument("--json", type=Path, help="the scores, as a card of the zoo has them (tools/fill_card.py)")
    given = parser.parse_args()
    restorer = load(given.model)
    names: list[str] = []
    parts: list[Tensor] = []
    for batch in open_faces(given.faces, restorer.size, limit=given.limit).batches(16):
        names += batch.names
        parts.append(batch.faces)
    clean = torch.cat(parts)
    degraded = degrade(clean, given.preset, seed=given.seed, names=names).pictures
    restored = round_to_8_bits(torch.cat([restorer.restore(part) for part in degraded.split(8)]))
    results = {
        "degraded input": degraded,
        "median filter": best_of(degraded, clean, [lambda p, k=k: cv2.medianBlur(p, k) for k in (3, 5)]),
        "non-local means": best_of(
            degraded,
            clean,
            [lambda p, h=h: cv2.fastNlMeansDenoisingColored(p, None, h, h, 5, 15) for h in (3, 5, 8, 12)],
        ),
        restorer.name: restored,
    }
    judges = [recogniser(name) for name in given.recognisers.split(",")]
    with torch.no_grad():
        truth = {judge.name: torch.cat([judge(part) for part in clean.split(16)]) for judge in judges}
    start: dict[str, Tensor] = {}
    print(f"{len(clean)} faces of {given.faces.split('/')[-1]}, {restorer.size} px, preset {given.preset}\n")
    heads = [*METRICS, *(f"{j.name} distance" for j in judges), *(f"{j.name}: closer to the original" for j in judges)]
    print("| | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
    found: dict[str, dict[str, float]] = {head: {} for head in (*METRICS, *(j.name for j in judges))}
    for name, pictures in results.items():
        row: list[float] = []
        for kind in METRICS:
            values = torch.cat([metric(kind)(a, b) for a, b in zip(pictures.split(16), clean.split(16), strict=True)])
            row.append(float(values.clamp(max=60).mean()))
            _note(found[kind], name, restorer.name, row[-1])
        closer = []
        for judge in judges:
            with torch.no_grad():
                seen = torch.cat([judge(part) for part in pictures.split(16)])
            distance = judge.distance(seen, truth[judge.name])
            start.setdefault(judge.name, distance)
            row.append(float(distance.mean()))
            closer.append(float((distance < start[judge.name]).float().mean()))
            _note(found[judge.name], name, restorer.name, row[-1])
            if name == restorer.name:
                found[judge.name]["closer_to_the_original"] = round(closer[-1], 3)
        cells = [f"{value:.4f}" if value < 2 else f"{value:.2f}" for value in row] + [
            f"{100 * v:.0f} %" for v in closer
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    if given.json:
        protocol = f"preset {given.preset} scaled to {restorer.size} px, seed {given.seed}, 8-bit pictures"
        scores = {
            "protocol": f"{protocol}; benchmarks/restoration_quality.py",
            f"{_set(given.faces)}{len(clean)}": found,
        }
        given.json.write_text(json.dumps(scores, indent=1))


def _note(scores: dict[str, float], row: str, restorer: str, value: float) -> None:
    kind = {"degraded input": "input", restorer: "restored"}.get(row)
    if kind:
        scores[kind] = round(value, 4) if value < 2 else round(value, 2)


def _set(source: str) -> str:
    """The name of a set of faces: its folder's, without a size at its end."""
    return Path(source.split(":")[0]).name.rstrip("0123456789")


if __name__ == "__main__":
    main()
