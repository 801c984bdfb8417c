"""The Python call for one photo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facefort import config
from facefort.errors import ConfigError
from facefort.models.restorer import Restorer
from facefort.pictures.photo import Photo
from facefort.restoring.facelist import FaceList
from facefort.restoring.pipeline import Restoration, restore_photo
from facefort.restoring.settings import RestoreSettings, check
from facefort.restoring.tools import load_tools

_OF_A_FOLDER = ("inputs", "suffix", "ext", "strip_metadata", "limit")


def restore_one(photo: Photo | Path | str, model: Restorer | Path | str, values: Mapping[str, Any]) -> Restoration:
    """See :func:`facefort.restoring.restore`."""
    for key in values:
        if key in _OF_A_FOLDER:
            raise ConfigError(f"{key} is a setting of folders, not of one photo; leave it out")
    restorer = model if isinstance(model, Restorer) else None
    name = restorer.name if restorer is not None else str(model)
    settings = check(config.validate(RestoreSettings, {"model": name, **values}))
    if not isinstance(photo, Photo):
        photo = Photo.read(photo, max_pixels=settings.max_pixels)
    listed = None
    if settings.faces is not None:
        name = photo.path.name if photo.path else ""
        listed = FaceList.read(Path(settings.faces)).of(name, photo.sha256)
    return restore_photo(photo, settings, load_tools(settings, restorer), listed)
