"""468 facial points of an aligned crop, by MediaPipe's face mesh (Kartynnik et al., 2019).

The network runs under OpenCV; its weights are the asset ``facemesh``.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from facefort import assets

_SIDE = 192
# The mesh was trained on crops in which the face fills more of the picture than in an FFHQ crop. Of the zooms and
# centres tried on 75 aligned faces these agree best with the template (corner error 2.2 % of the side; detector 4.6 %).
_ZOOM = 1.2
_CENTRE = (0.5, 0.6)
_FACE_FLAG = "conv2d_30"

SEEN = 0.05
"""Presence from which a crop counts as showing a face.

It is met by 299 of 300 faces of CelebA, 36 of 37 real low-quality faces, all of 120 generated ones under the mild
degradations and four fifths of them under the harshest (codeformer_s2, vqfr_v2), and by 1 of 450 random crops of
photos and textures without a face (docs/recognisers.md).
"""

LEFT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
RIGHT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
RIGHT_BROW = (336, 296, 334, 293, 300, 276, 283, 282, 295, 285)
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78)
LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78)
NOSE = (168, 193, 245, 188, 174, 217, 209, 49, 129, 64, 98, 97, 2, 326, 327, 294, 278, 429, 437, 399, 412, 465, 417)
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
_NOSE_TIP, _MOUTH_LEFT, _MOUTH_RIGHT = 4, 61, 291


@functools.cache
def _network() -> cv2.dnn.Net:
    return cv2.dnn.readNetFromTFLite(str(assets.path("facemesh")))


def mesh(crop: np.ndarray) -> np.ndarray:
    """The 468 points of an FFHQ-aligned crop.

    Points come out of anything; where :func:`presence` is below :data:`SEEN` they mean nothing.

    Args:
        crop: (S, S, 3) float RGB in [0, 1], one face aligned to the template.

    Returns:
        (468, 2) float32, x and y in pixels of the crop.

    Raises:
        WeightsError: the asset "facemesh" has not been fetched.
    """
    network, scale, offset = _shown(crop)
    points = network.forward().reshape(468, 3)[:, :2]
    return ((points - offset) / scale).astype(np.float32)


def presence(crop: np.ndarray) -> float:
    """How sure the network is that an aligned crop (S, S, 3) shows a face, in [0, 1] (errors as in :func:`mesh`)."""
    network, _, _ = _shown(crop)
    logit = float(network.forward(_FACE_FLAG).item())
    return 1 / (1 + math.exp(-logit))


def _shown(crop: np.ndarray) -> tuple[cv2.dnn.Net, float, np.ndarray]:
    """The network with a crop set as its input, and the scale and offset that lead from the crop there."""
    size = crop.shape[0]
    scale = _SIDE / size * _ZOOM
    offset = _SIDE / 2 - np.array(_CENTRE) * size * scale
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    shrunk = cv2.GaussianBlur(crop, (0, 0), 0.4 / scale) if scale < 0.7 else crop
    seen = cv2.warpAffine(shrunk.astype(np.float32), matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    network = _network()
    network.setInput(seen.transpose(2, 0, 1)[None])
    return network, scale, offset


def five_points(points: np.ndarray) -> np.ndarray:
    """The five template points (5, 2) of a mesh (468, 2): eye centres, nose tip, mouth corners."""
    eyes = [points[list(index)].mean(0) for index in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, points[_NOSE_TIP], points[_MOUTH_LEFT], points[_MOUTH_RIGHT]]).astype(np.float32)
