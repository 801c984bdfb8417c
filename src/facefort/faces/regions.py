"""Named regions of an aligned face, as masks.

Eyes, brows, nose, mouth and face are polygons of the 468-point mesh; skin is the face without the parts. Hair is an
estimate from colour and place (the mesh ends at the forehead), good on hair that differs from what is behind it; on a
bald head, a hat or hair in front of equally dark ground it is wrong, and background with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facefort.errors import UnknownNameError
from facefort.faces import landmarks as mesh

REGIONS = ("full", "face", "eyes", "brows", "nose", "mouth", "skin", "hair", "background")

_PARTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "face": (mesh.OVAL,),
    "eyes": (mesh.LEFT_EYE, mesh.RIGHT_EYE),
    "brows": (mesh.LEFT_BROW, mesh.RIGHT_BROW),
    "nose": (mesh.NOSE,),
    "mouth": (mesh.LIPS,),
}
# The mesh hugs the lid and the lip line; a few pixels more hold the lashes and the lip's edge.
_GROWTH = {"eyes": 0.02, "brows": 0.008, "nose": 0.0, "mouth": 0.012, "face": 0.0}
_HAIR_SIDE = 128


def region_masks(crop: np.ndarray, names: Sequence[str] = REGIONS) -> dict[str, np.ndarray]:
    """Masks of an aligned face.

    Args:
        crop: (S, S, 3) float RGB in [0, 1], one face aligned to the FFHQ template.
        names: which of :data:`REGIONS`.

    Returns:
        name -> (S, S) float32 of zeros and ones.

    Raises:
        UnknownNameError: a name that is no region.
        WeightsError: the asset "facemesh" has not been fetched.
    """
    for name in names:
        if name not in REGIONS:
            raise UnknownNameError("region", name, REGIONS)
    size = crop.shape[0]
    points = mesh.mesh(crop)
    masks = {name: _filled(points, polygons, size, _GROWTH[name]) for name, polygons in _PARTS.items()}
    masks["full"] = np.ones((size, size), np.float32)
    parts = np.maximum.reduce([masks[name] for name in ("eyes", "brows", "nose", "mouth")])
    masks["skin"] = masks["face"] * (1 - parts)
    if {"hair", "background"} & set(names):
        masks["hair"] = _hair(crop, points) * (1 - masks["face"])
        masks["background"] = 1 - np.maximum(masks["face"], masks["hair"])
    return {name: masks[name] for name in names}


PARTS = ("background", "skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip", "hair")
"""Classes of :func:`part_labels`; left and right as seen in the picture."""

_LABELLED: dict[str, tuple[tuple[int, ...], str]] = {
    "nose": (mesh.NOSE, "nose"),
    "l_brow": (mesh.LEFT_BROW, "brows"),
    "r_brow": (mesh.RIGHT_BROW, "brows"),
    "l_eye": (mesh.LEFT_EYE, "eyes"),
    "r_eye": (mesh.RIGHT_EYE, "eyes"),
    "mouth": (mesh.LIPS, "nose"),
    "u_lip": (mesh.UPPER_LIP, "nose"),
    "l_lip": (mesh.LOWER_LIP, "nose"),
}


def part_labels(crop: np.ndarray) -> np.ndarray:
    """The facial part that each pixel of an aligned face shows, as a parser is taught it.

    Args:
        crop: (S, S, 3) float RGB in [0, 1], one face aligned to the FFHQ template.

    Returns:
        (S, S) uint8, numbers of :data:`PARTS`.

    Raises:
        WeightsError: the asset "facemesh" has not been fetched.
    """
    points = mesh.mesh(crop)
    face = _filled(points, (mesh.OVAL,), crop.shape[0], 0.0) > 0
    labels = np.zeros(crop.shape[:2], np.uint8)
    labels[face | _forehead(points, crop.shape[0])] = PARTS.index("skin")
    labels[(_hair(crop, points) > 0) & ~face] = PARTS.index("hair")
    for name, (polygon, growth) in _LABELLED.items():
        labels[_filled(points, (polygon,), crop.shape[0], _GROWTH[growth]) > 0] = PARTS.index(name)
    return labels


def _forehead(points: np.ndarray, size: int) -> np.ndarray:
    """Where skin can be above the mesh, which ends below the hairline: the upper half of an ellipse."""
    oval = points[list(mesh.OVAL)]
    (left, top), (right, bottom) = oval.min(0), oval.max(0)
    mask = np.zeros((size, size), np.uint8)
    centre = (float((left + right) / 2), float(top + 0.35 * (bottom - top)))
    cv2.ellipse(mask, (centre, (float(0.96 * (right - left)), float(1.1 * (bottom - top))), 0.0), 1, -1)
    mask[round(centre[1]) :] = 0
    return mask > 0


def _filled(points: np.ndarray, polygons: Sequence[Sequence[int]], size: int, growth: float) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    for polygon in polygons:
        # Four bits of sub-pixel precision.
        corners = np.round(points[list(polygon)] * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1, shift=4)
    reach = round(growth * size)
    if reach:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        return cv2.dilate(mask, disc).astype(np.float32)
    return mask.astype(np.float32)


def _hair(crop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Hair by GrabCut, seeded above the forehead, bounded by a zone around the head."""
    size = crop.shape[0]
    scale = _HAIR_SIDE / size
    small = cv2.resize(crop, (_HAIR_SIDE, _HAIR_SIDE), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    picture = np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)
    small_points = points * np.float32(scale)
    face = _filled(small_points, (mesh.OVAL,), _HAIR_SIDE, 0.0) > 0
    oval = small_points[list(mesh.OVAL)]
    (left, top), (right, bottom) = oval.min(0), oval.max(0)
    width, height, middle = right - left, bottom - top, (left + right) / 2

    def ellipse(centre_y: float, across: float, down: float) -> np.ndarray:
        mask = np.zeros((_HAIR_SIDE, _HAIR_SIDE), np.uint8)
        cv2.ellipse(mask, ((float(middle), float(centre_y)), (float(across), float(down)), 0.0), 1, -1)
        return mask > 0

    zone = ellipse(top + 0.35 * height, 2.1 * width, 2.4 * height)
    near = ellipse(top + 0.28 * height, 1.25 * width, 1.55 * height)
    crown = ellipse(top + 0.3 * height, 1.1 * width, 1.35 * height)
    crown &= ~ellipse(top + 0.4 * height, width, 1.25 * height)
    rows = np.arange(_HAIR_SIDE)[:, None]
    labels = np.where(zone, np.where(near, cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD).astype(np.uint8)
    labels[crown & (rows < top + 0.1 * height)] = cv2.GC_FGD
    labels[face] = cv2.GC_BGD
    labels[np.broadcast_to(rows > bottom, labels.shape) & ~zone] = cv2.GC_BGD
    if not (labels == cv2.GC_FGD).any():
        return np.zeros((size, size), np.float32)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, labels, (0, 0, 1, 1), *models, 4, cv2.GC_INIT_WITH_MASK)
    hair = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    cleaned = cv2.morphologyEx(hair, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    grown = cv2.resize(cleaned.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return (grown > 0.5).astype(np.float32)
