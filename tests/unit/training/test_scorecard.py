"""What the scorecard says of methods that are known to be right in part."""

import numpy as np
import pytest

from entrust import metrics
from entrust.metrics import Domain
from tests.factories.conflict_world import (
    boundary_lover,
    make_calm_truth,
    make_truth,
    nested_thresholds,
    salt_and_pepper,
    sure_of_the_mode,
)
from training.cohort import Method, Run, comparison, names, statistic, table
from training.scorecard import oracle, score


@pytest.fixture(scope="module")
def methods() -> dict[str, Method]:
    truths = [make_truth(seed) for seed in range(40)]
    return {
        "oracle": [[score(oracle(t), t) for t in truths]],
        "salt and pepper": [[score(salt_and_pepper(t, n), t) for n, t in enumerate(truths)]],
        "nested thresholds": [[score(nested_thresholds(t), t) for t in truths]],
        "mode": [[score(sure_of_the_mode(t), t) for t in truths]],
        "boundary": [[score(boundary_lover(t), t) for t in truths]],
    }


def value(method: Method, name: str) -> float:
    found = statistic(method[0], name)
    assert found is not None
    return found.value


def test_calibration_cannot_tell_noise_from_the_truth_and_coherence_can(methods: dict[str, Method]) -> None:
    truth, noise, nested = (methods[name] for name in ("oracle", "salt and pepper", "nested thresholds"))
    for name in ("ece.foreground", "brier.conflict", "nll.image", "micro_ece.foreground", "ece_to_truth.conflict"):
        assert value(noise, name) == value(truth, name) == value(nested, name)
    assert value(truth, "coherence") == value(nested, "coherence") == 1
    assert value(noise, "coherence") < 0.2
    assert value(truth, "slice_coherence") == 1
    assert value(noise, "mode_frequency_error") > 2 * value(truth, "mode_frequency_error")
    assert value(noise, "ged") > value(truth, "ged")


def test_only_the_joint_state_finds_nested_thresholds_out(methods: dict[str, Method]) -> None:
    truth, nested = methods["oracle"], methods["nested thresholds"]
    assert value(nested, "mode_frequency_error") < value(truth, "mode_frequency_error")
    found = comparison(nested, truth, "joint_state")
    assert found is not None
    assert found.low > 0.1


def test_certainty_costs_where_the_truth_is_uncertain(methods: dict[str, Method]) -> None:
    truth, mode = methods["oracle"], methods["mode"]
    assert value(mode, "dice") == value(truth, "dice")
    for name in ("nll.foreground", "kl.conflict", "probability_error.conflict", "ece_to_truth.foreground"):
        found = comparison(mode, truth, name)
        assert found is not None
        assert found.low > 0
    ratio = comparison(truth, mode, "brier.conflict", "ratio")
    assert ratio is not None
    assert ratio.value < 1


def test_the_oracles_row_is_what_the_closed_forms_say(methods: dict[str, Method]) -> None:
    truths = [make_truth(seed) for seed in range(40)]
    floors = {
        "joint_state": np.mean([metrics.joint_state_floor(t.states, 16) for t in truths]),
        "mode_frequency_error": np.mean([metrics.mode_frequency_floor(t.states, 16) for t in truths]),
        "ged": np.mean([metrics.ged_floor(t.labels, 2, 16) for t in truths]),
        "brier.conflict": np.mean([metrics.brier_floor(t.probability, t.conflict) for t in truths]),
        "nll.conflict": np.mean([metrics.nll_floor(t.probability, t.conflict) for t in truths]),
    }
    for name, floor in floors.items():
        found = statistic(methods["oracle"][0], name)
        assert found is not None
        estimate = metrics.bootstrap(found)
        assert estimate.low < floor < estimate.high, name
    for name in ("ece_to_truth.foreground", "kl.image", "probability_error.conflict"):
        assert value(methods["oracle"], name) == pytest.approx(0, abs=1e-12)
    assert value(methods["oracle"], "ece.foreground") > 0.01, "labels are drawn: the truth's own ECE is not 0"
    for name in ("conflict_aupr.foreground", "conflict_best_dice.image", "conflict_dice", "pointing", "attribution"):
        assert value(methods["oracle"], name) == 1


def test_the_numbers_of_a_case_are_those_of_the_metrics() -> None:
    truth = make_truth(5)
    answer = oracle(truth)
    scored = score(answer, truth)
    mask, label = answer.probability.argmax(axis=0), truth.labels[0]
    fore = metrics.foreground_domain(mask > 0, truth.labels.any(axis=0), spacing_mm=truth.spacing_mm)
    assert scored.numbers["ece.foreground"] == metrics.classwise_ece(answer.probability, label, fore)
    assert scored.numbers["dice"] == metrics.dice(mask > 0, label > 0)
    assert scored.numbers["ged"] == metrics.ged(truth.draws, truth.labels, 2)
    assert scored.diagrams[Domain.IMAGE].count.sum() == label.size
    assert scored.errors.hits.sum() == (mask != label)[fore].sum()
    assert truth.diagonal_mm == pytest.approx(np.sqrt(18**2 + 48**2 + 48**2))


def test_a_map_of_boundaries_is_found_out_by_its_hard_negatives(methods: dict[str, Method]) -> None:
    lover = methods["boundary"]
    assert value(lover, "conflict_auroc.image") > 0.7, "on the image, any boundary looks like a find"
    assert value(lover, "conflict_aupr.against boundary") < 1.1 * value(lover, "prevalence.against boundary")
    assert value(lover, "conflict_auroc.against boundary") < 0.5
    assert value(lover, "conflict_auroc.against faint") > 0.5
    assert value(methods["oracle"], "conflict_auroc.against boundary") == 1


def test_ratios_above_the_floor_say_how_much_of_what_could_be_had_is_left(methods: dict[str, Method]) -> None:
    truth, mode, noise = (methods[name] for name in ("oracle", "mode", "salt and pepper"))
    plain = comparison(noise, mode, "brier.conflict", "ratio")
    above = comparison(noise, mode, "brier.conflict", "ratio", floor=truth[0])
    assert plain is not None
    assert above is not None
    assert above.value == 0, "it has the true probability"
    assert 0 < plain.value < 1
    for name in ("micro_ece.foreground", "aurc", "dice"):
        found = comparison(mode, mode, name, "ratio")
        assert found is not None
        assert (found.value, found.low, found.high) == (1, 1, 1)


def test_seeds_are_averaged_and_their_spread_is_told(methods: dict[str, Method]) -> None:
    seeds: list[Run] = [
        [score(salt_and_pepper(t, 100 * run + n), t) for n, t in enumerate(map(make_truth, range(12)))]
        for run in range(3)
    ]
    row = next(line for line in table({"noise": seeds}, num=200).splitlines() if line.startswith("| GED |"))
    assert "±" in row
    found = comparison(seeds, [methods["oracle"][0][:12]], "ged")
    assert found is not None
    assert found.seed_spread is not None
    assert found.value == pytest.approx(
        np.mean([value([run], "ged") for run in seeds]) - np.mean([s.numbers["ged"] for s in methods["oracle"][0][:12]])
    )


def test_the_table_tells_every_metric_of_every_method(methods: dict[str, Method]) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(methods, num=200).splitlines()]
    assert rows[0] == ["metric", *methods]
    titles = names(list(methods.values()))
    assert [row[0] for row in rows[2:]] == list(titles.values())
    assert set(titles) >= {name for s in methods["oracle"][0] for name in s.numbers}
    cells = {row[0]: row[1:] for row in rows[2:]}
    assert all(row[1] != "–" for row in rows[2:]), "the oracle has everything"
    assert cells["attribution"][1:] == ["–"] * 4, "who has no evidence has no attribution"
    assert cells["coherence"][0] == "1.000 [1.000, 1.000]"


def test_a_case_without_foreground_and_conflict_has_what_applies() -> None:
    truth = make_calm_truth()
    scored = score(oracle(truth), truth)
    assert (scored.numbers["dice"], scored.numbers["hd95_mm"], scored.numbers["ged"]) == (1, 0, 0)
    assert scored.numbers["covered"] == 1
    for name in ("ece.foreground", "brier.conflict", "coherence", "joint_state", "error_auroc"):
        assert np.isnan(scored.numbers[name]), name
    assert "attribution" not in scored.numbers
    for name in ("joint_state", "attribution", "conflict_dice"):
        assert statistic([scored], name) is None
    for name in ("joint_state", "attribution", "conflict_dice", "micro_ece.conflict"):
        assert comparison([[scored]], [[scored]], name) is None


def test_a_metric_that_few_patients_have_is_told_without_an_interval() -> None:
    truths = [make_truth(1), *[make_calm_truth()] * 3]
    rows = table({"oracle": [[score(oracle(t), t) for t in truths]]}, num=200).splitlines()
    assert "| coherence | 1.000 |" in rows
    dice = next(row for row in rows if row.startswith("| Dice |"))
    assert "[" in dice
