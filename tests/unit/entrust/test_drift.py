"""Drift: the numbers see what a scanner changes and nothing else, and the range is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.contract import ONCOLOGY
from entrust.drift import Band, CalibrationReference, intensity_statistics

CT, PET, T1 = (ONCOLOGY.modality(slug) for slug in ("ct", "pet", "t1"))
SHAPE = (4, 20, 24)


def limb(noise: float, seed: int = 0) -> np.ndarray:
    """A bright disc in air, as the networks see CT."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    plane = np.where(np.hypot(y - 10, x - 12) < 8, 0.1, -1.0)
    jitter = np.random.default_rng(seed).normal(0.0, noise, SHAPE)
    return np.where(plane > -1, plane + jitter, -1.0)


def test_noise_shows_in_sharpness_and_brightness_in_the_mean() -> None:
    everywhere = np.ones(SHAPE, bool)
    quiet, noisy = (intensity_statistics(CT, limb(noise), everywhere) for noise in (0.01, 0.05))
    assert noisy["sharpness"] == pytest.approx(5 * quiet["sharpness"], rel=0.1)
    assert quiet["mean"] == pytest.approx(1.1, abs=0.01), "above the darkest value"
    assert noisy["mean"] == pytest.approx(quiet["mean"], abs=0.01)
    brighter = np.where(limb(0.01) > -1, limb(0.01) + 0.2, -1.0)
    assert intensity_statistics(CT, brighter, everywhere)["mean"] == pytest.approx(quiet["mean"] + 0.2, abs=1e-6)


def test_the_amount_of_air_around_does_not_matter() -> None:
    image = limb(0.02)
    wide = np.pad(image, ((0, 0), (9, 9), (5, 5)), constant_values=-1.0)
    one = intensity_statistics(CT, image, np.ones(image.shape, bool))
    two = intensity_statistics(CT, wide, np.ones(wide.shape, bool))
    assert one == pytest.approx(two)


def test_what_was_not_acquired_is_not_looked_at() -> None:
    image = limb(0.02)
    present = np.zeros(SHAPE, bool)
    present[:2] = True
    spoilt = image.copy()
    spoilt[2:] = 1.0
    assert intensity_statistics(CT, spoilt, present) == intensity_statistics(CT, image, present)
    assert intensity_statistics(T1, np.zeros(SHAPE), np.zeros(SHAPE, bool)) == {}
    assert intensity_statistics(PET, np.zeros(SHAPE), np.ones(SHAPE, bool)) == {}


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_the_calibration_set_lies_within_its_own_range(values: list[float]) -> None:
    band = Band.of(values)
    assert {band.verdict(value) for value in values} == {"within"}
    assert band.verdict(band.high + 1e-3) == "above"
    assert band.verdict(band.low - 1e-3) == "below"
    assert band.low <= band.median <= band.high


def test_one_more_study_of_the_same_kind_is_outside_in_two_of_n_and_one_cases() -> None:
    generator = np.random.default_rng(1)
    draws = generator.normal(size=(20_000, 7))
    outside = np.mean([Band.of(row[:6]).verdict(row[6]) != "within" for row in draws[:4000]])
    assert outside == pytest.approx(2 / 7, abs=0.03)


def test_a_reference_survives_its_file() -> None:
    reference = CalibrationReference("oncology", "ab", 6, {"agreement": Band(0.1, 0.25, 0.5)})
    assert CalibrationReference.from_json(reference.to_json()) == reference
    for text in ("{}", "[]", '{"task": "x", "digest": "", "studies": 1, "bands": {"a": {"low": 1}}}', "nonsense"):
        with pytest.raises(ValueError):  # noqa: PT011
            CalibrationReference.from_json(text)
