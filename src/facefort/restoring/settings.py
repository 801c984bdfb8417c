"""Settings of a restoration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facefort import config
from facefort.config import option
from facefort.errors import UsageError
from facefort.models import zoo
from facefort.pictures.formats import MAX_PIXELS

if TYPE_CHECKING:
    from facefort.faces.face import Box


@dataclass(frozen=True)
class RestoreSettings:
    """What is restored, by which model, and how."""

    inputs: tuple[str, ...] = option("photos, folders, patterns, or - for a list on standard input", ())
    model: str = option("name of a restorer, or path of a checkpoint", zoo.DEFAULT, flags=("-m",))
    weight: float = option(
        "share of the identity gap to close: 0 is the model's own picture, 1 keeps the face as it was",
        0.0,
        flags=("-w",),
        low=0,
        high=1,
    )
    keep_identity: bool = option(
        "blend in as much of the input as it takes for the same person to be recognised", False
    )
    scale: float = option("enlarge the photo by this factor (Lanczos), faces in it restored", 1.0, flags=("-s",), low=1)
    aligned: bool = option("the inputs are aligned faces, not photos", False, flags=("--has-aligned",))
    only_center_face: bool = option("restore the face nearest to the centre of the photo only", False)
    faces: str | None = option("face list (a faces.json of an earlier run, edited) to use", None, metavar="FILE")
    box: str | None = option(
        "where the face is, for one photo: left, top, width, height in pixels", None, metavar="X,Y,W,H"
    )
    draw_box: bool = option("draw the box and number of each face into the restored photo", False)
    detector: str = option("face detector; `facefort ls detectors` lists them", "centerface")
    threshold: float | None = option("score above which a detection counts as a face", None, low=0, high=1)
    min_face: float = option("smallest face to restore, in pixels of the photo", 20.0, low=1)
    suffix: str = option("ending of the names of restored pictures", "")
    ext: str = option(
        "format of restored photos; auto is the input's", "auto", choices=("auto", "png", "jpg", "webp", "tiff")
    )
    strip_metadata: bool = option("leave EXIF and XMP out of restored photos", False)
    max_pixels: int = option("refuse larger photos", MAX_PIXELS, low=1)
    batch: int = option("faces at a time; what fits into memory", 8, low=1)
    limit: int | None = option("restore only the first photos", None, low=1)
    seed: int = option("seed of models that draw noise", 0)
    device: str = option("device", "auto")
    precision: str = option("arithmetic of the restorer", "auto", choices=("auto", "fp32", "bf16"))
    backend: str = option(
        "library that computes the restorer; auto takes the fastest whose pictures are float32's",
        "auto",
        choices=("auto", "torch", "openvino"),
    )


_NOT_IN_RESULT = ("inputs", "max_pixels", "batch", "limit")
"""Settings that decide what is worked on, and how fast, but not what a photo becomes."""


def canonical(settings: RestoreSettings) -> dict[str, Any]:
    """The settings that decide what a photo becomes, as plain values: a run goes on only under equal ones."""
    return {key: value for key, value in config.to_plain(settings).items() if key not in _NOT_IN_RESULT}


def parse_box(text: str) -> Box:
    """Corners of a box that is given as "left,top,width,height" in pixels.

    Raises:
        UsageError: not four numbers, or an empty box.
    """
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--box takes left,top,width,height in pixels, such as 120,80,200,240, not '{text}'") from None
    if not (width > 0 and height > 0):
        raise UsageError(f"--box {text} is empty; its width and height must be above 0")
    return x, y, x + width, y + height


def check(settings: RestoreSettings) -> RestoreSettings:
    """Refuse settings that are fine one by one, but not together.

    Raises:
        UsageError: the message names both.
    """
    places = {"--aligned": settings.aligned, "--faces": settings.faces is not None, "--box": settings.box is not None}
    given = [flag for flag, is_given in places.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} each say where the faces are; choose one")
    if settings.only_center_face and given:
        raise UsageError(f"--only-center-face chooses among faces that are found, and {given[0]} says where they are")
    if settings.box is not None:
        parse_box(settings.box)
    if any(sign in settings.suffix for sign in "/\\"):
        raise UsageError(f"--suffix is the end of a file name, and '{settings.suffix}' is a path")
    return settings
