from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facefort.errors import PictureError, WeightsError
from facefort.metrics import brisque, metric

# MATLAB's values of five TID2013 pictures (pyiqa, ResultsCalibra/results_official.csv).
OFFICIAL = {"I03": 94.6421, "I04": -0.107618, "I06": 0.992889, "I08": 5.35827, "I19": 72.2617}


@pytest.mark.weights("brisque", "tid2013-calibration")
def test_brisque_is_that_of_matlab(calibration_pair) -> None:
    pictures = torch.cat([calibration_pair(name)[0] for name in OFFICIAL])
    found = metric("brisque")(pictures).numpy()
    error = np.abs(found - list(OFFICIAL.values()))
    assert error[:4].max() < 1e-3
    assert error[4] < 0.05


@pytest.mark.weights("brisque")
def test_odd_sizes_are_scored(astronaut: Tensor) -> None:
    whole, odd = (metric("brisque")(astronaut[:, :, :side, :side]).item() for side in (256, 255))
    assert odd == pytest.approx(whole, abs=2)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_picture_is_refused(value: float) -> None:
    with pytest.raises(PictureError, match="one grey"):
        metric("brisque")(torch.full((1, 3, 64, 64), value))


HEAD = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nnr_class 2\ntotal_sv 2\nrho -153.591\nSV\n"


def test_a_model_is_read_as_numbers(tmp_path: Path) -> None:
    place = tmp_path / "allmodel"
    place.write_text(HEAD + "-1024 1:0.5 36:-0.25\n7 2:1e-3\n")
    machine = brisque._read(place)
    assert machine.coefficients.tolist() == [-1024, 7]
    assert machine.vectors.shape == (2, 36)
    assert machine.vectors[0, [0, 35]].tolist() == [0.5, -0.25]
    assert machine.vectors[1, 1] == 1e-3
    assert (machine.gamma, machine.bias) == (0.05, -153.591)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "svm_type c_svc\nSV\n1 1:2\n",
        HEAD.replace("0.05", "0.06") + "1 1:2\n",
        HEAD + "1 1:two\n",
        HEAD + "1 37:2\n",
        HEAD + "1 1\n",
        HEAD + "import os\n",
    ],
)
def test_a_damaged_model_is_refused(tmp_path: Path, text: str) -> None:
    place = tmp_path / "allmodel"
    place.write_text(text)
    with pytest.raises(WeightsError, match="weights fetch brisque"):
        brisque._read(place)
