"""facefort: restore faces, know what breaks the models that do, shield photos from the models that manipulate."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Public names and where they live; nothing is imported before it is asked for.
_PUBLIC = {
    "Photo": "facefort.pictures.photo",
    "Face": "facefort.faces.face",
    "Restorer": "facefort.models.restorer",
    "FacefortError": "facefort.errors",
    "load": "facefort.models",
    "build": "facefort.models",
    "restore": "facefort.restoring",
    "attack": "facefort.attacks",
    "measure": "facefort.measuring",
}

__all__ = [
    "Face",
    "FacefortError",
    "Photo",
    "Restorer",
    "__version__",
    "attack",
    "build",
    "load",
    "measure",
    "restore",
]

if TYPE_CHECKING:
    from facefort.attacks import attack
    from facefort.errors import FacefortError
    from facefort.faces.face import Face
    from facefort.measuring import measure
    from facefort.models import build, load
    from facefort.models.restorer import Restorer
    from facefort.pictures.photo import Photo
    from facefort.restoring import restore


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'facefort' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
