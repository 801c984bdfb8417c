from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.special import gamma

from facefort.metrics import scenes
from facefort.metrics.scenes import fit_asymmetric, fit_symmetric, halved


def test_halving_is_that_of_matlab() -> None:
    # MATLAB: imresize(0:7, 0.5) of a row, repeated downwards; bicubic with antialiasing, mirrored ends.
    ramp = np.tile(np.arange(16.0), (16, 1))
    half = halved(ramp)
    assert half.shape == (8, 8)
    np.testing.assert_allclose(half[:, 2:-2], np.tile(2 * np.arange(2, 6) + 0.5, (8, 1)), atol=1e-12)
    stripes = np.tile(np.arange(16) % 2.0, (16, 1))
    np.testing.assert_allclose(halved(stripes)[:, 2:-2], 0.5, atol=1e-12)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
def test_the_fit_finds_the_shape_and_scales_of_its_own_samples(shape: float) -> None:
    rng = np.random.default_rng(0)
    magnitude = rng.gamma(1 / shape, size=(3, 90000)) ** (1 / shape)
    # An asymmetric generalised Gaussian falls on either side in proportion to its scale there.
    above = rng.random(magnitude.shape) < 3 / 4
    found, left, right = fit_asymmetric(np.where(above, 3 * magnitude, -magnitude))
    np.testing.assert_allclose(found, shape, rtol=0.05)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    np.testing.assert_allclose(left * scale, 1, rtol=0.05)
    np.testing.assert_allclose(right * scale, 3, rtol=0.05)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
def test_the_symmetric_fit_finds_the_shape_and_deviation_of_its_own_samples(shape: float) -> None:
    rng = np.random.default_rng(0)
    magnitude = rng.gamma(1 / shape, size=90000) ** (1 / shape)
    samples = np.where(rng.random(magnitude.shape) < 1 / 2, magnitude, -magnitude)
    found, deviation = fit_symmetric(samples)
    assert found == pytest.approx(shape, rel=0.05)
    assert deviation == pytest.approx(samples.std(), rel=0.01)


def test_residues_of_flat_areas_keep_the_signs_that_were_fitted() -> None:
    """Of greys in the flat areas of the calibration pictures; on any machine, hence exact."""
    signs = scenes._residue_signs()
    assert signs[[128, 78, 103, 53, 85]].tolist() == [0] * 5
    assert signs[[153, 162, 140, 87, 74, 248]].tolist() == [1, -1, -1, -1, -1, -1]


def test_a_flat_area_is_normalised_to_nothing_but_its_sign() -> None:
    plane = np.full((40, 40), 153.0)
    normal = scenes.normalised(plane, cv2.BORDER_REPLICATE)
    assert np.all((normal > 0) & (normal < 1e-12))
