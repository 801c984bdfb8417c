"""Does a protected photo spoil what a manipulator makes of it? ID-Guard's measures (arXiv 2409.13349).

Both pictures of a pair are *outputs* of the manipulator: for the protected and for the unprotected photo. The paper
works on the range [-1, 1]; facefort's pictures are in [0, 1], so squared differences are multiplied by 4 here, and the
threshold of 0.05 is the paper's.
"""

from __future__ import annotations

from torch import Tensor

from facefort.errors import PictureError
from facefort.metrics.security.checks import check_pictures, check_scores
from facefort.metrics.statistics import Proportion, wilson
from facefort.models.judges.chips import Layout
from facefort.models.judges.identity import recogniser

L2_THRESHOLD = 0.05
"""l2-mask above which a manipulation counts as visibly disrupted, on the range [-1, 1]."""
ID_THRESHOLD = 0.4
"""id-sim below which the manipulated face counts as somebody else."""

_RANGE = 2.0


def l2_mask(disrupted: Tensor, manipulated: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over the face, on the range [-1, 1], (N,); differentiable.

    Equation 13 of the paper: the mask's own area is the denominator, channels are averaged. Outputs are not clipped.

    Args:
        disrupted: the manipulator's output for the protected photo, (N, 3, H, W), nominally [0, 1].
        manipulated: its output for the unprotected photo.
        mask: (N, 1, H, W) in [0, 1], the face in the *input*. The paper fills the outline of dlib's 68 landmarks;
            :func:`facefort.faces.regions.region_masks` has a "face" from a denser mesh.

    Raises:
        PictureError: sizes that differ, or a picture whose face is masked away: leave it out and count it.
    """
    check_pictures("l2-mask", disrupted, manipulated)
    wanted = (len(disrupted), 1, *disrupted.shape[2:])
    if tuple(mask.shape) != wanted:
        raise PictureError(f"l2-mask needs masks of shape {wanted}, not {tuple(mask.shape)}")
    area = mask.to(disrupted).flatten(1).sum(1)
    empty = (area <= 0).nonzero().flatten().tolist()
    if empty:
        raise PictureError(
            f"the face is masked away in picture {', '.join(map(str, empty))} of the batch; leave it out and count it "
            "as left_out"
        )
    error = ((disrupted - manipulated.to(disrupted)) * _RANGE).square().mean(1, keepdim=True)
    return (error * mask.to(error)).flatten(1).sum(1) / area


def identity_similarity(
    disrupted: Tensor, manipulated: Tensor, name: str = "arcface-mbf", layout: Layout = "ffhq"
) -> Tensor:
    """Cosine of the recogniser's embeddings of both outputs, (N,) in [-1, 1]; differentiable.

    ID-Guard takes ArcFace IR-SE50 and squeezes the whole 256 px picture into the chip (``layout="arcface"`` does the
    same here); its numbers and its threshold hold for that network. ``arcface-mbf`` is trained with the same loss but
    is another network, and ``dlib``'s embeddings are made for Euclidean distances: name the recogniser with the number.

    Args:
        disrupted: the manipulator's output for the protected photo, (N, 3, S, S), S >= 64.
        manipulated: its output for the unprotected photo.
        name: `facefort ls recognisers`.
        layout: how the faces are aligned.

    Raises:
        PictureError: not square, sizes that differ.
        WeightsError: the recogniser's weights have not been fetched.
    """
    check_pictures("id-sim", disrupted, manipulated)
    judge = recogniser(name).to(disrupted.device)
    a, b = judge(disrupted.float(), layout), judge(manipulated.to(disrupted).float(), layout)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-12)


def disrupted_pictures(l2: Tensor, similarity: Tensor | None) -> Tensor:
    """Which manipulations are disrupted, (N,) bool: l2-mask above 0.05 *and* id-sim below 0.4.

    Args:
        l2: of :func:`l2_mask`.
        similarity: of :func:`identity_similarity`; None asks for l2-mask alone, as the works before ID-Guard do.
    """
    if similarity is None:
        check_scores("dsr-l2", l2)
        return l2 > L2_THRESHOLD
    check_scores("dsr", l2, similarity)
    return (l2 > L2_THRESHOLD) & (similarity.to(l2) < ID_THRESHOLD)


def disruption_success_rate(l2: Tensor, similarity: Tensor | None, *, left_out: int = 0) -> Proportion:
    """DSR: share of manipulations that are disrupted; without similarities it is the weaker dsr-l2.

    Args:
        l2: l2-mask of every judged picture, (N,).
        similarity: id-sim of the same pictures, or None.
        left_out: pictures without a usable face mask.
    """
    hits = disrupted_pictures(l2, similarity)
    return wilson(int(hits.sum()), len(hits), left_out=left_out)
