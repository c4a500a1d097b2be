"""Rivals get the same temperature and the same head as EnTrust, from what they have."""

import numpy as np
import pytest
import torch

from entrust.contract import ONCOLOGY
from entrust.networks.calibration_head import CalibrationHead
from entrust.uncertainty import decompose, label_maps, pairwise_dice
from training.baselines.features import (
    fit_rival_temperature,
    prepare_rival_for_head,
    rival_features,
    with_temperature,
)
from training.baselines.rival import SMALL_WIDTHS, rivals
from training.baselines.volume import predict_volume
from training.datasets.case import TrainingCase
from training.fit_head import HeadFit, fit_head

D, H, W = 3, 20, 24
RNG = np.random.default_rng(0)


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return (e / e.sum(axis=axis, keepdims=True)).astype(np.float32)


def case(name: str, logits: np.ndarray) -> TrainingCase:
    """A case whose label is drawn from the softmax of ``logits`` [d, c, h, w]."""
    foreground = softmax(logits, 1)[:, 1]
    return TrainingCase(
        name=name,
        images=RNG.normal(size=(3, *foreground.shape)).astype(np.float32),
        presence=np.ones((3, *foreground.shape), dtype=bool),
        label=(RNG.random(foreground.shape) < foreground).astype(np.uint8),
        spacing_mm=ONCOLOGY.spacing_mm,
    )


def test_the_features_are_what_a_rival_knows() -> None:
    samples = softmax(RNG.normal(size=(4, D, 2, H, W)), 2)
    marginal = samples.mean(axis=0)
    presence = np.ones((3, D, H, W), dtype=bool)
    presence[2] = False
    features = rival_features(ONCOLOGY, marginal, samples, presence)
    assert features.shape == (D, ONCOLOGY.num_features, H, W)
    assert np.allclose(features[:, :2], np.log(marginal), atol=1e-5)
    assert np.array_equal(features[:, :2], features[:, 2:4])
    assert np.allclose(features[:, 5], decompose(samples).mutual_information, atol=1e-6)
    assert (features[:, 6:10] == 0).all()
    assert np.allclose(features[:, 10], 2 / 3)
    assert np.allclose(features[:, 11], pairwise_dice(label_maps(samples) > 0))


def test_a_rival_without_hypotheses_disputes_nothing() -> None:
    marginal = softmax(RNG.normal(size=(D, 2, H, W)), 1)
    features = rival_features(ONCOLOGY, marginal, None, np.ones((3, D, H, W), dtype=bool))
    assert np.abs(features[:, 5]).max() < 1e-6
    assert (features[:, 11] == 1).all()
    with torch.inference_mode():
        probability, _, _ = CalibrationHead(ONCOLOGY.num_features, 2)(torch.from_numpy(features))
    assert np.allclose(probability.numpy(), marginal, atol=1e-5)


def test_the_temperature_undoes_overconfidence_of_the_pooled_probability() -> None:
    truth = [RNG.normal(0.0, 1.5, (8, 2, 40, 40)) for _ in range(3)]
    cases = [case(f"p{i}", logits) for i, logits in enumerate(truth)]
    sharp = [softmax(3.0 * logits, 1) for logits in truth]
    temperature = fit_rival_temperature(sharp, cases)
    assert temperature == pytest.approx(3.0, rel=0.1)
    mended = with_temperature(sharp[0], temperature)
    assert np.allclose(mended, softmax(truth[0], 1), atol=0.03)
    assert np.array_equal(mended.argmax(axis=1), sharp[0].argmax(axis=1))
    assert np.allclose(with_temperature(sharp[0], 1.0), sharp[0], atol=1e-5)


def test_a_rivals_volume_goes_through_the_head() -> None:
    rival = rivals(SMALL_WIDTHS)["ssn"]
    torch.manual_seed(0)
    modules = [rival.build(3, 2, len(ONCOLOGY.context_offsets)).eval()]
    cases = [case(f"p{i}", RNG.normal(size=(9, 2, H, W))) for i in range(2)]
    drawn = [predict_volume(rival, modules, ONCOLOGY, c, num_hypotheses=3, seed=0) for c in cases]
    assert drawn[0].marginal.shape == (9, 2, H, W)
    assert drawn[0].samples is not None
    assert drawn[0].samples.shape == (3, 9, 2, H, W)
    assert np.allclose(drawn[0].marginal.sum(axis=1), 1.0, atol=1e-5)
    prepared = [prepare_rival_for_head(ONCOLOGY, c, d.marginal, d.samples) for c, d in zip(cases, drawn, strict=True)]
    head, iterations = fit_head(
        ONCOLOGY, prepared, HeadFit(max_iterations=20, check_every=10, batch=2, crop=16, folds=2)
    )
    assert iterations in (0, 10, 20)
    with torch.inference_mode():
        probability, error_probability, _ = head(torch.from_numpy(prepared[0].features))
    assert np.array_equal(probability.numpy().argmax(axis=1), drawn[0].marginal.argmax(axis=1))
    assert bool(((error_probability > 0) & (error_probability < 1)).all())


def test_conflict_reaches_the_volume_where_a_rival_has_it() -> None:
    chosen = rivals(SMALL_WIDTHS)
    given = case("p", RNG.normal(size=(2, 2, H, W)))
    for name, has in (("evidential-fusion", True), ("unet-ce", False)):
        modules = [chosen[name].build(3, 2, len(ONCOLOGY.context_offsets)).eval()]
        drawn = predict_volume(chosen[name], modules, ONCOLOGY, given, num_hypotheses=1, seed=0)
        assert (drawn.conflict is not None) == has
        if drawn.conflict is not None:
            assert drawn.pair_conflict is not None
            assert drawn.conflict.shape == (2, H, W)
            assert drawn.pair_conflict.shape == (3, 2, H, W)
            # joining a third modality never removes a contradiction
            assert (drawn.conflict >= drawn.pair_conflict.max(axis=0) - 1e-5).all()
