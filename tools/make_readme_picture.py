"""Draw docs/images/pair.jpg: parts of the sample photos before and after, with each face's score.

python tools/make_readme_picture.py
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import facefort
from facefort import samples
from facefort.files import write_bytes
from facefort.pictures.photo import Photo

TARGET = Path(__file__).parent.parent / "docs" / "images" / "pair.jpg"
SIDE, GAP, MARGIN, CAPTION = 230, 8, 18, 34
# photo, index of the face among those found from left to right
SHOWN = (("yearbook", 0), ("yearbook", 2), ("video-call", 0), ("video-call", 1), ("yearbook", 4))


def window(face: facefort.Face, photo: Photo) -> tuple[slice, slice]:
    """A square around a face, inside the photo."""
    half = 0.95 * face.size
    x, y = face.centre
    left, top = max(0, int(x - half)), max(0, int(y - half))
    right, bottom = min(photo.width, int(x + half)), min(photo.height, int(y + half))
    return slice(top, bottom), slice(left, right)


def square(pixels: np.ndarray) -> Image.Image:
    """A part of a photo at the size of the sheet."""
    shrinks = pixels.shape[0] > SIDE
    resized = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(np.rint(resized * 255), 0, 255).astype(np.uint8))


def main() -> None:
    """Restore, cut, compose, write."""
    photos = {path.stem: path for path in samples.photos()}
    sheet = Image.new(
        "RGB",
        (2 * MARGIN + len(SHOWN) * SIDE + (len(SHOWN) - 1) * GAP, 2 * MARGIN + 2 * SIDE + GAP + CAPTION),
        (250, 249, 246),
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    restored = {name: facefort.restore(photos[name]) for name in {name for name, _ in SHOWN}}
    for column, (name, index) in enumerate(SHOWN):
        before, result = Photo.read(photos[name]), restored[name]
        face = sorted(result.faces, key=lambda found: found.face.centre[0])[index]
        rows, columns = window(face.face, before)
        x = MARGIN + column * (SIDE + GAP)
        sheet.paste(square(before.pixels[rows, columns]), (x, MARGIN))
        sheet.paste(square(result.photo.pixels[rows, columns]), (x, MARGIN + SIDE + GAP))
        words = f"same person: {face.same_person}"
        pen.text((x, MARGIN + 2 * SIDE + GAP + 10), words, (40, 40, 40), font)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=88)
    write_bytes(TARGET, stream.getvalue())


if __name__ == "__main__":
    main()
