"""Run folders to make pages of: small, with pictures drawn here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facefort.runs import RunFolder

Draw = Callable[[int, str], np.ndarray]

BUDGETS = ("1/255", "2/255", "4/255", "8/255")
ATTACKS = (("pix_self", "full"), ("pix_self", "eyes"), ("random", "full"))
PROVENANCE = {
    "facefort": "0.1.0",
    "commit": "f3c1a7d0" * 5,
    "libraries": {"torch": "2.13.0", "numpy": "2.4.6"},
    "machine": {"device": "cpu", "precision": "fp32", "threads": 2, "processor": "a processor"},
    "seed": 7,
    "weights": {"model.safetensors": "ab" * 32},
    "inputs": {"faces": "cd" * 32},
}


def draw(index: int, role: str) -> np.ndarray:
    """A face of sorts, (96, 96, 3) uint8: an oval on a background, its colours given by the index and the role."""
    rng = np.random.default_rng([index, len(role)])
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    oval = ((x / 0.6) ** 2 + (y / 0.8) ** 2 < 1)[..., None]
    return np.where(oval, rng.integers(80, 255, 3), rng.integers(0, 160, 3)).astype(np.uint8)


def units(count: int) -> list[str]:
    return [f"{index:05d}.png" for index in range(count)]


def open_run(path: Path, verb: str, **settings: Any) -> RunFolder:
    return RunFolder.open(
        path, verb=verb, settings=settings, provenance=PROVENANCE, command=f"facefort {verb} in -o out"
    )


def save(run: RunFolder, unit: str, role: str, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(run.picture(unit, role))


def add_quality(run: RunFolder, names: Iterable[str], paint: Draw = draw) -> None:
    for index, unit in enumerate(names):
        rng = np.random.default_rng(index)
        values = {
            "psnr-rgb": 27 + rng.normal(), "input.psnr-rgb": 24 + rng.normal(),
            "ssim-rgb": 0.79 + 0.02 * rng.normal(), "input.ssim-rgb": 0.68 + 0.03 * rng.normal(),
            "lpips-alex": 0.13 + 0.02 * rng.normal(), "input.lpips-alex": 0.31 + 0.04 * rng.normal(),
            "lpips-vgg": 0.24 + 0.02 * rng.normal(), "input.lpips-vgg": 0.41 + 0.03 * rng.normal(),
            "identity-dlib": 0.34 + 0.05 * rng.normal(), "input.identity-dlib": 0.47 + 0.05 * rng.normal(),
        }  # fmt: skip
        run.add("quality", unit, values, seconds=0.4)
        for role in ("clean", "degraded", "restored"):
            save(run, unit, role, paint(index, role))


def add_attacks(run: RunFolder, names: Iterable[str], paint: Draw = draw) -> None:
    names = list(names)
    for number, (objective, region) in enumerate(ATTACKS):
        harm = {"full": 1.0, "eyes": 0.45}[region] * (0.12 if objective == "random" else 1.0)
        for step, eps_text in enumerate(BUDGETS):
            for index, unit in enumerate(names):
                rng = np.random.default_rng([number, step, index])
                values = {
                    "objective": objective, "region": region, "eps": int(eps_text[0]) / 255, "eps_text": eps_text,
                    "psnr-cc": 42 - harm * (9 + 5 * step) + rng.normal(),
                    "lpips-alex-cc": 0.02 + 0.09 * harm * step + 0.005 * rng.random(),
                    "identity-cc": 0.03 + harm * 0.19 * step + 0.04 * rng.random(),
                    "psnr-in": 48 - 6 * step + 0.1 * rng.random(), "linf": int(eps_text[0]) / 255,
                    "loss_first": 0.001, "loss_last": 0.2,
                }  # fmt: skip
                run.add(f"{objective} {region} eps={eps_text}", unit, values, seconds=2.0)
                for role in ("adversarial", "difference", "attacked"):
                    save(run, unit, f"{role}-{number * len(BUDGETS) + step}", paint(index, role))


@pytest.fixture
def audit_run(tmp_path: Path) -> Path:
    """A finished audit of six faces under three attacks at four budgets."""
    with open_run(tmp_path / "audit", "audit", model="tiny", seed=7) as run:
        add_quality(run, units(6))
        add_attacks(run, units(2))
    return run.path


def add_photo(run: RunFolder, name: str, faces: int, answers: Iterable[str] = ("yes", "no", "unsure")) -> None:
    answer = list(answers)
    for folder in ("restored_imgs", "cropped_faces", "restored_faces"):
        (run.path / folder).mkdir(exist_ok=True)
    for index in range(faces):
        files = {"cropped": f"cropped_faces/{index}.png", "restored": f"restored_faces/{index}.png"}
        for place, (role, file) in enumerate(files.items()):
            Image.fromarray(draw(index + place, role)).save(run.path / file)
        values = {
            "photo": name, "index": index, "size": 80.0 + index, "box": [0, 0, 80, 80], "score": 0.9,
            "identity": 0.3 + 0.1 * index, "identity_limit": 0.541, "same_person": answer[index % len(answer)],
            "sharpness_before": 0.2, "sharpness_after": 0.4, "w": 0.0, "blend": 0.0,
            "warning": "drawn coarsely" if index == 0 else "",
        }  # fmt: skip
        run.add("face", f"{name}#{index}", values | files)
    before, after = "pictures/before.png", "restored_imgs/after.png"
    Image.fromarray(draw(0, "before")).save(run.path / before)
    Image.fromarray(draw(1, "after")).save(run.path / after)
    values = {
        "input": name, "width": 96, "height": 96, "output_width": 192, "output_height": 192, "faces": faces,
        "restored_faces": faces, "output": after, "before": before, "warning": "",
    }  # fmt: skip
    run.add("photo", name, values, seconds=1.5)


@pytest.fixture
def restore_run(tmp_path: Path) -> Path:
    """A restoration of one photo with three faces, and one file that was no photo."""
    with open_run(tmp_path / "restored", "restore", model="models/tiny.pth") as run:
        add_photo(run, "party.jpg", 3)
        run.add("photo", "broken.jpg", {"input": "broken.jpg", "faces": 0}, status="failed", reason="is not a picture")
    return run.path
