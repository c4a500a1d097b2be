"""What the scorecard says of methods that are known to be right in part."""

from collections.abc import Sequence

import numpy as np
import pytest

from entrust import metrics
from entrust.metrics import Domain
from tests.factories.conflict_world import (
    NUM_PAIRS,
    make_calm_truth,
    make_truth,
    nested_thresholds,
    salt_and_pepper,
    sure_of_the_mode,
)
from training.scorecard import COLUMNS, CaseScore, comparison, oracle, score, statistic, table

Methods = dict[str, list[CaseScore]]


@pytest.fixture(scope="module")
def methods() -> Methods:
    truths = [make_truth(seed) for seed in range(40)]
    return {
        "oracle": [score(oracle(t, NUM_PAIRS), t) for t in truths],
        "salt and pepper": [score(salt_and_pepper(t, seed), t) for seed, t in enumerate(truths)],
        "nested thresholds": [score(nested_thresholds(t), t) for t in truths],
        "mode": [score(sure_of_the_mode(t), t) for t in truths],
    }


def value(scores: Sequence[CaseScore], name: str) -> float:
    found = statistic(scores, name)
    assert found is not None
    return found.value


def test_calibration_cannot_tell_noise_from_the_truth_and_coherence_can(methods: Methods) -> None:
    truth, noise, nested = (methods[name] for name in ("oracle", "salt and pepper", "nested thresholds"))
    for name in ("ece.foreground", "brier.conflict", "nll.image", "micro_ece", "ece_to_truth.conflict"):
        assert value(noise, name) == value(truth, name) == value(nested, name)
    assert value(truth, "coherence") == value(nested, "coherence") == 1
    assert value(noise, "coherence") < 0.2
    assert value(truth, "slice_coherence") == 1
    assert value(noise, "mode_frequency_error") > 2 * value(truth, "mode_frequency_error")
    assert value(noise, "ged") > value(truth, "ged")


def test_only_the_joint_state_finds_nested_thresholds_out(methods: Methods) -> None:
    truth, nested = methods["oracle"], methods["nested thresholds"]
    assert value(nested, "mode_frequency_error") < value(truth, "mode_frequency_error")
    found = comparison(nested, truth, "joint_state")
    assert found is not None
    assert found.low > 0.1


def test_certainty_costs_where_the_truth_is_uncertain(methods: Methods) -> None:
    truth, mode = methods["oracle"], methods["mode"]
    assert value(mode, "dice") == value(truth, "dice")
    for name in ("nll.foreground", "kl.conflict", "probability_error.conflict", "ece_to_truth.foreground"):
        found = comparison(mode, truth, name)
        assert found is not None
        assert found.low > 0
    ratio = comparison(truth, mode, "brier.conflict", "ratio")
    assert ratio is not None
    assert ratio.value < 1


def test_the_oracles_row_is_what_the_closed_forms_say(methods: Methods) -> None:
    truths = [make_truth(seed) for seed in range(40)]
    floors = {
        "joint_state": np.mean([metrics.joint_state_floor(t.states, 16) for t in truths]),
        "mode_frequency_error": np.mean([metrics.mode_frequency_floor(t.states, 16) for t in truths]),
        "ged": np.mean([metrics.ged_floor(t.labels, 2, 16) for t in truths]),
        "brier.conflict": np.mean([metrics.brier_floor(t.probability, t.conflict) for t in truths]),
        "nll.conflict": np.mean([metrics.nll_floor(t.probability, t.conflict) for t in truths]),
    }
    for name, floor in floors.items():
        found = statistic(methods["oracle"], name)
        assert found is not None
        estimate = metrics.bootstrap(found)
        assert estimate.low < floor < estimate.high, name
    for name in ("ece_to_truth.foreground", "kl.image", "probability_error.conflict"):
        assert value(methods["oracle"], name) == pytest.approx(0, abs=1e-12)
    assert value(methods["oracle"], "ece.foreground") > 0.01, "labels are drawn: the truth's own ECE is not 0"
    for name in ("conflict_aupr", "conflict_dice", "attribution"):
        assert value(methods["oracle"], name) == 1


def test_the_numbers_of_a_case_are_those_of_the_metrics() -> None:
    truth = make_truth(5)
    answer = oracle(truth, NUM_PAIRS)
    scored = score(answer, truth)
    mask, label = answer.probability.argmax(axis=0), truth.labels[0]
    fore = metrics.foreground_domain(mask > 0, truth.labels.any(axis=0), spacing_mm=truth.spacing_mm)
    assert scored.numbers["ece.foreground"] == metrics.classwise_ece(answer.probability, label, fore)
    assert scored.numbers["dice"] == metrics.dice(mask > 0, label > 0)
    assert scored.numbers["ged"] == metrics.ged(truth.draws, truth.labels, 2)
    assert scored.diagrams[Domain.IMAGE].count.sum() == label.size
    assert scored.errors.hits.sum() == (mask != label)[fore].sum()
    assert truth.diagonal_mm == pytest.approx(np.sqrt(18**2 + 48**2 + 48**2))


def test_the_table_tells_every_metric_of_every_method(methods: Methods) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(methods, num=200).splitlines()]
    assert rows[0] == ["metric", *methods]
    assert [row[0] for row in rows[2:]] == list(COLUMNS.values())
    cells = {row[0]: row[1:] for row in rows[2:]}
    assert all(cell != "–" for row in rows[2:] for cell in row[1:2]), "the oracle has everything"
    assert cells["attribution"][1:] == ["–"] * 3, "who has no evidence has no attribution"
    assert cells["coherence"][0] == "1.000 [1.000, 1.000]"


def test_a_case_without_foreground_and_conflict_has_what_applies() -> None:
    truth = make_calm_truth()
    scored = score(oracle(truth, NUM_PAIRS), truth)
    assert (scored.numbers["dice"], scored.numbers["hd95_mm"], scored.numbers["ged"]) == (1, 0, 0)
    assert scored.numbers["covered"] == 1
    for name in ("ece.foreground", "brier.conflict", "coherence", "joint_state", "conflict_aupr", "error_auroc"):
        assert np.isnan(scored.numbers[name]), name
    assert set(scored.numbers) <= set(COLUMNS)
    assert statistic([scored], "joint_state") is None
    assert comparison([scored], [scored], "joint_state") is None


def test_a_metric_that_few_patients_have_is_told_without_an_interval() -> None:
    truths = [make_truth(1), *[make_calm_truth()] * 3]
    rows = table({"oracle": [score(oracle(t, NUM_PAIRS), t) for t in truths]}, num=200).splitlines()
    assert "| coherence | 1.000 |" in rows
    dice = next(row for row in rows if row.startswith("| Dice |"))
    assert "[" in dice
