"""What every registered recogniser must do: the same surface, the same promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from facefort import assets
from facefort.errors import FaceError, ModelError, PictureError, UsageError
from facefort.models.judges.identity import RECOGNISERS, Recogniser, recogniser
from facefort.models.judges.thresholds import PAPER_THRESHOLDS, equal_far_threshold
from facefort.models.sources import faces as faces_of

CASES = [pytest.param(entry.name, marks=pytest.mark.weights(*entry.facts["weights"])) for entry in RECOGNISERS]
SHIPPED = 6


@pytest.fixture(params=CASES)
def judge(request: pytest.FixtureRequest) -> Recogniser:
    return recogniser(request.param)


@pytest.fixture(scope="module")
def people() -> Tensor:
    """Generated people, one picture each, (6, 3, 128, 128)."""
    return next(faces_of("samples", 128, limit=SHIPPED).batches(SHIPPED)).faces


@pytest.fixture(scope="module")
def seen_again(people: Tensor) -> Tensor:
    """The same people in another light, mirrored, blurred and with noise."""
    noise = torch.randn(people.shape, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(people, 3, 1, 1)
    return (0.85 * blurred.flip(3) + 0.05 + 0.02 * noise).clamp(0, 1)


def test_shape_and_type(judge: Recogniser, people: Tensor) -> None:
    embeddings = judge(people)
    assert embeddings.shape == (SHIPPED, judge.dimension)
    assert embeddings.dtype == torch.float32
    distances = judge.distance(embeddings, embeddings.roll(1, 0))
    assert distances.shape == (SHIPPED,)
    assert judge.same(embeddings, embeddings).dtype == torch.bool


def test_two_passes_are_equal(judge: Recogniser, people: Tensor) -> None:
    assert torch.equal(judge(people), judge(people))


def test_a_batch_equals_its_faces_alone(judge: Recogniser, people: Tensor) -> None:
    alone = torch.cat([judge(face[None]) for face in people[:3]])
    torch.testing.assert_close(judge(people[:3]), alone, atol=2e-5, rtol=1e-4)


def test_distance_is_symmetric_and_nothing_is_nearer_than_itself(judge: Recogniser, people: Tensor) -> None:
    a, b = judge(people), judge(people.roll(1, 0))
    torch.testing.assert_close(judge.distance(a, b), judge.distance(b, a))
    assert judge.distance(a, a).abs().max() < 1e-6
    assert judge.distance(a, b).min() > 0.01


def test_the_gradient_reaches_the_faces(judge: Recogniser, people: Tensor, seen_again: Tensor) -> None:
    faces = people[:2].clone().requires_grad_()
    judge.distance(judge(faces), judge(seen_again[:2])).sum().backward()
    assert faces.grad is not None
    assert bool(faces.grad.isfinite().all())
    assert (faces.grad.abs().amax((1, 2, 3)) > 0).all()


def test_the_gradient_at_equal_embeddings_is_finite(judge: Recogniser, people: Tensor) -> None:
    faces = people[:1].clone().requires_grad_()
    embedding = judge(faces)
    judge.distance(embedding, embedding.detach().clone()).sum().backward()
    assert faces.grad is not None
    assert bool(faces.grad.isfinite().all())


def test_one_person_is_nearer_than_any_stranger(judge: Recogniser, people: Tensor, seen_again: Tensor) -> None:
    here, there = judge(people), judge(seen_again)
    assert judge.same(here, there).all()
    strangers = torch.stack([judge.distance(here, there.roll(shift, 0)) for shift in range(1, SHIPPED)])
    assert (judge.distance(here, there) < strangers.min(0).values).all()


def test_size_of_the_picture_hardly_matters(judge: Recogniser, people: Tensor) -> None:
    large = torch.nn.functional.interpolate(people, 256, mode="bicubic").clamp(0, 1)
    assert judge.distance(judge(people), judge(large)).max() < judge.threshold / 3


def test_it_is_shared_frozen_and_unchanged_by_use(judge: Recogniser, people: Tensor) -> None:
    before = {key: value.clone() for key, value in judge.state_dict().items()}
    judge(people[:1])
    assert recogniser(judge.name) is judge
    assert not judge.training
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    assert all(torch.equal(value, before[key]) for key, value in judge.state_dict().items())


@pytest.mark.parametrize(
    ("faces", "error", "said"),
    [
        (torch.zeros(3, 128, 128), PictureError, "shape"),
        (torch.zeros(1, 1, 128, 128), PictureError, "shape"),
        (torch.zeros(1, 3, 128, 130), PictureError, "shape"),
        (torch.zeros(1, 3, 128, 128, dtype=torch.uint8), PictureError, "uint8"),
        (torch.zeros(1, 3, 63, 63), FaceError, "64 px"),
        (torch.full((2, 3, 128, 128), math.nan), PictureError, "NaN"),
        (torch.full((2, 3, 128, 128), math.inf), PictureError, "NaN or infinity"),
    ],
)
def test_what_is_no_face_is_refused_in_one_line(
    judge: Recogniser, faces: Tensor, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        judge(faces)
    assert "\n" not in str(caught.value)


def test_an_unknown_layout_is_refused(judge: Recogniser, people: Tensor) -> None:
    with pytest.raises(UsageError, match="did you mean ffhq"):
        judge(people, "fhq")  # type: ignore[arg-type]


def test_what_are_not_its_embeddings_is_refused(judge: Recogniser) -> None:
    for a, b in (((2, 64), (2, 64)), ((2, judge.dimension), (3, judge.dimension)), ((judge.dimension,),) * 2):
        with pytest.raises(ModelError, match=str(judge.dimension)):
            judge.distance(torch.zeros(a), torch.zeros(b))


def test_facts_of_the_registry_are_those_of_the_network(judge: Recogniser) -> None:
    facts = RECOGNISERS.entry(judge.name).facts
    (asset,) = (assets.ASSETS[name] for name in facts["weights"])
    assert facts["licence"] == judge.licence == asset.licence
    assert facts["research_only"] == asset.research_only


def test_every_papers_threshold_is_translated_and_stricter_than_the_own_one(judge: Recogniser) -> None:
    for paper in PAPER_THRESHOLDS:
        found = equal_far_threshold(judge.name, paper)
        assert 0 < found.distance < judge.threshold
        assert f"identity-{judge.name} at most {found.distance:.3f}" in str(found)
