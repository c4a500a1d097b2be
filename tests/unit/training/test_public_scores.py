"""An answer against the raters of a patient: nested structures, several raters, voxels that do not count."""

from dataclasses import replace

import numpy as np
import pytest

from entrust import metrics
from entrust.uncertainty import pairwise_dice
from tests.factories.public_sets import LABEL_GRID, RADII_MM, distance_mm, shells
from training.cohort import table
from training.evaluate.public import _background_outside, score_patient, structure_titles
from training.scorecard import Answer, CaseScore

SPACING_MM = LABEL_GRID.spacing_mm
EVERYWHERE = np.ones(LABEL_GRID.shape, bool)


def _saying(label: np.ndarray, classes: int, hypotheses: np.ndarray | None = None) -> Answer:
    """Certain of one label map."""
    probability = np.stack([label == c for c in range(classes)]).astype(np.float32)
    maps = label[None] if hypotheses is None else hypotheses
    return Answer(probability, maps, np.zeros(label.shape, np.float32), pairwise_dice(maps > 0), (0.0, 100.0))


def test_the_reference_itself_has_no_error_in_any_structure() -> None:
    label = shells(LABEL_GRID, 3)
    found = score_patient(_saying(label, 4), label[None], EVERYWHERE, SPACING_MM).numbers
    for r in (1, 2, 3):
        assert found[f"structure_dice.{r}"] == 1
        assert found[f"structure_hd95_mm.{r}"] == 0
    assert found["dice"] == 1
    assert found["brier.foreground"] == found["ece.image"] == found["ged"] == 0
    assert found["covered"] == 1


def test_structures_are_nested_not_exclusive() -> None:
    """Taking the core for oedema costs the core, not the whole."""
    label = shells(LABEL_GRID, 3)
    found = score_patient(_saying(np.minimum(label, 1), 4), label[None], EVERYWHERE, SPACING_MM).numbers
    assert found["structure_dice.1"] == 1
    assert found["structure_dice.2"] == found["structure_dice.3"] == 0
    assert found["structure_hd95_mm.2"] == pytest.approx(np.linalg.norm(np.multiply(label.shape, SPACING_MM)))
    titles = structure_titles("brain")
    assert len(titles) == 6
    assert set(titles) <= set(found)
    assert structure_titles("oncology") == {}


def test_nothing_is_told_that_only_a_phantom_knows() -> None:
    label = shells(LABEL_GRID, 1)
    found = score_patient(_saying(label, 2), label[None], EVERYWHERE, SPACING_MM)
    for name in ("ece_to_truth.foreground", "kl.image", "probability_error.foreground", "pointing", "hungarian_iou"):
        assert name not in found.numbers
    rows = table({"EnTrust": [[found]]}, num=50).splitlines()
    assert len(rows) > 10
    assert not [row for row in rows if row.endswith("| – |")]


def test_several_raters_are_judged_as_a_distribution() -> None:
    raters = np.stack([(distance_mm(LABEL_GRID) < radius).astype(np.uint8) for radius in RADII_MM])
    same = score_patient(_saying(raters[0], 2, raters[::-1].copy()), raters, EVERYWHERE, SPACING_MM).numbers
    assert same["ged"] == pytest.approx(0, abs=1e-9)
    assert same["hungarian_iou"] == same["best_dice"] == 1
    one = np.repeat(raters[:1], 3, axis=0)
    narrow = score_patient(_saying(raters[0], 2, one), raters, EVERYWHERE, SPACING_MM).numbers
    assert narrow["ged"] == pytest.approx(metrics.ged(one, raters, 2))
    assert narrow["hungarian_iou"] < 0.7
    assert narrow["dice"] == 1, "the first rater is the reference"
    disputed = metrics.disagreement(raters)
    aware = replace(_saying(raters[0], 2, one), error_probability=disputed.astype(np.float32))
    found = score_patient(aware, raters, EVERYWHERE, SPACING_MM).numbers
    assert found["rater_correlation"] > 0.9
    assert found["brier.conflict"] == 0


def test_what_is_not_judged_changes_no_number() -> None:
    away = distance_mm(LABEL_GRID)
    judged = (away < 13) | (away > 17)
    label = shells(LABEL_GRID, 1) * judged
    rng = np.random.default_rng(3)

    def scored(seed: int) -> CaseScore:
        """An answer that is the same wherever it counts."""
        elsewhere = np.random.default_rng(seed).uniform(0.05, 0.95, label.shape)
        inside = np.where(judged, wherever, elsewhere)
        maps = (inside > np.linspace(0.2, 0.8, 4)[:, None, None, None]).astype(np.uint8)
        answer = Answer(np.stack([1 - inside, inside]), maps, np.minimum(inside, 1 - inside), 0.5, (1.0, 9.0))
        return score_patient(_background_outside(answer, judged), label[None], judged, SPACING_MM)

    wherever = np.clip(label + rng.normal(0, 0.2, label.shape), 0.05, 0.95)
    first, second = scored(1), scored(2)
    assert first.numbers == pytest.approx(second.numbers, nan_ok=True)
    assert 0 < first.numbers["dice"] < 1
    assert first.diagrams[metrics.Domain.IMAGE].count.sum() == judged.sum()
    near = metrics.foreground_domain(label > 0, label > 0, spacing_mm=SPACING_MM)
    assert (near & ~judged).any(), "the gap lies within the margin: it would have counted"
