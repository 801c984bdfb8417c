"""One photo: find the faces, restore them in batches, judge who they are now, put them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from facefort.errors import FaceError, ModelError, PictureError
from facefort.faces.align import alignment, crop
from facefort.faces.detect import Detector
from facefort.faces.face import Face
from facefort.faces.paste import keep_colour, paste
from facefort.models.judges.identity import Recogniser
from facefort.models.restorer import Restorer
from facefort.models.ways import Choice
from facefort.pictures.levels import Pixels
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import round_to_8_bits, to_batch, to_pictures
from facefort.restoring.blend import amount_within, blended
from facefort.restoring.canvas import Matrix, changed_by, draw_boxes, enlarge, enlarged_matrix, is_grey, resize, to_grey
from facefort.restoring.facelist import Entry
from facefort.restoring.plan import Wanted, plan
from facefort.restoring.settings import RestoreSettings
from facefort.restoring.sharpness import sharpness, tells_who
from facefort.runtime import generator

SamePerson = Literal["yes", "no", "unsure"]
Status = Literal["done", "failed", "skipped"]


_LARGER = 1.1
"""How much larger than the model's picture a face may stand in the photo before that is worth a remark."""
_NOTES = {"tiny": "tiny: much of what is drawn is a guess", "cut off": "cut off by the edge of the photo"}
_MARGIN = 1e-3
"""How far below the recogniser's limit --keep-identity aims: embeddings differ a little with the size of a batch."""


@dataclass(frozen=True, eq=False)
class FaceResult:
    """What became of one face.

    Attributes:
        index: its place in the photo's list of faces.
        face: where it is.
        status: "done"; "failed": it stands in the photo as it was, ``reason`` says why; "skipped": the face list or an
            option left it out.
        reason: why it failed or was skipped.
        weight: the face list's own ``-w``, None where it has none.
        crop: (S, S, 3) the model's input; None where the face was not cut out.
        restored: (S, S, 3) what was put into the photo; None unless done, like all that follows.
        identity: the recogniser's distance between both.
        same_person: what that distance says; "unsure" where the input shows too little of a person to say.
        sharpness_before: see :func:`facefort.restoring.sharpness.sharpness`.
        sharpness_after: the same of the restored face.
        weight_applied: share of the identity gap that was closed.
        blend_applied: share of the input in the result that it took.
        warnings: what the user should know, in plain words.
    """

    index: int
    face: Face
    status: Status
    reason: str = ""
    weight: float | None = None
    crop: Pixels | None = None
    restored: Pixels | None = None
    identity: float | None = None
    same_person: SamePerson | None = None
    sharpness_before: float | None = None
    sharpness_after: float | None = None
    weight_applied: float | None = None
    blend_applied: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Restoration:
    """A restored photo.

    Attributes:
        photo: the photo with its faces restored, as large as ``scale`` says.
        faces: every face that was found, listed or drawn, in order.
    """

    photo: Photo
    faces: tuple[FaceResult, ...]

    @property
    def failed(self) -> tuple[FaceResult, ...]:
        """Faces that could not be restored; they stand in the photo as they were."""
        return tuple(face for face in self.faces if face.status == "failed")


@dataclass(frozen=True)
class Tools:
    """The networks of a restoration, loaded once for many photos."""

    restorer: Restorer
    detector: Detector
    judge: Recogniser
    choice: Choice = field(default_factory=Choice)
    """How the restorer is computed, and what else was tried."""


@dataclass(frozen=True, eq=False)
class _Cut:
    """A face that is cut out of the photo, waiting for the model."""

    index: int
    wanted: Wanted
    matrix: Matrix
    crop: Pixels

    @property
    def side(self) -> float:
        """Side of the crop in pixels of the photo."""
        return _side(self.matrix, self.crop.shape[0])

    def failed(self, reason: str) -> FaceResult:
        return FaceResult(self.index, self.wanted.face, "failed", reason, self.wanted.weight, self.crop)


def _side(matrix: Matrix, size: int) -> float:
    """Side of an aligned face of ``size`` pixels, in pixels of the photo."""
    return float(size / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def restore_photo(
    photo: Photo, settings: RestoreSettings, tools: Tools, listed: Sequence[Entry] | None = None
) -> Restoration:
    """Restore the faces of one photo.

    Args:
        photo: the photo.
        settings: how.
        tools: the networks.
        listed: entries of a face list, which replace the detection; None detects.

    Raises:
        PictureError: an aligned face that is not square, a box outside the photo, or an enlarged photo above
            ``settings.max_pixels``.
    """
    _check_size(photo, settings)
    torch.manual_seed(generator(settings.seed, "restore", photo.sha256).initial_seed())  # of models that draw noise
    wanted = plan(photo, settings, tools.detector, listed)
    cuts, results = _cut_out(photo, wanted, tools.restorer.size)
    for start in range(0, len(cuts), settings.batch):
        results += _restore_faces(cuts[start : start + settings.batch], settings, tools)
    faces = tuple(sorted(results, key=lambda face: face.index))
    matrices = {cut.index: cut.matrix for cut in cuts}
    return Restoration(_put_back(photo, faces, matrices, settings), faces)


def _cut_out(photo: Photo, wanted: Sequence[Wanted], size: int) -> tuple[list[_Cut], list[FaceResult]]:
    """Crops of the faces that are to be restored, and what became of the others."""
    cuts: list[_Cut] = []
    settled: list[FaceResult] = []
    for index, one in enumerate(wanted):
        if one.skip:
            settled.append(FaceResult(index, one.face, "skipped", one.skip, one.weight))
            continue
        try:
            matrix = alignment(one.face.landmarks, size)
        except FaceError as error:
            settled.append(FaceResult(index, one.face, "failed", str(error), one.weight))
            continue
        cuts.append(_Cut(index, one, matrix, crop(photo.pixels, matrix, size)))
    return cuts, settled


def _check_size(photo: Photo, settings: RestoreSettings) -> None:
    pixels = round(photo.width * settings.scale) * round(photo.height * settings.scale)
    if pixels > settings.max_pixels:
        raise PictureError(
            f"{photo.path or 'the photo'} would have {pixels} pixels at scale {settings.scale:g}, over the limit of "
            f"{settings.max_pixels}; choose a smaller -s, or allow it with --max-pixels {pixels}"
        )


def _restore_faces(cuts: Sequence[_Cut], settings: RestoreSettings, tools: Tools) -> list[FaceResult]:
    """Restore a batch, and where the model fails on it each face alone: one bad face must not fail its neighbours."""
    inputs = to_batch([cut.crop for cut in cuts])
    try:
        restored = tools.restorer.restore(inputs).cpu()
    except ModelError as error:
        if len(cuts) == 1:
            return [cuts[0].failed(str(error))]
        return [result for cut in cuts for result in _restore_faces([cut], settings, tools)]
    fitted = to_batch(
        [_fitted(cut.crop, picture, settings) for cut, picture in zip(cuts, to_pictures(restored), strict=True)]
    )
    return _judge(cuts, inputs, round_to_8_bits(fitted), settings, tools.judge)


def _fitted(crop: Pixels, restored: Pixels, settings: RestoreSettings) -> Pixels:
    """A restored face in the colours of its photo, as it is put there, so that what is judged is what is seen.

    The colours of an aligned face stay the model's: there is no photo around it that they would have to fit.
    """
    if is_grey(crop):
        restored = to_grey(restored)
    return restored if settings.aligned else keep_colour(restored, crop)


def _judge(
    cuts: Sequence[_Cut], inputs: Tensor, restored: Tensor, settings: RestoreSettings, judge: Recogniser
) -> list[FaceResult]:
    """Blend as ``-w`` and ``--keep-identity`` ask for, and compare the persons before and after."""
    telling = torch.tensor([tells_who(cut.crop, cut.side) for cut in cuts])
    asked = torch.tensor([settings.weight if cut.wanted.weight is None else cut.wanted.weight for cut in cuts])
    gap = _distance(inputs, restored, judge)
    limit = (1 - asked) * gap
    # Of a face that shows too little to tell who it is, the distance says nothing that a blend could mend.
    kept = telling & (limit > judge.threshold) & settings.keep_identity
    limit = torch.where(kept, judge.threshold - _MARGIN, limit)
    amount = _amount(inputs, restored, limit, gap, judge)
    results = round_to_8_bits(blended(inputs, restored, amount))
    distances = _distance(inputs, results, judge).tolist()
    applied = torch.where(kept, 1 - limit / gap, asked).tolist()
    pictures = to_pictures(results)
    return [
        FaceResult(
            cut.index,
            cut.wanted.face,
            "done",
            weight=cut.wanted.weight,
            crop=cut.crop,
            restored=pictures[i],
            identity=distances[i],
            same_person=_same_person(distances[i], judge.threshold, bool(telling[i])),
            sharpness_before=sharpness(cut.crop),
            sharpness_after=sharpness(pictures[i]),
            weight_applied=applied[i],
            blend_applied=float(amount[i]),
            warnings=_warnings(cut, settings.scale, float(amount[i]), bool(kept[i])),
        )
        for i, cut in enumerate(cuts)
    ]


@torch.no_grad()
def _distance(a: Tensor, b: Tensor, judge: Recogniser) -> Tensor:
    return judge.distance(judge(a), judge(b))


def _amount(inputs: Tensor, restored: Tensor, limit: Tensor, gap: Tensor, judge: Recogniser) -> Tensor:
    """Amount of the input in each face, (N,); only the faces that must move cost embeddings."""
    amount = (limit <= 0).float()
    moved = (limit > 0) & (limit < gap)
    if bool(moved.any()):
        amount[moved] = amount_within(inputs[moved], restored[moved], limit[moved], judge)
    return amount


def _same_person(distance: float, threshold: float, telling: bool) -> SamePerson:
    if not telling:
        return "unsure"
    return "yes" if distance <= threshold else "no"


def _warnings(cut: _Cut, scale: float, amount: float, kept: bool) -> tuple[str, ...]:
    found = []
    size, side = cut.crop.shape[0], cut.side * scale
    if side > _LARGER * size:
        found.append(f"fills {side:.0f} px and the model draws {size} px: detail finer than that stays the photo's own")
    found += [_NOTES[note] for note in cut.wanted.face.notes if note in _NOTES]
    if kept:
        found.append(f"{amount:.0%} of the input blended in to keep the person")
    elif amount == 1:
        found.append("left as it was, as weight 1 asks for")
    return tuple(found)


def _put_back(
    photo: Photo, faces: Sequence[FaceResult], matrices: Mapping[int, Matrix], settings: RestoreSettings
) -> Photo:
    """The photo, enlarged, with the restored faces in it; a face that is all input is not put back.

    It was resampled to be cut out, and the photo's own pixels are sharper. Of a face that is larger in the photo than
    the model's picture, the detail that the model was not shown is kept.
    """
    pixels = enlarge(photo.pixels, settings.scale)
    changed = [face for face in faces if face.restored is not None and face.blend_applied != 1]
    if changed and pixels is photo.pixels:
        pixels = pixels.copy()
    for face in changed:
        assert face.restored is not None
        matrix, size = matrices[face.index], face.restored.shape[0]
        before = face.crop if _side(matrix, size) > _LARGER * size else None
        if settings.aligned:
            height, width = pixels.shape[:2]
            drawn = face.restored
            pixels = resize(drawn, width, height) if before is None else changed_by(pixels, before, drawn)
        else:
            paste(pixels, face.restored, enlarged_matrix(matrix, photo.pixels, pixels), before=before)
    if settings.draw_box:
        pixels = draw_boxes(pixels, [(face.index, face.face.box) for face in faces], settings.scale)
    return photo if pixels is photo.pixels else photo.replace(pixels)
