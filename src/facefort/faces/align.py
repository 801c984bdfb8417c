"""Alignment to the FFHQ template: the similarity that brings five landmarks to where networks expect them.

Template: the mean five points of FFHQ at 512 px, as facexlib publishes them. A face aligned to S pixels has the
template scaled by S / 512.
"""

from __future__ import annotations

import cv2
import numpy as np

from facefort.errors import FaceError

TEMPLATE_512 = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.19360],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ],
    np.float32,
)

# What lies outside the photo: the grey that the published restorers were shown there, as RGB in [0, 1].
_BORDER = (132 / 255, 133 / 255, 135 / 255)


def template(size: int) -> np.ndarray:
    """The five template points, (5, 2) float32, for an aligned face of ``size`` pixels."""
    # Pixel centres: the middle of the picture stays the middle at every size.
    return (TEMPLATE_512 + 0.5) * np.float32(size / 512) - 0.5


def alignment(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The similarity from the photo to the aligned face, 2 x 3 float64.

    Least squares over the five points after least-median-of-squares has had its say: one bad point (a mouth corner
    behind a hand) does not turn the face.

    Args:
        landmarks: (5, 2) in pixels of the photo.
        size: side of the aligned face.

    Raises:
        FaceError: the points coincide or are no numbers.
    """
    points = np.asarray(landmarks, np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all() or np.ptp(points, axis=0).max() < 1:
        raise FaceError("the five landmarks of this face make no sense; mark it again with --box x,y,w,h")
    matrix, _ = cv2.estimateAffinePartial2D(points, template(size), method=cv2.LMEDS)
    if matrix is None or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-9:
        raise FaceError("the five landmarks of this face make no sense; mark it again with --box x,y,w,h")
    return matrix


def from_box(box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """The upright similarity that shows a box (x0, y0, x1, y1) as detectors draw it in an aligned face of ``size``."""
    return alignment(landmarks_in_box(box), size)


def landmarks_in_box(box: tuple[float, float, float, float]) -> np.ndarray:
    """Where the five points of an upright face lie in a detector's box (x0, y0, x1, y1), on average."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    # In the template a detector's box is 0.56 of the aligned side, its centre a little below the middle.
    scale = side / (0.56 * 512)
    offset = np.array([(x0 + x1) / 2 - 256 * scale, (y0 + y1) / 2 - 288 * scale], np.float32)
    return TEMPLATE_512 * np.float32(scale) + offset


def crop(pixels: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """The aligned face, (size, size, 3) float32, of a photo (H, W, 3).

    A face larger than ``size`` is averaged, not sampled: the window around it is shrunk by areas first.
    """
    shrink = 1 / float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    x0, y0, x1, y1 = window(matrix, size, pixels.shape[1], pixels.shape[0], margin=2 + round(2 * shrink))
    if x1 <= x0 or y1 <= y0:
        return np.full((size, size, 3), _BORDER, np.float32)
    part = pixels[y0:y1, x0:x1]
    shifted = matrix @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1]], np.float64)
    if shrink > 1.5:
        width, height = max(1, round(part.shape[1] / shrink)), max(1, round(part.shape[0] / shrink))
        zoom = np.array([part.shape[1] / width, part.shape[0] / height])
        part = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
        shifted = shifted @ np.array([[zoom[0], 0, (zoom[0] - 1) / 2], [0, zoom[1], (zoom[1] - 1) / 2], [0, 0, 1]])
    return cv2.warpAffine(
        part, shifted, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_BORDER
    )


def window(matrix: np.ndarray, size: int, width: int, height: int, margin: int = 0) -> tuple[int, int, int, int]:
    """The part x0, y0, x1, y1 of a photo that an aligned face covers, cut to the photo."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]], np.float64) @ inverse.T
    low = np.floor(corners.min(0)).astype(int) - margin
    high = np.ceil(corners.max(0)).astype(int) + 1 + margin
    return max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1]))
