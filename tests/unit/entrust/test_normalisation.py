"""Intensities to network input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.contract import ONCOLOGY
from entrust.normalisation import normalise, tissue_scale

CT, PET, T1 = ONCOLOGY.modalities
EVERYWHERE = np.ones((4, 8, 8), bool)


def mr(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((4, 8, 8)) < 0.4, rng.random((4, 8, 8)) * 5, rng.gamma(9, 30, (4, 8, 8)))


@given(st.floats(1e-3, 1e4), st.integers(0, 5))
def test_the_scale_of_an_mr_scanner_does_not_matter(scale: float, seed: int) -> None:
    np.testing.assert_allclose(
        normalise(T1, mr(seed) * scale, EVERYWHERE), normalise(T1, mr(seed), EVERYWHERE), atol=2e-5
    )


def test_the_mr_scale_ignores_air_and_single_bright_voxels() -> None:
    tissue = mr()
    with_air = np.concatenate([tissue, np.zeros_like(tissue)])
    spiked = tissue.copy()
    spiked[0, 0, 0] = 1e6
    assert tissue_scale(with_air.ravel()) == pytest.approx(tissue_scale(tissue.ravel()), rel=0.05)
    assert tissue_scale(spiked.ravel()) == pytest.approx(tissue_scale(tissue.ravel()), rel=0.05)


def test_ct_keeps_its_window_and_pet_its_logarithm() -> None:
    hu = np.asarray([-1000, -160, 40, 240, 3000], float).reshape(1, 1, 5)
    here = np.ones((1, 1, 5), bool)
    np.testing.assert_allclose(normalise(CT, hu, here).ravel(), [-1, -1, 0, 1, 1], atol=1e-6)
    suv = np.asarray([-1, 0, 8, 30, 100], float).reshape(1, 1, 5)
    top = np.log(31) / np.log(9)
    np.testing.assert_allclose(normalise(PET, suv, here).ravel(), [0, 0, 1, top, top], atol=1e-6)


@pytest.mark.parametrize("modality", ONCOLOGY.modalities)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_absent_and_absent_is_zero(modality, bad: float) -> None:
    array, present = mr(), EVERYWHERE.copy()
    present[0] = False
    array[1, 2, 3] = bad
    result = normalise(modality, array, present)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert not result[0].any()
    assert result[1, 2, 3] == 0
    # and it leaves its neighbours alone
    repaired = np.where(np.isfinite(array), array, 0)
    present[1, 2, 3] = False
    np.testing.assert_array_equal(result, normalise(modality, repaired, present))


@pytest.mark.parametrize("modality", ONCOLOGY.modalities)
@pytest.mark.parametrize("value", [0.0, -5.0, 1.0])
def test_constant_and_empty_images_stay_finite(modality, value: float) -> None:
    constant = np.full((4, 8, 8), value)
    assert np.isfinite(normalise(modality, constant, EVERYWHERE)).all()
    assert not normalise(modality, constant, ~EVERYWHERE).any()
