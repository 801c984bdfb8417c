from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.metrics import metric
from facefort.models.judges.perceptual import lpips

pytestmark = pytest.mark.weights("lpips", "dists")

# What `lpips` 0.1.4 and `DISTS-pytorch` 0.1 say of the pairs drawn from seeds 0 and 1: benchmarks/metrics_parity.py.
PEERS = {
    "lpips-alex": (0.0904438, 0.0712890),
    "lpips-vgg": (0.2237585, 0.2213030),
    "lpips-rf": (0.2244285, 0.2300903),
    "lpips-rf-unit": (0.1898167, 0.2007280),
    "dists": (0.2083865, 0.2100143),
}

# The authors' values of the five TID2013 pairs (pyiqa, ResultsCalibra/results_official.csv).
NAMES = ("I03", "I04", "I06", "I08", "I19")
OFFICIAL = {
    "lpips-alex": (0.7237, 0.2572, 0.05079, 0.05205, 0.4253),
    "dists": (0.4742, 0.1424, 0.06825, 0.02867, 0.3123),
}


@pytest.mark.parametrize("name", PEERS)
def test_distances_are_those_of_their_packages(drawn_pair, name: str) -> None:
    pairs = [drawn_pair(seed) for seed in (0, 1)]
    pictures, references = (torch.cat(batch) for batch in zip(*pairs, strict=True))
    assert metric(name)(pictures, references).tolist() == pytest.approx(PEERS[name], abs=1e-5)


@pytest.mark.weights("tid2013-calibration")
@pytest.mark.parametrize(("name", "count"), [("lpips-alex", 5), ("dists", 2)])
def test_distances_are_those_that_their_authors_publish(calibration_pair, name: str, count: int) -> None:
    for picture, wanted in list(zip(NAMES, OFFICIAL[name], strict=True))[-count:]:
        assert metric(name)(*calibration_pair(picture)).item() == pytest.approx(wanted, abs=1e-4)


def test_equal_pictures_have_no_distance(drawn_pair) -> None:
    clean = drawn_pair(0)[1][:, :, :64, :64]
    for name in PEERS:
        assert metric(name)(clean, clean).tolist() == [0]


def test_the_spread_of_lpips_is_where_the_pictures_differ(drawn_pair) -> None:
    spoilt, clean = (batch.clone() for batch in drawn_pair(0))
    spoilt[..., :96] = clean[..., :96]
    spread = lpips("alex").spread(spoilt, clean)
    assert spread.shape == (1, 1, 192, 192)
    assert spread[..., :32].max() < 0.01 * spread[..., 128:].mean()
    assert spread.mean().item() == pytest.approx(metric("lpips-alex")(spoilt, clean).item(), rel=0.1)


def test_the_spread_is_that_of_the_stages(drawn_pair) -> None:
    """The package's `spatial=True`: a map per stage, bilinearly enlarged, and their sum."""
    spoilt, clean = drawn_pair(1)
    judge = lpips("alex")
    total = torch.zeros(1, 1, 192, 192)
    for a, b, weight in zip(judge.features(spoilt), judge.features(clean), judge.weights, strict=True):
        local: Tensor = ((a - b) ** 2 * weight.view(1, -1, 1, 1)).sum(1, keepdim=True)
        total += F.interpolate(local, (192, 192), mode="bilinear", align_corners=False)
    torch.testing.assert_close(judge.spread(spoilt, clean), total)
