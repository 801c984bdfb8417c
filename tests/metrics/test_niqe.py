from __future__ import annotations

import pytest
import torch
from skimage import data
from torch import Tensor

from facefort.errors import PictureError, WeightsError
from facefort.metrics import metric, niqe

pytestmark = pytest.mark.weights("niqe-pristine")

# What BasicSR 1.4.2 `calculate_niqe(picture, crop_border=0)` says of pictures that scikit-image carries; "flat" has
# its upper left 200 x 250 pixels white.
BASICSR = {
    "astronaut": 3.0646285,
    "astronaut flat": 4.4332967,
    "coffee": 4.1152416,
    "coffee flat": 4.9711687,
    "chelsea": 2.6255364,
    "chelsea flat": 8.4874880,
}


@pytest.mark.parametrize("name", BASICSR)
def test_niqe_is_that_of_basicsr(as_tensor, name: str) -> None:
    pixels = getattr(data, name.split()[0])().copy()
    if name.endswith("flat"):
        pixels[:200, :250] = 255
    # BasicSR counts the signs of rounding residues in flat areas, which are those of its own filter.
    allowed = 5e-3 if name.endswith("flat") else 5e-4
    assert metric("niqe-y")(as_tensor(pixels)).item() == pytest.approx(BASICSR[name], rel=allowed)


# What MATLAB says of five TID2013 pictures (pyiqa, ResultsCalibra/results_official.csv).
MATLAB = {
    "I03": 15.7536293917814,
    "I04": 3.65492152353770,
    "I06": 3.23547743716998,
    "I08": 3.18403333858339,
    "I19": 8.63519663862637,
}


@pytest.mark.weights("tid2013-calibration")
@pytest.mark.parametrize("name", MATLAB)
def test_niqe_is_that_of_matlab(calibration_pair, name: str) -> None:
    # I04 has no flat area and is exact. On the others the signs of residues are fitted: this holds them, no more.
    allowed = 1e-10 if name == "I04" else 1e-4
    assert metric("niqe")(calibration_pair(name)[0]).item() == pytest.approx(MATLAB[name], rel=allowed)


def test_pooled_blocks_that_do_not_overlap_give_niqe(astronaut: Tensor) -> None:
    apart = niqe.niqe(astronaut, astronaut, plane=niqe.grey, step=96)
    assert apart.item() == metric("niqe")(astronaut).item()


def test_pooled_niqe_scores_small_pictures_in_the_order_of_their_damage(astronaut: Tensor, noisy) -> None:
    face = astronaut[:, :, 40:168, 160:288]
    with pytest.raises(PictureError, match="at least 192 px"):
        metric("niqe")(face)
    scores = [metric("niqe-pooled")(noisy(face, strength)).item() for strength in (0.0, 0.05, 0.15, 0.4)]
    assert scores == sorted(scores)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_picture_is_refused(value: float) -> None:
    with pytest.raises(PictureError, match="texture"):
        metric("niqe")(torch.full((1, 3, 256, 256), value))


def test_one_textured_block_is_not_enough(astronaut: Tensor) -> None:
    picture = torch.full((1, 3, 192, 192), 0.5)
    picture[:, :, :90, :90] = astronaut[:, :, 100:190, 200:290]
    with pytest.raises(PictureError, match="this picture has 1"):
        metric("niqe")(picture)


def test_what_lies_beyond_whole_blocks_does_not_count(astronaut: Tensor) -> None:
    whole = astronaut[:, :, :288, :384]
    longer = astronaut[:, :, :330, :470]
    assert metric("niqe")(whole).item() == metric("niqe")(longer).item()


def test_a_damaged_pristine_model_is_refused(tmp_path, monkeypatch) -> None:
    broken = tmp_path / "niqe_pris_params.npz"
    broken.write_bytes(b"PK\3\4 not an archive")
    monkeypatch.setattr(niqe.assets, "path", lambda name: broken)
    niqe._pristine.cache_clear()
    try:
        with pytest.raises(WeightsError, match="weights fetch niqe-pristine"):
            niqe._pristine()
    finally:
        niqe._pristine.cache_clear()
