"""From a phantom to what is known of it, and from released networks to what they say."""

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.metrics import disagreement
from entrust.networks.release import untrained_networks
from training.cohort import statistic
from training.datasets.case import TrainingCase
from training.datasets.phantoms.limb import LimbPhantom, make_phantom
from training.scorecard import Answer, oracle, score, with_nested_thresholds
from training.simulated_scores import NUM_LABELS, answer_of, limb_truth

DRAWS = 8


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def phantom() -> LimbPhantom:
    return make_phantom(9004, conflict=True)


def test_readers_agree_on_the_tumour_and_dispute_the_conflict_as_a_whole(phantom: LimbPhantom) -> None:
    truth = limb_truth(phantom, ONCOLOGY, DRAWS)
    np.testing.assert_array_equal(truth.labels[0], phantom.gtv)
    assert len(truth.labels) == NUM_LABELS
    assert len(truth.draws) == DRAWS
    np.testing.assert_array_equal(disagreement(np.concatenate([truth.labels, truth.draws])), phantom.conflict)
    for label in (*truth.labels, *truth.draws):
        inside = label[phantom.conflict]
        assert inside.all() or not inside.any()
    np.testing.assert_allclose(truth.probability.sum(axis=0), 1)
    np.testing.assert_allclose(truth.probability[1][phantom.conflict], phantom.label_probability)
    np.testing.assert_array_equal(truth.probability[1] == 1, phantom.certain)
    assert ONCOLOGY.pairs[truth.responsible[0].argmax()] == phantom.conflict_pair
    again = limb_truth(phantom, ONCOLOGY, DRAWS)
    np.testing.assert_array_equal(again.draws, truth.draws)


def test_the_oracle_of_a_phantom_has_no_error_against_the_truth(phantom: LimbPhantom) -> None:
    truth = limb_truth(phantom, ONCOLOGY, DRAWS)
    run = [score(oracle(truth), truth)]
    for name, best in (("kl.image", 0), ("ece_to_truth.foreground", 0), ("coherence", 1), ("attribution", 1)):
        found = statistic(run, name)
        assert found is not None
        assert found.value == pytest.approx(best, abs=1e-9), name


def test_a_phantom_without_conflict_is_certain() -> None:
    phantom = make_phantom(9004, conflict=False)
    truth = limb_truth(phantom, ONCOLOGY, DRAWS)
    assert truth.conflicts.shape == (0, *phantom.gtv.shape)
    np.testing.assert_array_equal(truth.probability[1], phantom.certain)
    assert not disagreement(truth.labels).any()
    scored = score(oracle(truth), truth)
    assert (scored.numbers["dice"], scored.numbers["brier.foreground"], scored.numbers["volume_crps_ml"]) == (1, 0, 0)


def test_networks_answer_with_all_that_is_scored(rng: np.random.Generator) -> None:
    shape = (3, 32, 48)
    images = rng.normal(size=(3, *shape)).astype(np.float32)
    label = np.zeros(shape, np.uint8)
    label[1, 10:20, 10:30] = 1
    case = TrainingCase("noise", images, np.ones(images.shape, bool), label, ONCOLOGY.spacing_mm)
    answer = answer_of(untrained_networks(ONCOLOGY), ONCOLOGY, case)
    assert answer.probability.shape == (2, *shape)
    np.testing.assert_allclose(answer.probability.sum(axis=0), 1, atol=1e-5)
    assert answer.hypotheses.shape == (ONCOLOGY.num_hypotheses, *shape)
    assert answer.interval_ml is not None
    assert answer.interval_ml[0] <= answer.interval_ml[1]
    assert answer.pair_evidence is not None
    assert answer.pair_evidence.shape == (len(ONCOLOGY.pairs), *shape)


def test_nested_thresholds_are_nested_and_have_the_probability_as_their_mean(rng: np.random.Generator) -> None:
    p = rng.dirichlet([2, 1, 1], size=(2, 9, 9)).transpose(3, 0, 1, 2)
    plain = Answer(p, np.zeros((16, 2, 9, 9), np.uint8), 1 - p.max(axis=0), 1.0, (0.0, 1.0))
    nested = with_nested_thresholds(plain)
    for structure in (1, 2):
        masks = nested.hypotheses >= structure
        assert (masks[1:] <= masks[:-1]).all()
        np.testing.assert_allclose(masks.mean(axis=0), p[structure:].sum(axis=0), atol=0.5 / 16 + 1e-9)
    assert nested.interval_ml is None
    assert nested.probability is plain.probability
