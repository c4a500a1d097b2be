"""The calibration head repairs overconfidence that it can see, and leaves a calibrated map alone."""

import numpy as np
import pytest
import torch

from entrust.contract import ONCOLOGY
from entrust.metrics import classwise_ece
from training.fit_head import CalibrationCase, HeadFit, fit_head

QUICK = HeadFit(max_iterations=100, check_every=50, batch=4, crop=24, folds=2)


def cases(sharpness: float, num: int = 4) -> list[CalibrationCase]:
    """Patients whose true log-odds are known and whose stated log-odds are ``sharpness`` times those."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(num):
        log_odds = rng.normal(0.0, 1.5, (6, 32, 32))
        label = (rng.random(log_odds.shape) < 1.0 / (1.0 + np.exp(-log_odds))).astype(np.uint8)
        stated = 1.0 / (1.0 + np.exp(-sharpness * log_odds))
        p = np.stack([1.0 - stated, stated], axis=1).clip(1e-6, 1.0)
        features = np.zeros((6, ONCOLOGY.num_features, 32, 32), dtype=np.float32)
        features[:, :2] = features[:, 2:4] = np.log(p)
        made.append(CalibrationCase(f"p{i}", features, label, np.ones(label.shape, dtype=np.float32)))
    return made


def ece(case: CalibrationCase, probability: np.ndarray) -> float:
    everywhere = np.ones(case.label.shape, dtype=bool)
    return classwise_ece(np.ascontiguousarray(probability.swapaxes(0, 1)), case.label, everywhere)


@pytest.mark.parametrize(("sharpness", "gain"), [(3.0, 0.5), (1.0, 1.15)])
def test_the_head_mends_what_is_broken(sharpness: float, gain: float) -> None:
    known, fresh = cases(sharpness), cases(sharpness, num=5)[-1]
    head, _ = fit_head(ONCOLOGY, known, QUICK)
    with torch.inference_mode():
        probability, error_probability, _ = head(torch.from_numpy(fresh.features))
    stated = np.exp(fresh.features[:, :2])
    assert ece(fresh, probability.numpy()) < gain * ece(fresh, stated)
    assert np.array_equal(probability.numpy().argmax(axis=1), stated.argmax(axis=1))
    wrong = stated.argmax(axis=1) != fresh.label
    assert float(error_probability.mean()) == pytest.approx(float(wrong.mean()), abs=0.05)
