"""Whether face-quality judges order degradations, and what rejecting their worst faces saves a recogniser.

    python benchmarks/quality_judges.py FACES [--people 30] [--judge NAME=CHECKPOINT ...] [--json FILE]

FACES holds `london512/`, `synthetic256-test/`, `lfw112/` and `lfw112_pairs.csv`. Order: Spearman's correlation of score
and strength within each face, mean over faces (1 is a perfect order). Rejection: the error-versus-reject curve of
Grother and Tabassi 2007: at the threshold that 1 in 1000 pairs of strangers passes, the share of pairs of one person
that the recogniser misses, after the pairs with the lowest quality (the lower of both faces) are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from facefort.models.judges.identity import recogniser
from facefort.models.judges.quality import QUALITY_JUDGES, QualityJudge, quality_judge

Array = NDArray[np.float64]
Picture = NDArray[np.float32]
Found = dict[str, dict[str, Any]]

REJECTED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
FALSE_MATCHES = 1e-3


def blurred(face: Picture, sigma: float) -> Picture:
    return cv2.GaussianBlur(face, (0, 0), sigma) if sigma else face


def noisy(face: Picture, level: float) -> Picture:
    return face + np.random.default_rng(0).standard_normal(face.shape).astype(np.float32) * np.float32(level)


def small(face: Picture, factor: float) -> Picture:
    side = face.shape[0]
    shrunk = cv2.resize(face, (round(side / factor),) * 2, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR)


def jpeg(face: Picture, quality: float) -> Picture:
    if quality == 100:
        return face
    done, data = cv2.imencode(".jpg", np.clip(np.rint(face), 0, 255), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    assert done
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32)


# Strengths at 128 px; blur and size grow with the face, noise and JPEG stay what they are per pixel.
LADDERS: dict[str, tuple[Callable[[Picture, float], Picture], tuple[float, ...], bool]] = {
    "blur": (blurred, (0, 0.5, 1, 1.5, 2, 3, 4, 6), True),
    "noise": (noisy, (0, 5, 10, 20, 30, 40, 60, 80), False),
    "low resolution": (small, (1, 1.5, 2, 3, 4, 6, 8, 12), True),
    "JPEG": (jpeg, (100, 70, 50, 35, 25, 15, 10, 5), False),
}


def ladder(files: list[Path], kind: str, size: int) -> Tensor:
    """Faces at each strength, (levels, faces, 3, size, size)."""
    work, levels, grows = LADDERS[kind]
    steps = []
    for level in levels:
        strength = (
            (1 + (level - 1) * size / 128 if kind == "low resolution" else level * size / 128) if grows else level
        )
        row = []
        for file in files:
            face = cv2.imread(str(file), cv2.IMREAD_COLOR)
            way = cv2.INTER_AREA if face.shape[0] > size else cv2.INTER_CUBIC
            face = cv2.resize(face, (size, size), interpolation=way).astype(np.float32)
            row.append(np.clip(np.rint(work(face, strength)), 0, 255)[:, :, ::-1])
        steps.append(np.stack(row))
    return torch.from_numpy(np.stack(steps)).permute(0, 1, 4, 2, 3).float() / 255


def order(judge: QualityJudge, steps: Tensor) -> tuple[float, Array]:
    """Mean correlation with the strength, and mean score at each strength."""
    with torch.inference_mode():
        scores = torch.stack([torch.cat([judge(part) for part in step.split(16)]) for step in steps]).double().numpy()
    ranks = np.arange(len(scores))
    found = [-spearmanr(ranks, scores[:, face]).statistic for face in range(scores.shape[1])]
    return float(np.mean(found)), scores.mean(1)


def order_table(judges: dict[str, QualityJudge], files: list[Path], size: int, found: Found, what: str) -> list[str]:
    rows = [f"| judge | {' | '.join(LADDERS)} |", f"|---|{'---|' * len(LADDERS)}"]
    steps = {kind: ladder(files, kind, size) for kind in LADDERS}
    for name, judge in judges.items():
        cells = []
        for kind in LADDERS:
            correlation, means = order(judge, steps[kind])
            found.setdefault(name, {}).setdefault(f"spearman, {what}", {})[kind] = round(correlation, 3)
            cells.append(f"{correlation:.3f} ({means[0]:.3g} to {means[-1]:.3g})")
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return rows


def reject_table(judges: dict[str, QualityJudge], folder: Path, found: Found) -> list[str]:
    files = sorted((folder / "lfw112").glob("*.jpg"))
    place = {file.name: index for index, file in enumerate(files)}
    faces = torch.stack([torch.from_numpy(cv2.imread(str(file))[:, :, ::-1].copy()) for file in files])
    faces = faces.permute(0, 3, 1, 2)
    with (folder / "lfw112_pairs.csv").open(newline="") as lines:
        own = [(place[row["a"]], place[row["b"]]) for row in csv.DictReader(lines) if row["same"] == "1"]
    pairs = np.array(own)
    judge = recogniser("dlib")

    def each(network: Callable[..., Tensor]) -> Tensor:
        with torch.inference_mode():
            return torch.cat([network(part.float() / 255, "arcface") for part in faces.split(64)])

    embeddings = each(judge)
    people = np.array([file.stem.rsplit("_", 1)[0] for file in files])
    distances = torch.cdist(embeddings.double(), embeddings.double()).numpy()
    strangers = distances[np.triu(people[:, None] != people[None], 1)]
    missed = distances[pairs[:, 0], pairs[:, 1]] > np.quantile(strangers, FALSE_MATCHES)
    rows = [f"| judge | {' | '.join(f'{share:.0%} rejected' for share in REJECTED)} | area |"]
    rows.append(f"|---|{'---|' * (len(REJECTED) + 1)}")
    qualities = {name: each(network).double().numpy() for name, network in judges.items()}
    lower = {name: np.minimum(values[pairs[:, 0]], values[pairs[:, 1]]) for name, values in qualities.items()}
    lower["the distance itself (the best possible)"] = -distances[pairs[:, 0], pairs[:, 1]]
    for name, quality in lower.items():
        kept = missed[np.argsort(-quality, kind="stable")]
        curve = np.array([kept[: max(1, round(len(kept) * (1 - share)))].mean() for share in np.arange(0, 0.501, 0.01)])
        points = {f"{share:.0%}": round(100 * float(curve[round(100 * share)]), 2) for share in REJECTED}
        found.setdefault(name, {})["percent of LFW pairs that dlib misses, by share rejected"] = points
        found[name]["area under that curve, 1 at random"] = round(float(curve.mean() / curve[0]), 3)
        cells = [f"{missed_part:.1f} %" for missed_part in points.values()]
        rows.append(f"| `{name}` | {' | '.join(cells)} | {curve.mean() / curve[0]:.3f} |")
    rows.append(f"| at random | {' | '.join([f'{100 * missed.mean():.1f} %'] * len(REJECTED))} | 1.000 |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="What face-quality judges order and save.")
    parser.add_argument("faces", type=Path, help="folder of the face collection")
    parser.add_argument("--people", type=int, default=30, help="faces of each ladder")
    parser.add_argument("--judge", action="append", default=[], help="NAME=CHECKPOINT, a judge with other weights")
    parser.add_argument("--only", dest="own", action="store_false", help="only the judges that --judge names")
    parser.add_argument("--json", type=Path, help="where the numbers of the last judge go")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    named: list[tuple[str, Path | None]] = [
        (entry.name, None) for entry in QUALITY_JUDGES if not entry.facts.get("brought") and options.own
    ]
    named += [(name, Path(path)) for name, _, path in (given.partition("=") for given in options.judge)]
    judges = {f"{name} ({path.parent.name})" if path else name: quality_judge(name, path) for name, path in named}
    found: Found = {}
    london = sorted((options.faces / "london512").glob("*_neutral.jpg"))[: options.people]
    drawn = sorted((options.faces / "synthetic256-test").glob("*.webp"))[: options.people]
    for what, files, size in (
        ("London Set, 128 px", london, 128),
        ("London Set, 512 px", london, 512),
        ("generated faces (held out), 128 px", drawn, 128),
    ):
        print(f"\n## Order on the {what} ({len(files)} faces)\n")
        print("\n".join(order_table(judges, files, size, found, what)), flush=True)
    print("\n## Pairs of one person that dlib misses on LFW, by share of rejected pairs\n")
    print("\n".join(reject_table(judges, options.faces, found)))
    if options.json:
        options.json.write_text(json.dumps(found[list(judges)[-1]], indent=1))


if __name__ == "__main__":
    main()
