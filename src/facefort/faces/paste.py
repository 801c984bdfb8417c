"""Putting a restored face back into its photo: soft border, the photo's own colour and light, untouched elsewhere."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from facefort.faces.align import window

# Low frequencies up to this share of the side come from the photo: skin tone, light and shade of the scene.
_COLOUR_BLUR = 1 / 7
_COLOUR_SIDE = 64


@functools.lru_cache(maxsize=8)
def feather_mask(size: int) -> np.ndarray:
    """The mask of an aligned face, (size, size) float32: 1 over the face and hair, falling smoothly to 0.

    An ellipse rather than a square, so that no straight edge can show; it is 0 on the border of the crop.
    """
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(line, line)
    radius = np.sqrt(((x - 0.5) / 0.49) ** 2 + ((y - 0.51) / 0.485) ** 2)
    ramp = np.clip((1 - radius) / 0.28, 0, 1)
    mask = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    mask.setflags(write=False)
    return mask


def keep_colour(restored: np.ndarray, original: np.ndarray) -> np.ndarray:
    """The restored crop with the low frequencies of the original one; both (S, S, 3) float32 RGB."""
    size = restored.shape[0]
    # What is kept is smooth, and a small picture holds it.
    side = min(size, _COLOUR_SIDE)
    change = cv2.resize(original - restored, (side, side), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(change, (0, 0), side * _COLOUR_BLUR, borderType=cv2.BORDER_REPLICATE)
    return restored + cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR)


def paste(
    pixels: np.ndarray,
    restored: np.ndarray,
    matrix: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    before: np.ndarray | None = None,
) -> None:
    """Blend a restored face into a photo, in place.

    Only the window that the face covers is read and written; a pixel where the mask is 0 keeps its exact value.

    Args:
        pixels: the photo, (H, W, 3) float32 RGB in [0, 1]; changed in place.
        restored: (S, S, 3) float32 RGB in [0, 1].
        matrix: similarity from the photo to the aligned face, 2 x 3, as :func:`facefort.faces.align.alignment` gives.
        mask: (S, S) float32 in [0, 1]; default :func:`feather_mask`.
        before: the crop as the network was shown it. With it, what restoring changed is added, rather than what it drew
            laid over: detail finer than the crop, which no network has seen, stays the photo's own. For a face that is
            larger in the photo than its crop.
    """
    size = restored.shape[0]
    mask = feather_mask(size) if mask is None else mask
    x0, y0, x1, y1 = window(matrix, size, pixels.shape[1], pixels.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    to_photo = cv2.invertAffineTransform(matrix)
    to_photo[:, 2] -= (x0, y0)
    drawn = restored if before is None else restored - before
    face = _warped(drawn, to_photo, (x1 - x0, y1 - y0), cv2.INTER_CUBIC)
    share = _warped(mask, to_photo, (x1 - x0, y1 - y0), cv2.INTER_LINEAR)[..., None]
    part = pixels[y0:y1, x0:x1]
    # In place, and where the share is 0 exactly nothing is added.
    if before is None:
        face -= part
    face *= share
    part += face
    np.clip(part, 0, 1, out=part)


def _warped(picture: np.ndarray, matrix: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """Warp with averaging where the picture shrinks; zeros outside a mask, repeated edges outside a face."""
    shrink = 1 / float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink > 1.5:
        side = max(1, round(picture.shape[0] / shrink))
        zoom = picture.shape[0] / side
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        shift = (zoom - 1) / 2
        matrix = matrix @ np.array([[zoom, 0, shift], [0, zoom, shift], [0, 0, 1]])
    border = cv2.BORDER_CONSTANT if picture.ndim == 2 else cv2.BORDER_REPLICATE
    return cv2.warpAffine(picture, matrix, size, flags=interpolation, borderMode=border)
