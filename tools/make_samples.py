"""Draw the pictures that come with the package: 16 faces and 3 whole photos of people who do not exist.

    python tools/make_samples.py [FOLDER]

FOLDER is src/facefort/samples by default. Every face comes from the carried generator, every stain and grain from a
fixed seed. The files come out equal to the byte under the same libraries and OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facefort.files import write_bytes
from facefort.models.prior import prior

Picture: TypeAlias = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
Mask: TypeAlias = NDArray[np.float32]  # (H, W, 1) in [0, 1]

SAMPLES = Path(__file__).parent.parent / "src" / "facefort" / "samples"

# Chosen by eye for their variety, among the seeds from 9000 that no other collection of the project uses.
FACES = (9000, 9010, 9014, 9023, 9027, 9040, 9043, 9077, 9083, 9089, 9103, 9137, 9147, 9167, 9170, 9185)
SITTER = 9015
CLASS = {9084: "P. HALE", 9165: "R. MARLOW", 9114: "D. ANSARI", 9101: "C. WREN", 9160: "T. BECK", 9199: "L. ORTEGA"}
CALLERS = {9057: "Mara", 9099: "Joel"}


def main() -> None:
    """Draw and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    folder = parser.parse_args().folder
    for seed in FACES:
        write_bytes(folder / "faces" / f"{seed}.webp", encoded(portrait(seed, 256), "webp", 90))
    write_bytes(folder / "photos" / "old-print.jpg", encoded(old_print(), "jpeg", 72))
    write_bytes(folder / "photos" / "yearbook.jpg", encoded(yearbook(), "jpeg", 55))
    write_bytes(folder / "photos" / "video-call.jpg", encoded(video_call(), "jpeg", 30))


# The photos


def old_print() -> Picture:
    """A studio portrait of a hundred years ago, mounted on card, faded, soft and scratched; 900 x 1200."""
    rng = np.random.default_rng(1)
    card = blank(1200, 900, (0.80, 0.76, 0.67))
    face = stretched(grey(soft_focus(portrait(SITTER, 1024)[:, 112:912], 2.6)), 0.05, 0.90)
    face = vignette(shrunk(face, 700, 896), 0.6)
    card[88 : 96 + 896 + 8, 92 : 100 + 700 + 8] = 0.93
    blend(card, face, rounded(896, 700, 14), top=96, left=100)
    write(card, "Aldous & Daughters", (450, 1075), 44, ink=0.34)
    write(card, "PORTRAITS  ·  HARBOUR STREET", (450, 1124), 20, ink=0.38)
    mounted = sepia(card)
    mounted = clipped(mounted + stains(mounted, rng, 0.07, 180) + grain(mounted, rng, 0.022, 0.8))
    scratches(mounted, rng, count=9)
    return vignette(mounted, 0.3)


def yearbook() -> Picture:
    """A scanned page with two large and four small portraits, printed on yellowed paper; 1200 x 900."""
    rng = np.random.default_rng(2)
    page = blank(900, 1200, (0.95, 0.93, 0.88))
    places = ((402, 270, 290), (822, 270, 290), (216, 662, 190), (480, 662, 190), (744, 662, 190), (1008, 662, 190))
    for (seed, name), (x, y, side) in zip(CLASS.items(), places, strict=True):
        face = grey(shrunk(portrait(seed, 512), side, side))
        top, left = y - side // 2, x - side // 2
        page[top - 2 : top + side + 2, left - 2 : left + side + 2] = 0.25
        page[top : top + side, left : left + side] = 0.06 + 0.86 * face
        write(page, name, (x, y + side // 2 + 24), 21, ink=0.2)
    write(page, "CLASS OFFICERS", (612, 78), 38, ink=0.15)
    write(page, "SENIORS", (612, 518), 38, ink=0.15)
    write(page, "47", (1090, 842), 22, ink=0.3)
    scan = coarse(turned(page, 0.9, (0.95, 0.93, 0.88)), 0.5)
    scan = scan * np.array((1.0, 0.965, 0.87), np.float32) + stains(scan, rng, 0.05, 220)
    scan = scan * (1 - 0.45 * gutter(scan)) + grain(scan, rng, 0.016, 0.7)
    return clipped(scan)


def video_call() -> Picture:
    """A small screenshot of a call between two people, compressed hard; 480 x 288."""
    rng = np.random.default_rng(3)
    screen = blank(576, 960, (0.11, 0.12, 0.14))
    for column, (seed, name) in enumerate(CALLERS.items()):
        tile = shrunk(portrait(seed, 512), 456, 456)
        tile = clipped(tile + grain(tile, rng, 0.02, 1.5))
        left = 16 + column * 472
        blend(screen, tile, rounded(456, 456, 18), top=16, left=left)
        write(screen, name, (left + 58, 446), 26, ink=1.0)
    for i, colour in enumerate(((0.3, 0.32, 0.36), (0.3, 0.32, 0.36), (0.85, 0.22, 0.2), (0.3, 0.32, 0.36))):
        cv2.circle(screen, (360 + 80 * i, 524), 26, colour, -1, cv2.LINE_AA)
    # The call's own stream was smaller than the screen.
    return coarse(shrunk(screen, 480, 288), 0.48)


# Their parts


def portrait(seed: int, side: int) -> Picture:
    """The generated face of a seed."""
    face: Picture = prior().draw([seed], side)[0].permute(1, 2, 0).contiguous().numpy()
    return face


def blank(height: int, width: int, colour: Sequence[float]) -> Picture:
    """A picture of one colour."""
    return np.tile(np.array(colour, np.float32), (height, width, 1))


def blend(picture: Picture, patch: Picture, mask: Mask, top: int, left: int) -> None:
    """Lay ``patch`` into ``picture`` where ``mask`` is 1."""
    part = picture[top : top + patch.shape[0], left : left + patch.shape[1]]
    part[:] = part * (1 - mask) + patch * mask


def rounded(height: int, width: int, radius: int) -> Mask:
    """A rectangle with round corners."""
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), radius, fill=255)
    return clipped(np.asarray(mask)[..., None] / 255)


def write(picture: Picture, text: str, centre: tuple[int, int], size: int, ink: float) -> None:
    """Print a line of text in place."""
    height, width = picture.shape[:2]
    layer = Image.new("L", (width, height))
    ImageDraw.Draw(layer).text(centre, text, fill=255, anchor="mm", font=ImageFont.load_default(size))
    mask = np.asarray(layer, np.float32)[..., None] / 255
    picture[:] = picture * (1 - mask) + ink * mask


# What time and machines do to them


def grey(picture: Picture) -> Picture:
    """Lightness in all three channels, as old emulsions saw it: red counts little."""
    return np.repeat(picture @ np.array((0.2, 0.55, 0.25), np.float32)[:, None], 3, axis=2)


def sepia(picture: Picture) -> Picture:
    """A faded brown print: dark brown shadows, cream lights."""
    dark = np.array((0.20, 0.13, 0.08), np.float32)
    light = np.array((1.0, 0.95, 0.82), np.float32)
    return clipped(dark + (light - dark) * picture.mean(axis=2, keepdims=True) ** 1.1)


def soft_focus(picture: Picture, sigma: float) -> Picture:
    """An old lens: blur with a little glow."""
    sharp, glow = cv2.GaussianBlur(picture, (0, 0), sigma), cv2.GaussianBlur(picture, (0, 0), 6 * sigma)
    return clipped(0.85 * sharp + 0.15 * glow)


def stretched(picture: Picture, dark: float, light: float) -> Picture:
    """Exposed well: the darkest and the lightest hundredth of the pixels become ``dark`` and ``light``."""
    low, high = np.percentile(picture, (1, 99))
    return clipped(dark + (light - dark) * (picture - low) / (high - low))


def shrunk(picture: Picture, width: int, height: int) -> Picture:
    """Averaged down to a size."""
    return clipped(np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32))


def coarse(picture: Picture, factor: float) -> Picture:
    """Without the detail that is lost on the way down by ``factor`` and back."""
    height, width = picture.shape[:2]
    small = shrunk(picture, round(factor * width), round(factor * height))
    return clipped(np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32))


def turned(picture: Picture, degrees: float, colour: Sequence[float]) -> Picture:
    """A page that lay a little askew."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height), borderValue=colour), np.float32)


def grain(picture: Picture, rng: np.random.Generator, sigma: float, size: float) -> Picture:
    """Grey noise whose grains measure about ``size`` pixels."""
    noise = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2], np.float32), (0, 0), size)
    return np.asarray(sigma / noise.std() * noise, np.float32)[..., None]


def stains(picture: Picture, rng: np.random.Generator, depth: float, size: int) -> Picture:
    """Clouds of yellowing, ``size`` pixels wide."""
    clouds = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2], np.float32), (0, 0), size / 4)
    clouds = np.clip(clouds / clouds.std(), 0, 2)[..., None]
    return np.asarray(-depth / 2 * clouds * np.array((0.35, 0.6, 1.0)), np.float32)


def scratches(picture: Picture, rng: np.random.Generator, count: int) -> None:
    """Fine light scratches and specks, in place."""
    height, width = picture.shape[:2]
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        steps = np.cumsum(rng.normal((rng.normal(0, 2), 6), 1.2, (rng.integers(15, 60), 2)), axis=0)
        line = np.rint(steps + np.array((x, y))).astype(np.int32)
        cv2.polylines(picture, [line], False, (0.86, 0.82, 0.72), 1, cv2.LINE_AA)
    for x, y in rng.uniform(0, (width, height), (40, 2)).astype(int).tolist():
        cv2.circle(picture, (x, y), int(rng.integers(1, 3)), (0.88, 0.84, 0.75), -1, cv2.LINE_AA)


def vignette(picture: Picture, depth: float) -> Picture:
    """Darker towards the corners."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return clipped(picture * (1 - depth * np.clip(np.hypot(x, y) - 0.55, 0, 1) ** 2)[..., None])


def gutter(picture: Picture) -> Mask:
    """The shadow of a book's binding along the left edge."""
    x = np.arange(picture.shape[1], dtype=np.float32)
    return clipped(np.exp(-x / 38))[None, :, None]


def clipped(values: NDArray[np.floating]) -> Picture:
    """Float32 within [0, 1]."""
    return np.asarray(np.clip(values, 0, 1), np.float32)


def encoded(picture: Picture, kind: str, quality: int) -> bytes:
    """The picture as a file."""
    stream = io.BytesIO()
    Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(stream, kind, quality=quality)
    return stream.getvalue()


if __name__ == "__main__":
    main()
