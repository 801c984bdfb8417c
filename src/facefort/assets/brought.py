"""Weights that no package carries: the user brings the file once, and it is kept with its SHA-256.

Each is registered with the function that reads such a file and raises where it does not fit, so that nothing enters the
cache that would fail later.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from facefort.errors import WeightsError
from facefort.files import atomic, cache_dir, sha256_file, write_text
from facefort.registry import Registry

BROUGHT: Registry[Callable[[Path], object]] = Registry("weights to bring")
"""Readers of each file; facts: the ``file`` it is kept as, its ``purpose``, ``source`` and ``licence``."""

BROUGHT.add(
    "arcface-resnet18",
    "facefort.models.judges.arcface_resnet18:load",
    file="resnet18_110.pth",
    purpose="identity recogniser of the metrics deg, idd and ids",
    source="resnet18_110.pth of ronghuaiyang/arcface-pytorch, or arcface_resnet18.pth of GFP-GAN's release",
    licence="no licence stated",
)
BROUGHT.add(
    "arcface-ir-se50",
    "facefort.models.judges.arcface_ir_se50:load",
    file="arcface_ir_se50.pth",
    purpose="identity recogniser of the metrics id-sim and id-sim-aligned",
    source="model_ir_se50.pth of TreB1eN/InsightFace_Pytorch, or recognition_arcface_ir_se50.pth of facexlib's release",
    licence="MIT code; trained on MS-Celeb-1M",
)

_RECORD = "brought.json"


def place(name: str) -> Path:
    """Where the file called ``name`` is kept, whether it is there or not."""
    return cache_dir() / "assets" / name / str(BROUGHT.entry(name).facts["file"])


def add(name: str, source: Path) -> str:
    """Check a file that the user has, and keep it.

    Args:
        name: one of :data:`BROUGHT`.
        source: the file.

    Returns:
        Its SHA-256.

    Raises:
        UnknownNameError: no such name.
        WeightsError: the file is missing, damaged, unsafe or of another network; nothing was kept.
    """
    BROUGHT.get(name)(source)
    kept = place(name)
    with atomic(kept) as stream, source.open("rb") as original:
        shutil.copyfileobj(original, stream)
    sha256 = sha256_file(kept)
    write_text(kept.with_name(_RECORD), json.dumps({"file": source.name, "sha256": sha256}, indent=2) + "\n")
    return sha256


def path(name: str) -> Path:
    """Where the brought file lies.

    Raises:
        UnknownNameError: no such name.
        WeightsError: not brought yet; the message says what it is and how to bring it.
    """
    kept = place(name)
    if not kept.is_file():
        facts = BROUGHT.entry(name).facts
        raise WeightsError(
            f"{facts['file']} ({facts['purpose']}) is in no package; get {facts['source']}, then run "
            f"`facefort weights add {name} FILE`"
        )
    return kept


def recorded(name: str) -> str | None:
    """SHA-256 of the file as it was added; None where nothing was."""
    try:
        return str(json.loads(place(name).with_name(_RECORD).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError):
        return None


def is_whole(name: str) -> bool:
    """Whether the file lies there with the content it had when it was added."""
    return place(name).is_file() and sha256_file(place(name)) == recorded(name)
