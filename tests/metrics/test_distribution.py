"""FID and KID: against scipy, against published numbers, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray

from facefort import assets
from facefort.errors import PictureError, UnknownNameError, UsageError
from facefort.metrics.distribution import Frechet, frechet_distance, frechet_replicates, kernel_distance
from facefort.metrics.sets import SET_METRICS, Moments, Reference, SetMetric, set_metric

Array = NDArray[np.float64]


def cloud(count: int, width: int = 24, seed: int = 0, shift: float = 0.0) -> Array:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((width, width)) / np.sqrt(width)
    return rng.standard_normal((count, width)) @ mixing + shift


def textbook(left: Array, right: Array) -> float:
    """Dowson and Landau 1982 with a matrix root, as pytorch-fid computes it."""
    a, b = Moments.of(left), Moments.of(right)
    offset = 1e-6 * np.eye(left.shape[1])
    root = scipy.linalg.sqrtm((a.covariance + offset) @ (b.covariance + offset)).real
    return float(np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root))


def reference(content: Array | Moments, count: int | None = 5000, digest: str = "ab") -> Reference:
    return Reference("faces", content, count, digest)


def simple(enough: int = 2, width: int = 4) -> SetMetric:
    """FID on the mean colours and corners of pictures: no network."""

    def features(pictures: torch.Tensor) -> Array:
        corner = pictures[:, 0, 0, 0, None]
        return torch.cat([pictures.mean((2, 3)), corner], 1).double().numpy()[:, :width]

    return SetMetric(
        "fid-colour", "lower", (0.0, float("inf")), "v", "r", features, frechet_distance, frechet_replicates, enough
    )


@pytest.mark.parametrize(("count", "others"), [(60, 80), (200, 150), (12, 300), (300, 12), (9, 7), (24, 24)])
def test_fid_is_the_textbook_formula_whatever_the_sizes(count: int, others: int) -> None:
    left, right = cloud(count), cloud(others, seed=1, shift=0.3)
    wanted = textbook(left, right)
    assert frechet_distance(left, right) == pytest.approx(wanted, rel=2e-3, abs=2e-3)
    assert frechet_distance(left, Moments.of(right)) == pytest.approx(frechet_distance(left, right), rel=1e-7, abs=1e-6)


def test_fid_is_the_textbook_formula_to_many_digits_at_full_rank() -> None:
    left, right = cloud(500), cloud(400, seed=1, shift=0.3)
    a, b = Moments.of(left), Moments.of(right)
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    wanted = np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(left, right) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("count", [2, 20, 100])
def test_a_set_is_at_no_distance_from_itself(count: int) -> None:
    assert frechet_distance(cloud(count), cloud(count)) < 1e-6


def test_the_distance_of_two_gaussians_is_found_from_large_sets() -> None:
    rng = np.random.default_rng(3)
    left = rng.standard_normal((200_000, 2)) * (1.0, 2.0)
    right = rng.standard_normal((200_000, 2)) * (3.0, 2.0) + (0.0, 1.5)
    assert frechet_distance(left, right) == pytest.approx(1.5**2 + (3 - 1) ** 2, rel=0.01)


@pytest.mark.parametrize(("count", "others"), [(40, 60), (40, 15), (15, 60), (80, 90)])
@pytest.mark.parametrize("known", ["features", "moments"])
def test_a_replicate_is_the_distance_of_the_set_written_out(count: int, others: int, known: str) -> None:
    left, right = cloud(count), cloud(others, seed=1, shift=0.2)
    counts = np.random.default_rng(5).multinomial(count, np.full(count, 1 / count), 4)
    content = Moments.of(right) if known == "moments" else right
    drawn = frechet_replicates(left, content, counts)
    written = [frechet_distance(np.repeat(left, row, axis=0), content) for row in counts]
    assert drawn == pytest.approx(written, rel=1e-7, abs=1e-6)


def test_the_interval_holds_what_other_sets_of_as_many_pictures_give() -> None:
    """The jackknife's spread is that of fresh sets, a little wider (Efron and Stein 1981), and so is its coverage."""
    right = Moments.of(cloud(20_000, seed=1, shift=0.2))
    fresh = np.array([frechet_distance(cloud(60, seed=seed), right) for seed in range(100, 300)])
    scores = [simple().score(cloud(60, seed=seed), reference(right)) for seed in range(40)]
    inside = np.mean([score.low <= fresh.mean() <= score.high for score in scores])
    assert inside >= 0.9
    deviation = np.mean([score.high - score.value for score in scores]) / 2.01
    assert 0.9 * fresh.std() < deviation < 1.8 * fresh.std()


def test_the_interval_of_the_bootstrap_lies_around_the_number_and_is_wider() -> None:
    right = Moments.of(cloud(20_000, seed=1, shift=0.2))
    fresh = np.array([frechet_distance(cloud(60, seed=seed), right) for seed in range(100, 300)])
    drawn = [simple().score(cloud(60, seed=seed), reference(right), interval="bootstrap") for seed in range(20)]
    dealt = [simple().score(cloud(60, seed=seed), reference(right)) for seed in range(20)]
    assert np.mean([score.low <= fresh.mean() <= score.high for score in drawn]) >= 0.9
    assert all(score.low < score.value < score.high for score in drawn)
    assert np.mean([score.high - score.low for score in drawn]) > np.mean([score.high - score.low for score in dealt])
    assert np.isnan(drawn[0].bias)


def test_no_interval_is_one_that_says_so() -> None:
    score = simple().score(cloud(60), reference(cloud(40, seed=1)), interval="none")
    assert np.isnan([score.low, score.high, score.bias]).all()


def test_the_interval_of_kid_holds_what_other_sets_give() -> None:
    right = cloud(300, seed=1, shift=0.2)
    fresh = np.array([kernel_distance(cloud(60, seed=seed), right) for seed in range(100, 250)])
    scores = [set_metric("kid").score(cloud(60, seed=seed), reference(right)) for seed in range(30)]
    inside = np.mean([score.low <= fresh.mean() <= score.high for score in scores])
    assert inside >= 0.9
    deviation = np.mean([score.high - score.value for score in scores]) / 2.01
    assert deviation == pytest.approx(fresh.std(), rel=0.4)


def test_a_small_set_is_biased_upward_and_the_jackknife_says_by_how_much() -> None:
    right = Moments.of(cloud(20_000, seed=1))
    for count in (60, 200, 1000):
        score = simple().score(cloud(count), reference(right))
        assert score.value - score.bias < 0.5 * score.value  # the truth is 0
        assert score.bias > 0


def test_equal_input_gives_equal_output_and_another_seed_another_interval() -> None:
    rows = cloud(120)
    first, again, other = (simple().score(rows, reference(cloud(40, seed=1)), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert (first.value, first.low) != (first.value, other.low)


def naive_kid(left: Array, right: Array) -> float:
    def kernel(a: Array, b: Array) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(left), len(right)
    own = sum(kernel(left[i], left[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    others = sum(kernel(right[i], right[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    across = sum(kernel(a, b) for a in left for b in right) / (n * m)
    return 1000 * (own + others - 2 * across)


def test_kid_is_the_unbiased_estimate_written_out() -> None:
    left, right = cloud(13, 6), cloud(9, 6, seed=1, shift=0.3)
    assert kernel_distance(left, right) == pytest.approx(naive_kid(left, right), rel=1e-10)


def test_kid_of_one_source_is_zero_on_average_even_for_small_sets() -> None:
    values = [kernel_distance(cloud(20, seed=seed), cloud(20, seed=seed + 1000)) for seed in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)


def test_kid_in_blocks_is_kid_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = cloud(50), cloud(40, seed=1)
    whole = kernel_distance(left, right)
    monkeypatch.setattr("facefort.metrics.distribution._BLOCK", 7)
    assert kernel_distance(left, right) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("entry", list(SET_METRICS), ids=lambda entry: entry.name)
def test_the_registry_says_what_the_metric_says(entry) -> None:
    metric = set_metric(entry.name)
    assert metric.name == entry.name
    assert metric.direction == entry.facts["direction"]
    assert entry.facts["weights"] == ("inception-fid",)
    assert metric.variant
    assert metric.reference


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="fid"):
        set_metric("fidd")


# What is refused


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pictures_are_refused(count: int) -> None:
    with pytest.raises(PictureError, match=f"at least 2 pictures, not {count}"):
        simple().score(cloud(count), reference(cloud(40)))
    with pytest.raises(PictureError, match=r"at least 2 reference pictures \(faces\)"):
        simple().score(cloud(40), reference(cloud(count)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_numbers_are_refused(value: float) -> None:
    broken = cloud(10)
    broken[3, 2] = value
    with pytest.raises(PictureError, match="not numbers"):
        simple().score(broken, reference(cloud(40)))
    with pytest.raises(PictureError, match="not numbers"):
        simple().score(cloud(40), reference(broken))


def test_pictures_with_nan_or_of_several_sizes_are_refused() -> None:
    metric = simple()
    with pytest.raises(PictureError, match="NaN"):
        metric.collect([torch.full((2, 3, 8, 8), float("nan"))])
    with pytest.raises(PictureError, match="8 x 8 and 9 x 8"):
        metric.collect([torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 9)])
    with pytest.raises(PictureError, match=r"\[0, 1\]"):
        metric.collect([torch.rand(2, 3, 8, 8) * 255])
    assert len(metric.collect([])) == 0


def test_statistics_of_another_network_are_refused() -> None:
    with pytest.raises(UsageError, match="another network"):
        simple().score(cloud(10), reference(cloud(40, width=7)))


def test_kid_needs_more_than_moments() -> None:
    with pytest.raises(UsageError, match="give the reference pictures"):
        set_metric("kid").score(cloud(10), reference(Moments.of(cloud(40))))


def test_a_protocol_takes_its_own_file_only() -> None:
    moments = Moments.of(cloud(40))
    with pytest.raises(UsageError, match="begins with f7b384ab"):
        set_metric("fid-ffhq512").score(cloud(10), reference(moments))
    score = set_metric("fid-ffhq512").score(cloud(10), reference(moments, digest="f7b384ab00"), groups=0)
    assert score.metric == "fid-ffhq512"
    assert np.isnan(score.low)


def test_a_small_set_or_reference_is_warned_of() -> None:
    metric, rows, other = simple(enough=30), cloud(20), cloud(40, seed=1)
    few = metric.score(rows, reference(other, count=40), groups=0)
    assert len(few.warnings) == 1
    assert "20 pictures, fewer than 30" in few.warnings[0]
    assert metric.score(other, reference(other, count=None), groups=0).warnings == ()
    both = metric.score(rows, reference(rows, count=20), groups=0)
    assert len(both.warnings) == 2


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(UsageError, match="confidence"):
        simple().score(cloud(10), reference(cloud(40)), confidence=confidence)


def test_the_smallest_sets_have_a_value_and_from_three_on_an_interval() -> None:
    for metric in (simple(), set_metric("kid")):
        pair, triple = (metric.score(cloud(count), reference(cloud(40))) for count in (2, 3))
        assert np.isfinite(pair.value)
        assert np.isnan([pair.low, pair.high, pair.bias]).all()
        assert np.isfinite([triple.value, triple.low, triple.high, triple.bias]).all()


# With the network


@pytest.mark.weights("inception-fid")
def test_legacy_and_clean_resizing_are_those_of_the_references(rng: np.random.Generator) -> None:
    from PIL import Image

    from facefort.metrics.distribution import clean_features, legacy_features
    from facefort.models.judges.inception import inception

    bytes_ = rng.integers(0, 256, (1, 120, 96, 3), dtype=np.uint8)
    pictures = torch.from_numpy(bytes_).permute(0, 3, 1, 2).float() / 255
    network: Callable = inception()
    with torch.no_grad():
        wide = torch.nn.functional.interpolate(pictures, (299, 299), mode="bilinear", align_corners=False)
        legacy = network(2 * wide - 1).double().numpy()
        planes = [
            [
                np.asarray(Image.fromarray(p[:, :, c].astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC))
                for c in range(3)
            ]
            for p in bytes_
        ]
        clean = network(torch.from_numpy((np.clip(planes, 0, 255) - 128) / 128).float()).double().numpy()
    assert np.abs(legacy_features(pictures) - legacy).max() < 1e-5
    assert np.abs(clean_features(pictures) - clean).max() < 1e-5
    assert np.abs(legacy - clean).max() > 0.01


@pytest.mark.weights("inception-fid")
def test_one_picture_has_the_same_features_in_any_batch(astronaut) -> None:
    metric = set_metric("fid")
    crops = torch.cat([astronaut[:, :, at : at + 128, at : at + 128] for at in (100, 200)])
    together = metric.collect([crops])
    apart = metric.collect(crops.split(1))
    assert together.shape == (2, 2048)
    assert np.abs(together - apart).max() < 1e-5


@pytest.mark.weights("inception-fid")
def test_noise_moves_a_set_away(astronaut, noisy) -> None:
    crops = torch.cat([astronaut[:, :, y : y + 128, 150:278] for y in range(0, 380, 95)])
    clean, slight, strong = (set_metric("fid").collect([noisy(crops, level)]) for level in (0.0, 0.02, 0.3))
    for name in ("fid", "kid"):
        near, far = (set_metric(name).score(rows, reference(clean), groups=0).value for rows in (slight, strong))
        assert near < far


TID2013 = ("I03", "I04", "I06", "I08", "I19")


@pytest.mark.weights("inception-fid", "tid2013-calibration")
@pytest.mark.parametrize(("name", "published"), [("fid", 225.3678), ("fid-clean", 220.5819)])
def test_the_calibration_pictures_of_pyiqa_have_their_published_distance(name: str, published: float) -> None:
    from facefort.metrics.references import from_pictures

    metric = set_metric(name)
    spoilt, clean = (
        from_pictures(metric, [assets.path("tid2013-calibration", f"{part}-{one}.bmp") for one in TID2013], part)
        for part in ("dist", "ref")
    )
    assert not isinstance(spoilt.content, Moments)
    assert metric.score(spoilt.content, clean, groups=0).value == pytest.approx(published, rel=1e-5)
    assert Frechet(spoilt.content, spoilt.content).distance() < 1e-3
