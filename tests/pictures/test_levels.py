from __future__ import annotations

import numpy as np
import pytest

from facefort.errors import PictureError
from facefort.pictures.levels import to_levels, to_unit


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_every_level_survives(bits, dtype):
    every = np.arange(2**bits).astype(dtype).reshape(-1, 16, 1)
    unit = to_unit(every, 2**bits - 1, 1)
    assert (unit.min(), unit.max()) == (0, 1)
    back = to_levels(unit, bits)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, every)


def test_many_bands_give_what_one_does(rng):
    levels = rng.integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    unit = to_unit(levels, 255, 3)
    np.testing.assert_array_equal(unit, levels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(to_levels(unit, 8), levels)


def test_halves_round_up_and_the_rest_is_clipped():
    values = np.array([[[-1.0, 0.5 / 255, 1.49 / 255, 2.0]]], np.float32)
    assert to_levels(values, 8).ravel().tolist() == [0, 1, 1, 255]


def test_a_nan_in_a_late_band_is_found():
    unit = np.zeros((900, 1200, 3), np.float32)
    unit[899, 1199, 2] = np.nan
    with pytest.raises(PictureError, match="NaN"):
        to_levels(unit, 8)
