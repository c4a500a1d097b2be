"""What the calibration head sees, and the joined answer."""

import numpy as np
import pytest

from entrust.conflict import ProbeShifts, probe_plan, probe_shifts
from entrust.contract import ONCOLOGY, FittedConstants
from entrust.trustmap import build_trust_map, calibration_features
from entrust.uncertainty import Hypotheses, decompose, entropy, mix, pairwise_dice, softmax

D, C, H, W, K = 3, 2, 4, 5, 4
CONSTANTS = FittedConstants(kappa=0.7)


def random_softmax(rng: np.random.Generator, *lead: int) -> np.ndarray:
    return softmax(3 * rng.normal(size=(*lead, D, C, H, W)).astype(np.float32), axis=-3)


@pytest.fixture
def hypotheses(rng: np.random.Generator) -> Hypotheses:
    probes = probe_plan(ONCOLOGY, (True, True, True))
    return Hypotheses(
        marginal=random_softmax(rng),
        samples=random_softmax(rng, K),
        conflict=rng.random((D, H, W), dtype=np.float32),
        pair_conflict=rng.random((3, D, H, W), dtype=np.float32),
        unimodal=random_softmax(rng, 3),
        probes=probes,
        probe_marginals=random_softmax(rng, len(probes)),
    )


@pytest.fixture
def shifts(hypotheses: Hypotheses) -> ProbeShifts:
    return probe_shifts(ONCOLOGY, hypotheses.probes, hypotheses.probe_marginals)


def test_each_channel_is_what_its_place_says(hypotheses: Hypotheses, shifts: ProbeShifts) -> None:
    presence = np.ones((3, D, H, W), bool)
    presence[2, :, 2:] = False
    f = calibration_features(ONCOLOGY, hypotheses, shifts, CONSTANTS, presence)
    assert f.shape == (D, ONCOLOGY.num_features, H, W)
    assert f.dtype == np.float32
    mixture = mix(hypotheses.marginal, hypotheses.samples.mean(axis=0), 0.7)
    expected = [
        np.log(mixture[:, 0]),
        np.log(mixture[:, 1]),
        np.log(hypotheses.marginal[:, 0]),
        np.log(hypotheses.marginal[:, 1]),
        entropy(mixture, axis=1) / np.log(2),
        decompose(hypotheses.samples).mutual_information,
        hypotheses.conflict,
        shifts.sensitivity,
        shifts.leave_one_out.max(axis=0),
        np.ptp(shifts.leave_one_out, axis=0),
        presence.mean(axis=0),
        np.full((D, H, W), pairwise_dice(hypotheses.samples[:, :, 1] > 0.5)),
    ]
    np.testing.assert_allclose(f, np.stack(expected, axis=1), atol=1e-6)


def test_certain_hypotheses_give_finite_features(hypotheses: Hypotheses, shifts: ProbeShifts) -> None:
    certain = np.zeros_like(hypotheses.samples)
    certain[:, :, 0] = 1
    sure = Hypotheses(**(vars(hypotheses) | {"samples": certain, "marginal": certain[0]}))
    f = calibration_features(ONCOLOGY, sure, shifts, CONSTANTS, np.zeros((3, D, H, W), bool))
    assert np.isfinite(f).all()
    assert f[:, 1].max() == pytest.approx(np.log(1e-6), rel=1e-5)


def test_the_order_of_hypotheses_changes_no_feature(hypotheses: Hypotheses, shifts: ProbeShifts) -> None:
    presence = np.ones((3, D, H, W), bool)
    shuffled = Hypotheses(**(vars(hypotheses) | {"samples": hypotheses.samples[[2, 0, 3, 1]]}))
    np.testing.assert_allclose(
        calibration_features(ONCOLOGY, shuffled, shifts, CONSTANTS, presence),
        calibration_features(ONCOLOGY, hypotheses, shifts, CONSTANTS, presence),
        atol=1e-5,
    )


def test_the_map_joins_answer_and_reasons(
    hypotheses: Hypotheses, shifts: ProbeShifts, rng: np.random.Generator
) -> None:
    probability, error = random_softmax(rng), rng.random((D, H, W), dtype=np.float32)
    trust = build_trust_map(ONCOLOGY, hypotheses, shifts, CONSTANTS, probability, error, np.ones((D, H, W), bool))
    np.testing.assert_array_equal(trust.probability, np.moveaxis(probability, 1, 0))
    assert trust.label_map.dtype == np.uint8
    np.testing.assert_array_equal(trust.label_map, probability[:, 1] > probability[:, 0])
    np.testing.assert_array_equal(trust.predictive_entropy, trust.expected_entropy + trust.mutual_information)
    assert list(trust.attribution) == ["ct", "pet", "t1"]
    np.testing.assert_array_equal(trust.attribution["pet"], shifts.leave_one_out[1])
    np.testing.assert_array_equal(trust.hypothesis_label_maps, hypotheses.samples.argmax(axis=2))
    assert trust.agreement == pytest.approx(pairwise_dice(trust.hypothesis_label_maps > 0))


def test_where_nothing_was_acquired_there_is_background_and_no_doubt(
    hypotheses: Hypotheses, shifts: ProbeShifts, rng: np.random.Generator
) -> None:
    probability, error = random_softmax(rng), rng.random((D, H, W), dtype=np.float32)
    imaged = np.ones((D, H, W), bool)
    imaged[:, : H // 2] = False
    trust = build_trust_map(ONCOLOGY, hypotheses, shifts, CONSTANTS, probability, error, imaged)
    whole = build_trust_map(ONCOLOGY, hypotheses, shifts, CONSTANTS, probability, error, np.ones((D, H, W), bool))
    np.testing.assert_allclose(trust.probability.sum(axis=0), 1.0, rtol=1e-5)
    assert not trust.label_map[~imaged].any()
    assert not trust.hypothesis_label_maps[:, ~imaged].any()
    for name in ("error_probability", "predictive_entropy", "mutual_information", "conflict"):
        assert not getattr(trust, name)[~imaged].any()
        np.testing.assert_array_equal(getattr(trust, name)[imaged], getattr(whole, name)[imaged])
    np.testing.assert_array_equal(trust.label_map[imaged], whole.label_map[imaged])


def test_the_map_weighs_its_witnesses_as_the_constants_say(
    hypotheses: Hypotheses, shifts: ProbeShifts, rng: np.random.Generator
) -> None:
    probability, error, imaged = random_softmax(rng), rng.random((D, H, W), dtype=np.float32), np.ones((D, H, W), bool)
    gate = build_trust_map(ONCOLOGY, hypotheses, shifts, CONSTANTS, probability, error, imaged)
    np.testing.assert_array_equal(gate.conflict, hypotheses.conflict)
    np.testing.assert_array_equal(gate.pair_conflict, hypotheses.pair_conflict)
    asked = FittedConstants(probe_share=0.5, doubt_share=0.5)
    probed = build_trust_map(ONCOLOGY, hypotheses, shifts, asked, probability, error, imaged)
    doubt = entropy(hypotheses.marginal, axis=1) / np.log(2)
    np.testing.assert_allclose(
        probed.conflict, np.sqrt(shifts.leave_one_out.max(axis=0) / np.log(2) * doubt), rtol=1e-4
    )
    np.testing.assert_allclose(probed.pair_conflict.sum(axis=0), probed.conflict, rtol=1e-5)
