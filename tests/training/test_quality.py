"""SDD-FIQA's labels against scipy, versions of faces, and a short training run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr, wasserstein_distance

from facefort import config
from facefort.errors import TrainingError
from facefort.training import quality
from facefort.training.quality import QualityData, QualityRecipe, VersionSettings, pseudo_labels, train_quality
from facefort.training.versions import FaceVersions


def people(count: int, each: int, width: int = 64, seed: int = 0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Embeddings of people whose pictures are more or less like them; person and spoilage of each picture."""
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((count, width))
    spoilt = np.tile(np.linspace(0, 3, each), count)
    person = np.repeat(np.arange(count), each)
    return torch.from_numpy(own[person] + spoilt[:, None] * rng.standard_normal((count * each, width))), person, spoilt


def test_labels_fall_with_what_was_spoilt() -> None:
    embeddings, person, spoilt = people(60, 12)
    labels = pseudo_labels(embeddings, person)
    assert (labels.min(), labels.max()) == (0.0, 100.0)
    assert spearmanr(labels, spoilt).statistic < -0.8


def test_with_every_pair_drawn_a_label_is_scipys_distance() -> None:
    """Two people of two pictures: the own sample is certain; strangers are two, so many draws come near the truth."""
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.4], [0.0, 1.0], [-0.5, 1.0]], dtype=torch.float64)
    person = np.array([7, 7, 3, 3])
    labels = pseudo_labels(embeddings, person, pairs=400, repeats=40)
    unit = torch.nn.functional.normalize(embeddings, dim=1).numpy()
    similar = unit @ unit.T
    raw = np.array(
        [
            wasserstein_distance([similar[i, i ^ 1]], [similar[i, j] for j in range(4) if person[j] != person[i]])
            for i in range(4)
        ]
    )
    assert labels == pytest.approx(100 * (raw - raw.min()) / (raw.max() - raw.min()), abs=1.5)


def test_a_picture_is_never_its_own_partner_and_partners_differ_where_they_can() -> None:
    rng = np.random.default_rng(0)
    place, counts = np.array([0, 1, 2, 3, 0, 1]), np.array([4, 4, 4, 4, 2, 2])
    drawn = quality._own_draw(rng, place, counts, 3)
    assert (drawn != place[:, None]).all()
    assert (drawn < counts[:, None]).all()
    assert all(len(set(row)) == 3 for row in drawn[:4])
    person = np.array([0, 0, 0, 0, 1, 1])
    assert (person[quality._other_draw(rng, person, 9)] != person[:, None]).all()


def test_labels_depend_on_the_seed_alone() -> None:
    embeddings, person, _ = people(10, 4)
    first, again, other = (pseudo_labels(embeddings, person, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("person", "said"), [([0, 0, 0, 0], "two people"), ([0, 0, 1, 2], "person 1 has a single picture")]
)
def test_people_that_give_no_labels_are_refused(person: list[int], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        pseudo_labels(torch.rand(4, 3), np.array(person))


def test_embeddings_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(TrainingError, match="not finite"):
        pseudo_labels(torch.full((4, 3), float("nan")), np.array([0, 0, 1, 1]))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for i in range(4):
        smooth = cv2.resize(rng.random((8, 8, 3), np.float32), (200, 200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i}.png"), np.clip(smooth * 255, 0, 255).astype(np.uint8))
    return folder


def test_versions_depend_on_seed_and_name_alone(faces: Path) -> None:
    settings = VersionSettings(count=12, sizes=(64, 96))
    whole, again = (list(FaceVersions(str(faces), settings, 0)) for _ in range(2))
    (first, *_), (other, *_) = FaceVersions(str(faces), settings, 0, limit=1), FaceVersions(str(faces), settings, 1)
    assert len(whole) == 4
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(whole, again, strict=True))
    assert np.array_equal(whole[0][1], first[1])
    assert not np.array_equal(whole[0][1], other[1])
    drawn, chips = whole[0]
    assert chips.shape == (12, 112, 112, 3)
    assert {face.shape[-1] for face in drawn} == {64, 96}
    assert len({face.numpy().tobytes() for face in drawn}) == 12


def test_sizes_that_no_recogniser_takes_are_refused(faces: Path) -> None:
    with pytest.raises(TrainingError, match="64 px"):
        FaceVersions(str(faces), VersionSettings(sizes=(48,)), 0)


def test_who_is_in_a_picture_is_read_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("file,identity\na.png,5\nb.png,9\n")
    assert list(quality._people(tmp_path / "who.csv", ["b.png", "a.png"])) == [9, 5]
    named, other, another = quality._people(tmp_path / "who.csv", ["a.png", "c.png", "d.png"])
    assert named == 5
    assert len({5, 9, other, another}) == 4
    with pytest.raises(TrainingError, match="names none of the 1 pictures"):
        quality._people(tmp_path / "who.csv", ["c.png"])
    with pytest.raises(TrainingError, match="who is in each picture"):
        quality._people(tmp_path / "none.csv", ["a.png"])


@pytest.mark.weights("dlib-resnet")
def test_faces_become_chips_with_labels(faces: Path) -> None:
    recipe = QualityRecipe(faces=str(faces), versions=VersionSettings(count=3, sizes=(64,)), pairs=2, repeats=2)
    data = quality.prepare(recipe)
    assert data.chips.shape == (12, 112, 112, 3)
    assert list(data.people) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert (data.labels.min(), data.labels.max()) == (0.0, 100.0)


def synthetic(count: int = 48) -> QualityData:
    """Chips whose label is their brightness."""
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 200, count)
    chips = level[:, None, None, None] + rng.uniform(0, 40, (count, 112, 112, 3))
    return QualityData(chips.astype(np.uint8), np.arange(count) // 4, level / 2)


def brief(steps: int) -> QualityRecipe:
    return QualityRecipe(steps=steps, batch=8, rate=3e-3, held_out=0.25, precision="fp32", threads=1)


def test_training_learns(tmp_path: Path) -> None:
    network, facts = train_quality(brief(24), synthetic(), tmp_path)
    assert facts["people"] == 9
    assert facts["held_out"]["pictures"] == 12
    assert facts["held_out"]["spearman"] > 0.6
    stored = torch.load(tmp_path / "last.pt", weights_only=True)
    assert all(torch.equal(value, stored[key]) for key, value in network.state_dict().items())
    assert config.load(QualityRecipe, tmp_path / "recipe.yaml") == brief(24)


def test_a_run_is_repeatable(tmp_path: Path) -> None:
    first, again = (train_quality(brief(2), synthetic(), tmp_path / name)[0] for name in "ab")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    data = synthetic()
    broken = data._replace(labels=np.full(len(data.labels), np.nan))
    with pytest.raises(TrainingError, match="loss is nan"):
        train_quality(QualityRecipe(steps=3, batch=8, threads=1), broken, tmp_path)
