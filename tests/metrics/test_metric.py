"""What every registered metric is held to."""

from __future__ import annotations

import math

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor

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
WITH_SMALLEST = [parameter(entry) for entry in METRICS if entry.name != "psnr-rgb"]


@pytest.fixture(params=ALL)
def measure(request: pytest.FixtureRequest) -> Metric:
    return metric(request.param)


@pytest.fixture
def face(astronaut: Tensor) -> Tensor:
    return astronaut[:, :, 20:212, 130:322]


def score(measure: Metric, pictures: Tensor, reference: Tensor) -> Tensor:
    return measure(pictures, reference) if measure.needs_reference else measure(pictures)


def test_the_registry_says_what_the_metric_says(measure: Metric) -> None:
    facts = METRICS.entry(measure.name).facts
    assert (facts["direction"], facts["needs_reference"]) == (measure.direction, measure.needs_reference)
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


@pytest.mark.parametrize("measure", WITH_SMALLEST, indirect=True)
def test_a_picture_below_the_smallest_is_refused(measure: Metric, face: Tensor) -> None:
    small = face[:, :, : measure.smallest - 1, : measure.smallest - 1]
    with pytest.raises(PictureError, match=f"at least {measure.smallest} px"):
        score(measure, small, small)
    exact = torch.nn.functional.interpolate(face, (measure.smallest, measure.smallest), mode="area")
    assert torch.isfinite(score(measure, exact, exact * 0.9)).all()


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
    with pytest.raises(UnknownNameError, match="did you mean psnr-rgb"):
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
