"""What a run writes of a photo: pictures in the folders that GFP-GAN's users know, and the values of its rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from facefort.errors import PictureError
from facefort.files import write_bytes
from facefort.pictures.formats import FORMATS
from facefort.pictures.levels import Pixels
from facefort.pictures.metadata import Metadata
from facefort.pictures.photo import Photo
from facefort.restoring import labels
from facefort.restoring.canvas import resize
from facefort.restoring.pipeline import FaceResult, Restoration
from facefort.restoring.settings import RestoreSettings

CROPPED, RESTORED, PAIRS, PHOTOS = "cropped_faces", "restored_faces", "cmp", "restored_imgs"
NO_FACE = "no face found (try --threshold or --box)"
_BEFORE_SIDE = 1600

Values = dict[str, Any]


def output_name(label: str, photo: Photo, settings: RestoreSettings) -> str:
    """File name of a restored photo."""
    if settings.ext != "auto":
        ending = f".{settings.ext}"
    elif FORMATS[photo.format].writable:
        named = Path(label).suffix
        ending = named if named.lower() in FORMATS[photo.format].suffixes else FORMATS[photo.format].suffixes[0]
    else:
        ending = ".png"
    return _suffixed(labels.stem(label), settings) + ending


def write_photo(out: Path, label: str, photo: Photo, restoration: Restoration, settings: RestoreSettings) -> Values:
    """Write a restored photo and a small copy of what it was.

    A photo without a face that is neither enlarged nor converted is copied byte by byte.

    Returns:
        Values of the photo's row: the names of its files, and a warning of what the new file cannot keep.

    Raises:
        PictureError: the chosen format cannot keep the photo's transparency.
        OutputError: the place cannot be written.
    """
    target = out / PHOTOS / output_name(label, photo, settings)
    restored = restoration.photo
    lost = restored.losses(target)
    if "transparency" in lost:
        raise PictureError(f"{label} is transparent in parts, which {target.suffix} cannot keep; choose --ext png")
    untouched = restored is photo and photo.path is not None and not settings.strip_metadata
    if untouched and photo.path is not None and target.suffix == photo.path.suffix:
        write_bytes(target, photo.path.read_bytes())
    else:
        restored.write(target, strip_metadata=settings.strip_metadata)
    before = out / "pictures" / f"{labels.stem(label)}.before.jpg"
    _small(photo).write(before, quality=90)
    return {
        "output": _relative(target, out),
        "before": _relative(before, out),
        "warning": f"{target.suffix} cannot keep {' or '.join(lost)}" if lost else "",
    }


def write_face(out: Path, label: str, face: FaceResult, photo: Photo, settings: RestoreSettings) -> Values:
    """Write the pictures of a face: cropped, restored, and both side by side.

    Returns:
        Their names, as values of the face's row.

    Raises:
        OutputError: the place cannot be written.
    """
    name = f"{labels.stem(label)}_{face.index:02d}"
    files: dict[str, tuple[Path, Pixels]] = {}
    if face.crop is not None:
        files["cropped"] = (out / CROPPED / f"{name}.png", face.crop)
    if face.crop is not None and face.restored is not None:
        files["restored"] = (out / RESTORED / f"{_suffixed(name, settings)}.png", face.restored)
        files["cmp"] = (out / PAIRS / f"{name}.png", np.hstack([face.crop, face.restored]))
    for path, pixels in files.values():
        Photo.from_array(pixels, metadata=Metadata(icc=photo.metadata.icc)).write(path)
    return {key: _relative(path, out) for key, (path, _) in files.items()}


def face_values(label: str, photo: Photo, face: FaceResult, threshold: float) -> Values:
    """Values of a face's row; what was not measured is left out."""
    values: Values = {
        "photo": label,
        "sha256": photo.sha256,
        "index": face.index,
        "size": round(float(face.face.size), 1),
        "weight": face.weight,
        **face.face.to_dict(),
    }
    if face.status == "done":
        values |= {
            "identity": face.identity,
            "identity_limit": threshold,
            "same_person": face.same_person,
            "sharpness_before": face.sharpness_before,
            "sharpness_after": face.sharpness_after,
            "w": face.weight_applied,
            "blend": face.blend_applied,
            "warning": "; ".join(face.warnings),
        }
    return values


def photo_values(photo: Photo, restoration: Restoration) -> Values:
    """Values of a photo's row."""
    return {
        "input": photo.path.name if photo.path else "",
        "sha256": photo.sha256,
        "width": photo.width,
        "height": photo.height,
        "output_width": restoration.photo.width,
        "output_height": restoration.photo.height,
        "format": photo.format,
        "faces": len(restoration.faces),
        "restored_faces": sum(face.status == "done" for face in restoration.faces),
    }


def photo_remark(restoration: Restoration) -> str:
    """What to say of a photo beside its numbers: why a part of it failed, or that nothing was found."""
    failed = restoration.failed
    if failed:
        return f"{len(failed)} of {len(restoration.faces)} faces failed: {failed[0].reason}"
    return "" if restoration.faces else NO_FACE


def _small(photo: Photo) -> Photo:
    """A copy for pages: opaque on white, 8 bits, at most 1600 px."""
    ratio = min(1.0, _BEFORE_SIDE / max(photo.width, photo.height))
    pixels, alpha = photo.pixels, photo.alpha
    if alpha is not None:
        pixels = pixels * alpha[..., None] + (1 - alpha[..., None])
    pixels = resize(pixels, max(1, round(photo.width * ratio)), max(1, round(photo.height * ratio)))
    return dataclasses.replace(photo, pixels=pixels, alpha=None, bits=8, metadata=Metadata(icc=photo.metadata.icc))


def _suffixed(name: str, settings: RestoreSettings) -> str:
    return f"{name}_{settings.suffix}" if settings.suffix else name


def _relative(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix()
