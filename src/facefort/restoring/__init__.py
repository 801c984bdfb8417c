"""A photo in, a restored photo out; folders of them, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facefort.models.restorer import Restorer
    from facefort.pictures.photo import Photo
    from facefort.restoring.pipeline import Restoration


def restore(
    photo: Photo | Path | str,
    model: Restorer | Path | str = "gfpgan-128",
    **settings: Any,  # noqa: ANN401 - fields of RestoreSettings
) -> Restoration:
    """Restore every face of a photo.

        restored = facefort.restore("old.jpg")
        restored.photo.write("new.jpg")

    A face that could not be restored is left as it was, and says so: look at ``restored.failed``.

    Args:
        photo: a photo, or the file to read it from.
        model: name of a restorer, path of a checkpoint, or a loaded model.
        settings: fields of :class:`facefort.restoring.settings.RestoreSettings` that concern one photo, such as
            ``weight=0.5`` or ``scale=2``.

    Raises:
        PictureError: the file cannot be read.
        ConfigError: an unknown setting, or a value out of range.
        WeightsError: the model, the detector or the recogniser is missing.
    """
    from facefort.restoring.single import restore_one

    return restore_one(photo, model, settings)


__all__ = ["restore"]
