"""How far a face's landmarks have moved: LMD, with the 468 points of MediaPipe's face mesh.

Papers measure it with the 98 points of AWing (Wang et al. 2019), by a network that no package carries; its numbers have
the same unit, but are not comparable with these.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facefort.faces.landmarks import mesh
from facefort.metrics.metric import Metric
from facefort.models.judges.chips import SMALLEST

UNIT = 512
"""Side in pixels of the face that the distance refers to."""


def landmark_distance(pictures: Tensor, reference: Tensor) -> Tensor:
    """Mean distance between the 468 points of two faces in pixels of a face of 512 px, (N,) float64; no gradient."""
    scale = UNIT / pictures.shape[-1]
    found = [
        float(np.linalg.norm(mesh(picture) - mesh(other), axis=1).mean()) * scale
        for picture, other in zip(_crops(pictures), _crops(reference), strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64, device=pictures.device)


def _crops(pictures: Tensor) -> np.ndarray:
    return pictures.detach().float().permute(0, 2, 3, 1).cpu().numpy()


LMD_468 = Metric(
    name="lmd-468",
    direction="lower",
    range=(0.0, float("inf")),
    needs_reference=True,
    variant="mean L2 distance of the 468 points of MediaPipe Face Mesh, in pixels of an FFHQ-aligned face of 512 px",
    reference="the definition on points of the published network under OpenCV; not the 98 points of AWing",
    compute=landmark_distance,
    unit="px",
    differentiable=False,
    smallest=SMALLEST,
    needs_face=True,
)
