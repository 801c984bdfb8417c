"""Pictures that come with the package: generated people only, nobody's face.

The command that draws them again is ``tools/make_samples.py`` in the source tree.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def faces() -> list[Path]:
    """Sixteen aligned faces of 256 px, named by their seeds."""
    return sorted((_HERE / "faces").glob("*.webp"))


def photos() -> list[Path]:
    """Three whole photos in a bad state: an old print, a yearbook page, a small web picture."""
    return sorted((_HERE / "photos").glob("*.jpg"))
