"""What passes as a face where a metric needs one: faces, damaged faces, and pictures without a face.

    python benchmarks/face_presence.py FACES

FACES holds `celeb128/` (CelebA), `lq-crops512/` (real low-quality faces) and `synthetic256-test/` (generated faces),
all FFHQ-aligned. Pictures without a face are random square crops of scikit-image's photos and textures, and generated
faces whose blocks of 32 px are shuffled. Everything random has a fixed seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from facefort.faces.landmarks import SEEN, presence
from facefort.pictures.degrade import PRESETS, degrade

GENERATED, CELEBRITIES, CROPS = 120, 300, 30
FACELESS = (
    *("coffee", "chelsea", "rocket", "immunohistochemistry", "retina", "hubble_deep_field", "colorwheel", "brick"),
    *("grass", "gravel", "page", "coins", "moon", "text", "clock"),
)
BLOCK = 32


def read(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"), np.float32) / 255


def row(what: str, pictures: Iterable[np.ndarray]) -> str:
    seen = np.array([presence(picture) for picture in pictures])
    low, middle, high = np.quantile(seen, (0.05, 0.5, 0.95))
    passed = np.count_nonzero(seen >= SEEN)
    return f"| {what} | {passed} of {len(seen)} ({passed / len(seen):.1%}) | {low:.4f} | {middle:.4f} | {high:.4f} |"


def crops(name: str, rng: np.random.Generator) -> Iterable[np.ndarray]:
    photo = getattr(data, name)()
    photo = np.repeat(photo[..., None], 3, 2) if photo.ndim == 2 else photo[..., :3]
    for _ in range(CROPS):
        side = int(rng.integers(64, min(photo.shape[:2]) + 1))
        y, x = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
        yield np.ascontiguousarray(photo[y : y + side, x : x + side], np.float32) / 255


def shuffled(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = len(face) // BLOCK
    blocks = face.reshape(count, BLOCK, count, BLOCK, 3).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK, 3)
    mixed = rng.permutation(blocks).reshape(count, count, BLOCK, BLOCK, 3).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(face.shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="folder of the face collection")
    folder = parser.parse_args().faces
    rng = np.random.default_rng(0)
    generated = [read(file) for file in sorted((folder / "synthetic256-test").glob("*"))[:GENERATED]]
    batch = torch.from_numpy(np.stack(generated)).permute(0, 3, 1, 2)
    names = [str(number) for number in range(len(generated))]

    print(f"A picture passes from a presence of {SEEN}.\n")
    print("| pictures | pass | 5 % | median | 95 % |\n|---|---|---|---|---|")
    print(row("CelebA", map(read, sorted((folder / "celeb128").glob("*"))[:CELEBRITIES])))
    print(row("real low-quality faces", map(read, sorted((folder / "lq-crops512").glob("*")))))
    print(row("generated faces", generated))
    for preset in PRESETS:
        damaged = degrade(batch, preset, seed=0, names=names).pictures.permute(0, 2, 3, 1).numpy()
        print(row(f"generated faces, {preset}", damaged))
    print(row("no face: crops of photos and textures", (crop for name in FACELESS for crop in crops(name, rng))))
    print(row("no face: shuffled faces", (shuffled(face, rng) for face in generated)))

    start = time.process_time()
    for face in generated:
        presence(face)
    print(f"\nCPU time {1000 * (time.process_time() - start) / len(generated):.1f} ms a picture of 256 px.")


if __name__ == "__main__":
    main()
