"""Contradictions by edit: they are where they say, and each modality shows what is claimed of it."""

import numpy as np
import pytest

from training.benchmark.edits import VISIBLE, Edit, contradict

SIZE, M = 48, 3
CONTRAST = np.array([1.0, -0.8, 0.6])
"""Of the lesion in each modality."""
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]
LESION = (np.hypot(ROWS - 20, COLUMNS - 30) < 8).astype(np.uint8)


def edited(seed: int, usable: tuple[bool, ...] = (True,) * M) -> tuple[np.ndarray, np.ndarray, Edit]:
    """Return the two slices before and after an edit, and the edit."""
    before = np.repeat((0.5 + CONTRAST[:, None, None] * LESION)[None, :, None], 2, axis=0).repeat(3, axis=2)
    after = before.astype(np.float32)
    label = np.stack([LESION, LESION])
    return before, after, contradict(np.random.default_rng(seed), after, label, np.array(usable))


def test_a_lesion_is_added_or_taken_where_a_modality_is_said_to_show_it() -> None:
    added = taken = 0
    for seed in range(100):
        before, after, edit = edited(seed)
        where = edit.where[0] > 0
        assert where.any()
        np.testing.assert_array_equal(edit.where[0], edit.where[1])  # neighbours share it
        assert {0, 1} <= set(np.unique(edit.shown[0][:, where])), "one sees, one denies"
        core = where & (np.abs(after - before)[0].max(axis=(0, 1)) > 0.55)  # inside of the soft edge
        for i in range(M):
            excess = (after[0, i, 1] - 0.5) / CONTRAST[i]  # 1 is a lesion's look, 0 is health's
            fresh, wiped = (
                core & (edit.shown[0, i] == 1) & (LESION == 0),
                core & (edit.shown[0, i] == 0) & (LESION == 1),
            )
            far = fresh & (np.hypot(ROWS - 20, COLUMNS - 30) > 10)
            if far.sum() > 5:
                added += 1
                assert 0.3 < np.median(excess[far]) < 1.2
            if wiped.sum() > 5:
                taken += 1
                assert np.median(excess[wiped]) < 0.6
        outside = ~where & (edit.shown[0] == LESION).all(axis=0)
        assert outside[where == 0].all(), "elsewhere every modality shows the label"
    assert added > 20
    assert taken > 5


def test_only_modalities_that_are_seen_contradict_each_other() -> None:
    for seed in range(10):
        before, after, edit = edited(seed, (True, False, True))
        where = edit.where[0] > 0
        assert set(edit.shown[0, 0][where]) | set(edit.shown[0, 2][where]) >= {0, 1}
        assert np.abs(after - before)[0, [0, 2]][:, :, where].max() > VISIBLE
        before, after, edit = edited(seed, (False, True, False))
        assert not edit.where.any()
        np.testing.assert_array_equal(after, before.astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_an_edit_without_a_lesion_in_sight_has_a_contrast_of_its_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 0.3, (2, M, 3, SIZE, SIZE)).astype(np.float32)
    before = x.copy()
    edit = contradict(rng, x, np.zeros((2, SIZE, SIZE), np.uint8), np.ones(M, bool))
    assert np.abs(x - before)[:, :, :, edit.where[0] > 0].max() > VISIBLE
