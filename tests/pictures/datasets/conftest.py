"""Tiny copies of data sets in every layout, drawn here: gradients and ellipses, nobody's face."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

_NAMES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)
ATTRIBUTES = tuple(_NAMES.split())


def face(width: int, height: int, seed: int = 0) -> Image.Image:
    """An ellipse before a gradient."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    inside = ((x / width - 0.5) / 0.3) ** 2 + ((y / height - 0.5) / 0.4) ** 2 < 1
    ground = np.stack([x / width, y / height, np.full_like(x, (seed * 37 % 100) / 100)], 2)
    return Image.fromarray((np.where(inside[..., None], (0.8, 0.6, 0.5), ground) * 255).astype(np.uint8))


def pictures(folder: Path, names: Sequence[str], size: tuple[int, int]) -> Path:
    """Pictures of those names."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        face(*size, seed).save(folder / name)
    return folder


def links(folder: Path, names: Sequence[str], size: tuple[int, int]) -> Path:
    """Many names of one picture: quick to make, and as good to count."""
    pictures(folder, names[:1], size)
    for name in names[1:]:
        os.link(folder / names[0], folder / name)
    return folder


def values(count: int) -> np.ndarray:
    """(count, 40) of 1 and -1."""
    return np.random.default_rng(1).choice([-1, 1], (count, len(ATTRIBUTES)))


def attribute_text(path: Path, names: Sequence[str], declared: int | None = None) -> Path:
    """The owners' text table: count, names, rows padded with spaces."""
    rows = [
        name + "".join(f" {value:2d}" for value in row) for name, row in zip(names, values(len(names)), strict=True)
    ]
    head = [str(len(names) if declared is None else declared), " ".join(ATTRIBUTES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def attribute_csv(path: Path, names: Sequence[str]) -> Path:
    """Kaggle's table of the same."""
    rows = [",".join([name, *map(str, row)]) for name, row in zip(names, values(len(names)), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(["image_id", *ATTRIBUTES]), *rows]) + "\n")
    return path


def celeba(
    root: Path, count: int = 6, *, csv: bool = False, home: str = "img_align_celeba", ending: str = "jpg"
) -> Path:
    """CelebA with its three tables."""
    listed = [f"{i:06d}.jpg" for i in range(1, count + 1)]
    pictures(root / home, [f"{i:06d}.{ending}" for i in range(1, count + 1)], (178, 218))
    parts = [0] * (count - 2) + [1, 2]
    people = [100 + i // 2 for i in range(count)]
    if csv:
        attribute_csv(root / "list_attr_celeba.csv", listed)
        rows = [f"{name},{part}" for name, part in zip(listed, parts, strict=True)]
        (root / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *rows]) + "\n")
    else:
        attribute_text(root / "list_attr_celeba.txt", listed)
        numbers = (("list_eval_partition.txt", parts), ("identity_CelebA.txt", people))
        for name, column in numbers:
            (root / name).write_text("".join(f"{n} {v}\n" for n, v in zip(listed, column, strict=True)))
    return root


def mask(path: Path, box: tuple[int, int, int, int], *, colour: bool = False, level: int = 255) -> Path:
    """A part: a rectangle of 512 x 512."""
    levels = np.zeros((512, 512), np.uint8)
    top, bottom, left, right = box
    levels[top:bottom, left:right] = level
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([levels] * 3, 2) if colour else levels).save(path)
    return path


def celebamask(root: Path, numbers: Sequence[int] = (0, 1, 2000), *, nested: bool = True) -> Path:
    """CelebAMask-HQ: pictures, masks of some parts, three tables."""
    pictures(root / "CelebA-HQ-img", [f"{i}.jpg" for i in numbers], (64, 64))
    for i in numbers:
        place = root / "CelebAMask-HQ-mask-anno"
        place = place / str(i // 2000) if nested else place
        mask(place / f"{i:05d}_skin.png", (100, 400, 100, 400), colour=True)
        mask(place / f"{i:05d}_nose.png", (200, 300, 200, 300))
        mask(place / f"{i:05d}_hair.png", (50, 150, 100, 400))
    attribute_text(root / "CelebAMask-HQ-attribute-anno.txt", [f"{i}.jpg" for i in numbers])
    pose = [str(len(numbers)), "Yaw Pitch Raw", *(f"{i}.jpg 0.31 -1.00 2.5" for i in numbers)]
    (root / "CelebAMask-HQ-pose-anno.txt").write_text("\n".join(pose) + "\n")
    originals = dict(zip(numbers, (162_770, 162_771, 182_638), strict=False))
    rows = [f"{i:<8} {o:<8} {o + 1:06d}.jpg" for i, o in originals.items()]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(["idx     orig_idx   orig_file", *rows]) + "\n")
    return root


def lfw(home: Path) -> Path:
    """LFW with three people."""
    for person, count in (("Ada_Lovelace", 2), ("Alan_Turing", 1), ("Grace_Hopper", 3)):
        pictures(home / person, [f"{person}_{i:04d}.jpg" for i in range(1, count + 1)], (250, 250))
    return home


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers above; tests of this folder cannot import a conftest."""
    return SimpleNamespace(
        ATTRIBUTES=ATTRIBUTES,
        face=face,
        pictures=pictures,
        links=links,
        values=values,
        attribute_text=attribute_text,
        attribute_csv=attribute_csv,
        celeba=celeba,
        mask=mask,
        celebamask=celebamask,
        lfw=lfw,
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, int], None]:
    """Makes a data set whole at so many pictures."""
    from dataclasses import replace

    def say(kind: type, count: int) -> None:
        monkeypatch.setattr(kind, "facts", replace(kind.facts, counts=(count,)))

    return say
