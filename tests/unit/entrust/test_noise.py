"""Noise that is partly smooth: unit variance everywhere, stratified over hypotheses, the same for the same seed."""

import numpy as np
import pytest

from entrust.noise import NoiseModel
from entrust.sampling import HypothesisNoise


@pytest.mark.parametrize("size", [16, 48, 96, 100])
def test_smoothing_keeps_the_variance(size: int) -> None:
    rows = NoiseModel(1.0, cell=8).smoothing_matrix(size)
    assert rows.shape == (size, NoiseModel(1.0, cell=8).nodes(size))
    np.testing.assert_allclose((rows**2).sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_every_pixel_has_unit_variance_over_seeds(share: float) -> None:
    draws = np.concatenate([HypothesisNoise(s, 8, 1, 24, 24, NoiseModel(share)).start()[0, :, 0] for s in range(300)])
    np.testing.assert_allclose(draws.std(axis=0), 1.0, atol=0.08)
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=0.08)


def test_neighbours_agree_and_distant_places_do_not() -> None:
    draws = np.concatenate(
        [HypothesisNoise(s, 4, 1, 64, 64, NoiseModel(1.0)).start()[0, :, 0] for s in range(400)]
    ).reshape(1600, -1)
    here, beside, far = (draws[:, row * 64 + column] for row, column in ((32, 20), (32, 22), (32, 52)))
    assert np.corrcoef(here, beside)[0, 1] > 0.8
    assert abs(np.corrcoef(here, far)[0, 1]) < 0.1


@pytest.mark.parametrize("k", [4, 8, 16])
def test_what_is_probable_at_pi_happens_in_about_pi_of_the_hypotheses(k: int) -> None:
    """Counted where the smooth field crosses a threshold: closer to its probability than independent draws come."""
    stratified, independent = [], []
    rng = np.random.default_rng(0)
    for seed in range(200):
        field = HypothesisNoise(seed, k, 1, 32, 32, NoiseModel(1.0)).start()[0, :, 0, 16, 16]
        stratified.append(abs((field > 0.0).mean() - 0.5))
        independent.append(abs((rng.standard_normal(k) > 0.0).mean() - 0.5))
    assert np.mean(stratified) < 0.75 * np.mean(independent)


def test_a_seed_and_a_step_decide_the_noise() -> None:
    a, b = (HypothesisNoise(7, 8, 2, 32, 32, NoiseModel(0.5)) for _ in range(2))
    np.testing.assert_array_equal(a(0), b(0))
    assert not np.array_equal(a(0), a(1))
    assert not np.array_equal(a.start(), HypothesisNoise(8, 8, 2, 32, 32, NoiseModel(0.5)).start())
    assert a.start().dtype == np.float32
