"""What a label map says of a structure, nested or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jaxtyping import Float, UInt8

from entrust.contract import BRAIN, LESION, TASKS, Task
from entrust.structures import structure_mask, structure_masks, structure_probability, structures_seen
from tests.factories.dicom_cases import two_structures

LABEL_MAPS = arrays.arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3))
MASSES = arrays.arrays(np.float64, (4, 2, 3), elements=st.floats(0.01, 1.0))


@given(LABEL_MAPS)
def test_nested_structures_lie_within_each_other_and_fill_the_foreground(label_map: UInt8[np.ndarray, "d h w"]) -> None:
    whole, core, enhancing = structure_masks(BRAIN, label_map)
    assert not (core & ~whole).any()
    assert not (enhancing & ~core).any()
    assert np.array_equal(whole, label_map > 0)
    assert np.array_equal(whole.astype(int) + core + enhancing, label_map), "the value is the number of structures"


@given(LABEL_MAPS.map(lambda label_map: np.minimum(label_map, 2)))
def test_other_structures_exclude_each_other(label_map: UInt8[np.ndarray, "d h w"]) -> None:
    first, second = structure_masks(two_structures(), label_map)
    assert not (first & second).any()
    assert np.array_equal(first | second, label_map > 0)


@given(MASSES)
def test_a_nested_structures_probability_is_the_sum_of_its_own_class_and_those_within(
    masses: Float[np.ndarray, "c h w"],
) -> None:
    p = masses / masses.sum(axis=0)
    whole, core, enhancing = (structure_probability(BRAIN, p, label) for label in BRAIN.labels)
    np.testing.assert_allclose(whole, 1.0 - p[0])
    np.testing.assert_allclose(core, p[2] + p[3])
    np.testing.assert_allclose(enhancing, p[3])
    np.testing.assert_allclose(structures_seen(BRAIN, p), whole + core + enhancing)


def test_a_single_structures_probability_is_its_class() -> None:
    p = np.array([[0.75], [0.25]], dtype=np.float32)
    assert structure_probability(LESION, p, LESION.labels[0]) == p[1]
    assert structures_seen(LESION, p) == p[1]


def test_more_is_seen_where_a_scar_is_seen_within_the_myocardium() -> None:
    healthy, scarred = np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.1, 0.1, 0.8])
    assert structures_seen(TASKS["cardiac"], scarred) > structures_seen(TASKS["cardiac"], healthy)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_masks_of_hypotheses_are_those_of_each_hypothesis(task: Task) -> None:
    label_maps = np.random.default_rng(0).integers(0, task.num_classes, (5, 2, 3, 4)).astype(np.uint8)
    for label in task.labels:
        together = structure_mask(task, label_maps, label)
        for mask, one in zip(together, label_maps, strict=True):
            assert np.array_equal(mask, structure_mask(task, one, label))
