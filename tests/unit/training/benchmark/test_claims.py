"""Claims are held against the strongest rival, over splits and domains that count alike."""

import numpy as np
import pytest

from entrust.metrics import DetectionCounts, Reliability
from training.benchmark.claims import FLOOR, Claim, claims
from training.benchmark.scores import MethodScores

NUM = 30
NOTHING = DetectionCounts(np.linspace(0.0, 1.0, 3), np.ones(3), np.ones(3))


def scored(dice: float, gap: float) -> MethodScores:
    """A method of this Dice that says .5 where the frequency is .5 + gap."""
    count = np.zeros((NUM, 1, 4))
    count[..., 2] = 100.0
    numbers = {"dice": np.full(NUM, dice), "ece.foreground": np.full(NUM, abs(gap))}
    return MethodScores(
        numbers, np.linspace(0.0, 1.0, NUM), Reliability(count, 0.5 * count, (0.5 + gap) * count), NOTHING
    )


def found(rows: list[Claim], task: str, words: str) -> list[Claim]:
    return [row for row in rows if row.task == task and words in row.claim]


def domain(dice: float, test: float, shift: float) -> dict[str, dict[int, dict[str, MethodScores]]]:
    """Scores of ours and of rivals on the test split and on one shift; ours errs by ``test`` and ``shift``."""
    rivals = {
        "unet-ce+raw": scored(0.8, 0.2),
        "unet-ce+temperature": scored(0.8, 0.3),
        "tta+raw": scored(0.7, 0.25),
        "ensemble+raw": scored(0.85, 0.4),
        "ensemble+temperature": scored(0.85, 0.1),
    }
    return {
        "test": {0: {"oracle": scored(1.0, 0.0), "entrust+head": scored(dice, test), **rivals}},
        "shift-noise": {0: {"oracle": scored(1.0, 0.0), "entrust+head": scored(dice, shift), **rivals}},
    }


def test_the_rival_is_the_strongest_however_it_is_calibrated() -> None:
    rows = claims({"lesion": domain(0.84, 0.1, 0.1)}, "a machine")
    single, pooled = found(rows, "lesion", "ECE by case over")
    assert (single.against, pooled.against) == ("unet-ce+raw", "ensemble+temperature")
    assert (single.value, pooled.value) == (pytest.approx(0.5), pytest.approx(1.0))
    assert (single.met, pooled.met) == (True, True)
    accuracy = found(rows, "lesion", "accuracy")
    assert [(row.against, row.met) for row in accuracy] == [("unet-ce+raw", True), ("ensemble+raw", False)]
    assert not found(rows, "all", "")


def test_opposite_errors_of_two_splits_do_not_cancel() -> None:
    rows = claims({"lesion": domain(0.84, 0.3, -0.3)}, "a machine")
    single, _ = found(rows, "lesion", "ECE of a split's voxels together over")
    assert single.value == pytest.approx(1.5)


def test_domains_count_alike() -> None:
    rows = claims({"lesion": domain(0.84, 0.1, 0.1), "brain": domain(0.8, 0.3, 0.3)}, "a machine")
    accuracy = [(row.against, row.value, row.met) for row in found(rows, "all", "accuracy")]
    assert [a[0] for a in accuracy] == ["unet-ce+raw", "ensemble+raw"]
    assert [a[1] for a in accuracy] == [pytest.approx(0.02), pytest.approx(-0.03)]
    assert [a[2] for a in accuracy] == [True, False]
    for words in ("mean ECE by case over", "mean ECE of a split's"):
        assert [row.value for row in found(rows, "all", words)] == [
            pytest.approx(1.0),
            pytest.approx(2.0),
        ]


def test_intervals_hold_in_the_mean_of_domains_and_in_each() -> None:
    kept = {name: domain(0.84, 0.1, 0.1) for name in ("lesion", "brain")}
    for name, held in (("lesion", 24), ("brain", 30)):
        kept[name]["test"][0]["entrust+head"].numbers["covered"] = np.arange(NUM) < held
    rows = claims(kept, "a machine")
    coverage = {task: found(rows, task, "coverage")[0] for task in ("all", "lesion", "brain")}
    assert {task: row.value for task, row in coverage.items()} == {"all": 0.9, "lesion": 0.8, "brain": 1.0}
    assert {task: row.met for task, row in coverage.items()} == {"all": True, "lesion": False, "brain": False}
    assert coverage["all"].low < 0.9 < coverage["all"].high
    (unmeasured,) = found(rows, "all", "joint: coherence")
    assert unmeasured.met is None


def test_the_least_that_can_be_reached_stands_beside_the_bar() -> None:
    splits = domain(0.84, 0.1, 0.1)
    assert not found(claims({"lesion": splits}, "a machine"), "lesion", "of the truth itself over")  # it has no error
    for seeds in splits.values():
        seeds[0]["oracle"] = scored(1.0, 0.05)
    by_case, together = found(claims({"lesion": splits}, "a machine"), "lesion", "of the truth itself over")[::-1]
    assert (by_case.against, by_case.bar, by_case.met) == ("unet-ce+raw", FLOOR, None)
    assert (by_case.value, together.value) == (pytest.approx(0.25), pytest.approx(0.25))
