"""Every restorer of the zoo beside the untouched input and classical filters, on generated, studio and real faces.

    python benchmarks/zoo.py --london FACES --real CROPS [--only NAME ...] [--synthetic 200]
    python benchmarks/zoo.py --page

FACES is a folder of aligned photographs, degraded here like the generated ones (preset gfpgan); CROPS holds aligned
faces that are bad by themselves, so that only metrics without a reference say anything of them. Rows go to
`results/zoo.json`; one whose weights are still the same is not measured again. `--page` writes `docs/zoo.md` and its
picture from that file. A filter's strength is chosen in its favour: the best of several by PSNR over these very faces.
FID is left out: no set here has the 2048 faces that it takes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facefort.files import sha256_bytes, write_bytes, write_text
from facefort.metrics import metric
from facefort.models import load, zoo
from facefort.models.judges.identity import recogniser
from facefort.models.restorer import Restorer
from facefort.models.sources import faces as open_faces
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import from_bytes, round_to_8_bits, to_bytes

RESULTS = Path(__file__).parent / "results" / "zoo.json"
DOCS = Path(__file__).parents[1] / "docs"
SIZE = 128
FIRST_SEED = 9000  # none of the generated faces that recipes train or validate with
WITH_REFERENCE = ("lpips-alex", "lpips-vgg", "dists", "psnr-rgb", "ssim-rgb")
WITHOUT = ("niqe-pooled", "quality-sdd")
JUDGES = ("dlib", "arcface-mbf", "edgeface")  # dlib's network takes part in training, the others do not
TITLES = {
    "synthetic": "Generated faces, none of them seen in training",
    "london": "Photographs of the Face Research Lab London Set",
    "real": "Real photographs in a bad state",
}
AIMS = {"lpips-alex": 5.0, "lpips-vgg": 1.8}
CLOSER = 85.0


@dataclass(frozen=True)
class Faces:
    """What is restored, (N, 3, S, S), and the originals where they are known."""

    name: str
    given: Tensor
    clean: Tensor | None


def sets(options: argparse.Namespace) -> Iterator[Faces]:
    if options.synthetic:
        yield degraded("synthetic", f"synthetic:{FIRST_SEED}..{FIRST_SEED + options.synthetic - 1}")
    if options.london:
        yield degraded("london", options.london)
    if options.real:
        yield Faces("real", read(options.real)[1], None)


def read(source: str, size: int = SIZE, limit: int | None = None) -> tuple[list[str], Tensor]:
    names: list[str] = []
    parts: list[Tensor] = []
    for batch in open_faces(source, size, limit=limit).batches(16):
        names += batch.names
        parts.append(batch.faces)
    return names, torch.cat(parts)


def degraded(
    name: str, source: str, size: int = SIZE, preset: str = "gfpgan", seed: int = 0, limit: int | None = None
) -> Faces:
    names, clean = read(source, size, limit)
    return Faces(name, degrade(clean, preset, seed=seed, names=names).pictures, clean)


def restored(restorer: Restorer, given: Tensor) -> Tensor:
    return round_to_8_bits(torch.cat([restorer.restore(part) for part in given.split(8)]))


def filters() -> dict[str, list[Callable[[np.ndarray], np.ndarray]]]:
    def smaller(picture: np.ndarray, factor: float) -> np.ndarray:
        whole = len(picture)
        side = round(whole / factor)
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (whole, whole), interpolation=cv2.INTER_CUBIC)

    return {
        "bicubic": [lambda p, f=f: smaller(p, f) for f in (1.25, 1.5, 2.0, 3.0)],
        "median filter": [lambda p, k=k: cv2.medianBlur(p, k) for k in (3, 5)],
        "non-local means": [
            lambda p, h=h: cv2.fastNlMeansDenoisingColored(p, None, h, h, 5, 15) for h in (3, 5, 8, 12)
        ],
    }


def filtered(faces: Faces, choices: list[Callable[[np.ndarray], np.ndarray]]) -> Tensor:
    """The best of several filters by PSNR; without originals, the middle one."""
    pictures = to_bytes(faces.given)
    if faces.clean is None:
        return from_bytes(np.stack([choices[len(choices) // 2](one) for one in pictures]))
    done = [from_bytes(np.stack([one(picture) for picture in pictures])) for one in choices]
    scores = [float(metric("psnr-rgb")(result, faces.clean).clamp(max=60).mean()) for result in done]
    return done[int(np.argmax(scores))]


@torch.no_grad()
def scored(faces: Faces, pictures: Tensor) -> dict[str, float]:
    """Every number of one row."""
    row: dict[str, float] = {}
    if faces.clean is not None:
        for name in WITH_REFERENCE:
            pairs = zip(pictures.split(16), faces.clean.split(16), strict=True)
            row[name] = float(torch.cat([metric(name)(a, b) for a, b in pairs]).clamp(max=60).mean())
        for name in JUDGES:
            judge = recogniser(name)
            truth, before, after = (embedded(judge, one) for one in (faces.clean, faces.given, pictures))
            apart, at_first = judge.distance(after, truth), judge.distance(before, truth)
            row[name] = float(apart.mean())
            row[f"{name} closer"] = 100 * float((apart < at_first).float().mean())
    for name in WITHOUT:
        row[name] = float(torch.cat([metric(name)(part, faces_known=True) for part in pictures.split(16)]).mean())
    return {name: round(value, 4) for name, value in row.items()}


def embedded(judge: torch.nn.Module, pictures: Tensor) -> Tensor:
    return torch.cat([judge(part) for part in pictures.split(16)])


def measure(options: argparse.Namespace) -> None:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    models = [name for name in zoo.names() if name.endswith(f"-{SIZE}")]
    for faces in sets(options):
        # Rows of other faces do not stand beside these.
        digest = sha256_bytes(faces.given.numpy().tobytes())
        if kept.get(faces.name, {}).get("digest") != digest:
            kept[faces.name] = {"faces": len(faces.given), "digest": digest, "rows": {}}
        rows = kept[faces.name]["rows"]
        if "input" not in rows:
            rows["input"] = scored(faces, faces.given)
            for name, choices in filters().items():
                rows[name] = scored(faces, filtered(faces, choices))
        for name in options.only or models:
            restorer = load(name)
            if rows.get(name, {}).get("sha256") == restorer.origin.sha256:
                continue
            rows[name] = {**scored(faces, restored(restorer, faces.given)), "sha256": restorer.origin.sha256}
            print(faces.name, name, rows[name], flush=True)
        write_text(RESULTS, json.dumps(kept, indent=1) + "\n")


def page() -> None:
    """Write `docs/zoo.md` and its picture."""
    kept = json.loads(RESULTS.read_text())
    draw_sheet(DOCS / "images" / "zoo.jpg")
    absent = [TITLES[name].lower() for name in TITLES if name not in kept]
    text = [HEAD, *([f"Not measured yet: {'; '.join(absent)}."] if absent else [])]
    for name, table in kept.items():
        rows = {row: values for row, values in table["rows"].items() if row in zoo.names() or "sha256" not in values}
        columns = [column for column in rows["input"] if column != "sha256"]
        body = [[row, *(shown(column, values[column]) for column in columns)] for row, values in ordered(rows)]
        heads = ["", *(headed(column) for column in columns)]
        text += [f"## {TITLES[name]}", f"{table['faces']} faces.", markdown(heads, body)]
        if name != "real":
            text += [verdict(rows)]
    write_text(DOCS / "zoo.md", "\n\n".join(text) + "\n")


HEAD = f"""# The zoo, measured

One table a set, written by `python benchmarks/zoo.py --page` from `benchmarks/results/zoo.json`. {SIZE} px, preset
gfpgan, seed 0, pictures rounded to 8 bits. `unet` is a plain U-Net of the same size, data and losses: what the methods'
own ideas are measured against. "Closer" is the share of faces that a recogniser finds nearer to their original than
the degraded face was; dlib's network takes part in training, the two others do not. NIQE is the pooled variant, since
the pictures are small. FID is left out: no set has the 2048 faces that it takes.

Below, from top to bottom: degraded, every restorer in the order of its name, the original. All are generated people.

![degraded, restored and original faces](images/zoo.jpg)"""


def markdown(heads: list[str], body: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ordered(rows: dict[str, dict[str, float]]) -> list[tuple[str, dict[str, float]]]:
    """Baselines first, then restorers by LPIPS-vgg, or by quality where there is no original."""

    def place(item: tuple[str, dict[str, float]]) -> tuple[bool, float]:
        name, values = item
        return name in zoo.names(), values.get("lpips-vgg", -values["quality-sdd"]) if name in zoo.names() else 0.0

    return sorted(rows.items(), key=place)


def headed(column: str) -> str:
    if column.endswith(" closer"):
        return f"{column.removesuffix(' closer')}: closer ↑"
    better = "↓" if column in JUDGES or metric(column).direction == "lower" else "↑"
    return f"{column} {better}"


def shown(column: str, value: float) -> str:
    if column.endswith(" closer"):
        return f"{value:.0f} %"
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


def verdict(rows: dict[str, dict[str, float]]) -> str:
    """How each restorer stands to what is asked of it."""
    start, plain = rows["input"], rows.get(f"unet-{SIZE}")
    body = []
    for name, row in ordered(rows):
        if name not in zoo.names():
            continue
        cells = [f"{start[kind] / row[kind]:.2f}-fold" for kind in AIMS]
        met = all(start[kind] / row[kind] >= aim for kind, aim in AIMS.items()) and row["dlib closer"] >= CLOSER
        better = "-"
        if plain and row is not plain:
            wins = [kind for kind in ("lpips-vgg", "dlib", *JUDGES[1:]) if row[kind] < plain[kind]]
            better = ", ".join(wins) or "in nothing"
        body.append([name, *cells, f"{row['dlib closer']:.0f} %", "yes" if met else "no", better])
    aims = [f"{kind} cut ({aim:g}-fold asked)" for kind, aim in AIMS.items()]
    return markdown(["", *aims, f"closer by dlib ({CLOSER:.0f} % asked)", "all three", "better than U-Net in"], body)


def draw_sheet(file: Path) -> None:
    """Eight generated faces: degraded, restored by every model, original."""
    faces = degraded("synthetic", f"synthetic:{FIRST_SEED}..{FIRST_SEED + 7}")
    assert faces.clean is not None
    models = [name for name in zoo.names() if name.endswith(f"-{SIZE}")]
    rows = [faces.given, *(load(name).restore(faces.given) for name in models), faces.clean]
    strips = [np.concatenate(list(to_bytes(row)), 1) for row in rows]
    ok, data = cv2.imencode(".jpg", np.concatenate(strips)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert ok
    write_bytes(file, data.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=int, default=200, help="how many generated faces; 0 leaves them out")
    parser.add_argument("--london", help="folder of aligned photographs")
    parser.add_argument("--real", help="folder of aligned bad photographs")
    parser.add_argument("--only", nargs="+", default=[], help="restorers; all by default")
    parser.add_argument("--page", action="store_true", help="write docs/zoo.md from what was measured")
    options = parser.parse_args()
    if options.page:
        page()
    else:
        measure(options)


if __name__ == "__main__":
    main()
