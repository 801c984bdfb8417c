"""What every registered metric is held to."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from facefort.errors import FaceError, PictureError, UnknownNameError, UsageError
from facefort.metrics import METRICS, Metric, metric
from facefort.models.judges.identity import recogniser
from facefort.registry import Entry


def parameter(entry: Entry) -> ParameterSet:
    needed = entry.facts["weights"]
    return pytest.param(entry.name, marks=[pytest.mark.weights(*needed)] if needed else [])


ALL = [parameter(entry) for entry in METRICS]
WITH_REFERENCE = [parameter(entry) for entry in METRICS if entry.facts["needs_reference"]]
WITH_FACE = [parameter(entry) for entry in METRICS if "facemesh" in entry.facts["weights"]]
FULL_REFERENCE = ("psnr-rgb", "psnr-y", "psnr-mvc", "ssim-rgb", "ssim-y", "ssim-mvc", "ms-ssim", "dists")
WITHIN = [parameter(entry) for entry in METRICS if entry.name in FULL_REFERENCE or entry.name.startswith("lpips")]
FACTS = {"direction", "range", "needs_reference", "needs_face", "weights", "cost_ms"}


@pytest.fixture(params=ALL)
def measure(request: pytest.FixtureRequest) -> Metric:
    return metric(request.param)


@pytest.fixture
def face(measure: Metric) -> Tensor:
    """The face of the photograph that scikit-image carries; small where that is enough, because networks are slow."""
    pixels = np.ascontiguousarray(data.astronaut()[20:212, 130:322])
    whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return whole if measure.needs_face or measure.smallest > 96 else whole[:, :, ::2, ::2]


@pytest.fixture
def noisy() -> Callable[[Tensor, float], Tensor]:
    """A picture with Gaussian noise of a strength, in 8 bits again."""

    def spoil(picture: Tensor, strength: float) -> Tensor:
        noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
        return ((picture + strength * noise).clamp(0, 1) * 255).round() / 255

    return spoil


def score(measure: Metric, pictures: Tensor, reference: Tensor) -> Tensor:
    return measure(pictures, reference) if measure.needs_reference else measure(pictures)


def test_the_registry_says_what_the_metric_says(measure: Metric) -> None:
    facts = METRICS.entry(measure.name).facts
    assert set(facts) == FACTS
    for fact in ("direction", "needs_reference", "needs_face"):
        assert facts[fact] == getattr(measure, fact)
    assert facts["range"] == f"{measure.range[0]:g} to {measure.range[1]:g}"
    assert facts["cost_ms"] > 0
    assert measure.variant
    assert measure.reference
    assert measure.range[0] < measure.range[1]


def test_a_ruined_picture_scores_worse(measure: Metric, face: Tensor, noisy) -> None:
    slight, strong = (score(measure, noisy(face, strength), face).item() for strength in (0.02, 0.3))
    assert slight > strong if measure.direction == "higher" else slight < strong
    for value in (slight, strong):
        assert measure.range[0] <= value <= measure.range[1]


def test_one_number_per_picture_whatever_the_batch(measure: Metric, face: Tensor, noisy) -> None:
    pictures = torch.cat([noisy(face, strength) for strength in (0.05, 0.1, 0.2)])
    references = face.expand(3, -1, -1, -1)
    before = pictures.clone()
    together = score(measure, pictures, references)
    assert together.shape == (3,)
    assert together.dtype in (torch.float32, torch.float64)
    apart = torch.cat([score(measure, picture[None], face) for picture in pictures])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
    assert torch.equal(together, score(measure, pictures, references))
    assert torch.equal(pictures, before)


def test_memory_layout_does_not_matter(measure: Metric, face: Tensor, noisy) -> None:
    picture = noisy(face, 0.1)
    planar, interleaved = (
        score(measure, picture.contiguous(memory_format=layout), face)
        for layout in (torch.contiguous_format, torch.channels_last)
    )
    torch.testing.assert_close(planar, interleaved, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_the_pictures_where_it_is_promised(measure: Metric, face: Tensor, noisy) -> None:
    picture = noisy(face, 0.1).requires_grad_()
    found = score(measure, picture, face)
    assert found.requires_grad == measure.differentiable
    if measure.differentiable:
        found.sum().backward()
        assert picture.grad is not None
        assert torch.isfinite(picture.grad).all()
        assert picture.grad.abs().max() > 0


@pytest.mark.parametrize("measure", WITH_REFERENCE, indirect=True)
def test_gradient_at_equal_pictures_is_finite(measure: Metric, face: Tensor) -> None:
    if not measure.differentiable:
        pytest.skip(f"{measure.name} promises no gradient")
    picture = face.clone().requires_grad_()
    measure(picture, face).sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()


@pytest.mark.parametrize("measure", WITH_REFERENCE, indirect=True)
def test_with_and_without_a_gradient_the_number_is_one(measure: Metric, face: Tensor, noisy) -> None:
    picture = noisy(face, 0.1)
    plain = measure(picture, face)
    torch.testing.assert_close(measure(picture.requires_grad_(), face).detach(), plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda x: x[0], "shape"),
        (lambda x: x[:, :1], "shape"),
        (lambda x: x[:0], "shape"),
        (lambda x: (x * 255).byte(), "uint8"),
        (lambda x: x * 255, r"\[0, 1\], not 0 to 255"),
        (lambda x: x - 0.5, r"\[0, 1\], not -0\.5 to 0\.5"),
        (lambda x: x.masked_fill(x == x.max(), math.nan), "NaN"),
        (lambda x: x.masked_fill(x == x.max(), math.inf), "inf"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(measure: Metric, face: Tensor, harm, said: str) -> None:
    bad = harm(face)
    with pytest.raises(PictureError, match=said) as caught:
        score(measure, bad, bad)
    assert measure.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_below_the_smallest_is_refused(measure: Metric, face: Tensor) -> None:
    small = face[:, :, : measure.smallest - 1, : measure.smallest - 1]
    with pytest.raises(PictureError, match=f"at least {measure.smallest} px"):
        score(measure, small, small)
    exact = F.interpolate(face, (measure.smallest, measure.smallest), mode="area")
    assert torch.isfinite(score(measure, exact, exact * 0.9)).all()


def test_a_picture_of_one_pixel_is_refused(measure: Metric, face: Tensor) -> None:
    with pytest.raises(PictureError, match="not 1 x 1"):
        score(measure, face[:, :, :1, :1], face[:, :, :1, :1])


def test_a_constant_picture_is_bad_or_refused_by_name(measure: Metric, face: Tensor, noisy) -> None:
    """A network may well give out one grey: where that can be scored it must score badly, elsewhere it is an error."""
    flat = torch.full_like(face, 0.5)
    if measure.needs_face:
        with pytest.raises(FaceError, match="no aligned face"):
            score(measure, flat, face)
        return
    if not measure.needs_reference or measure.name.endswith("-mvc"):
        with pytest.raises(PictureError, match=r"texture|one grey|constant"):
            score(measure, flat, face)
        return
    found, slight = measure(flat, face).item(), measure(noisy(face, 0.02), face).item()
    assert found < slight if measure.direction == "higher" else found > slight


@pytest.mark.parametrize("measure", WITHIN, indirect=True)
def test_within_a_full_mask_it_is_the_number_of_the_picture(measure: Metric, face: Tensor, noisy) -> None:
    pictures, references = torch.cat([noisy(face, 0.05), noisy(face, 0.2)]), face.expand(2, -1, -1, -1)
    whole = measure(pictures, references)
    masked = measure.within(pictures, references, torch.ones(2, 1, *face.shape[2:]))
    # LPIPS brings its maps to the picture's size first, which weighs their rims otherwise.
    torch.testing.assert_close(masked.to(whole), whole, rtol=0.05 if "lpips" in measure.name else 1e-5, atol=1e-6)


@pytest.mark.parametrize("measure", WITHIN, indirect=True)
def test_within_a_mask_only_what_it_covers_counts(measure: Metric, face: Tensor, noisy) -> None:
    side = face.shape[3]
    spoilt = noisy(face, 0.2)
    spoilt[..., : side // 2] = face[..., : side // 2]
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 2 :] = 1
    bad, good = (measure.within(spoilt, face, part).item() for part in (mask, 1 - mask))
    whole = measure(spoilt, face).item()
    assert bad < whole < good if measure.direction == "higher" else bad > whole > good


@pytest.mark.parametrize("measure", WITHIN, indirect=True)
def test_a_mask_that_covers_nothing_is_refused(measure: Metric, face: Tensor) -> None:
    with pytest.raises(PictureError, match="empty mask"):
        measure.within(face, face, torch.zeros(1, 1, *face.shape[2:]))
    with pytest.raises(PictureError, match="one size"):
        measure.within(face, face, torch.ones(1, 1, 8, 8))


def test_a_missing_or_needless_reference_is_a_wrong_call(measure: Metric, face: Tensor) -> None:
    reference = None if measure.needs_reference else face
    with pytest.raises(UsageError, match="reference"):
        measure(face, reference)


@pytest.mark.parametrize("measure", WITH_REFERENCE, indirect=True)
def test_sizes_must_agree(measure: Metric, face: Tensor) -> None:
    with pytest.raises(PictureError, match="one size"):
        measure(face, face[:, :, :-1])
    with pytest.raises(PictureError, match="one size"):
        measure(face, face.expand(2, -1, -1, -1))


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean psnr-"):
        metric("psnr")


@pytest.mark.parametrize("measure", WITH_FACE, indirect=True)
def test_a_metric_of_faces_takes_square_pictures_only(measure: Metric, face: Tensor) -> None:
    with pytest.raises(PictureError, match="192 x 160; align"):
        measure(face[:, :, :160], face[:, :, :160])


@pytest.mark.parametrize("measure", WITH_FACE, indirect=True)
def test_a_picture_without_a_face_gets_no_number(measure: Metric, face: Tensor) -> None:
    noise = torch.rand(face.shape, generator=torch.Generator().manual_seed(0))
    pictures, references = torch.cat([face, noise, face, 0 * face]), face.expand(4, -1, -1, -1)
    with pytest.raises(FaceError, match=f"{measure.name} sees no aligned face in pictures 2, 4 of 4; align"):
        measure(pictures, references)
    with pytest.raises(FaceError, match="no aligned face in reference pictures 2, 4 of 4"):
        measure(references, pictures)


@pytest.mark.weights("dlib-resnet", "facemesh")
def test_who_knows_that_there_is_a_face_gets_a_number(face: Tensor) -> None:
    noise = torch.rand(face.shape, generator=torch.Generator().manual_seed(0))
    assert metric("identity-dlib")(noise, face, faces_known=True) > recogniser("dlib").threshold
