"""Where a result comes from: versions, commit, machine, seed and the hashes of what went in."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from facefort.runtime import Runtime, describe

PACKAGE = Path(__file__).parents[1]
LIBRARIES = (
    "torch",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "pillow",
    "pyvips",
    "safetensors",
    "scipy",
)


def provenance(
    *,
    seed: int,
    runtime: Runtime,
    weights: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a reader needs to judge a result or to get it again; never a host name, never a path.

    Args:
        seed: seed of the run.
        runtime: how it was computed.
        weights: hex SHA-256 by name of every weights file used.
        inputs: hex SHA-256 by name of the inputs.
    """
    return {
        "facefort": version(),
        "commit": commit(),
        "libraries": _versions(),
        "machine": describe(runtime),
        "seed": seed,
        "weights": dict(weights or {}),
        "inputs": dict(inputs or {}),
    }


def version() -> str:
    """Version of facefort as installed."""
    return metadata.version("facefort")


def commit() -> str | None:
    """Git commit of the checkout that this package runs from, with "-dirty" where files differ; None elsewhere."""
    root = PACKAGE.parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.SubprocessError):
        return None  # a checkout without a usable git: the commit is unknown, and None says so
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"  # installed by another distribution, such as opencv-python
    return found
