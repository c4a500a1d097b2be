"""The exact probabilities are exact: they are what draws converge to, and what brute force adds up to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrust.errors import InvalidInputError
from entrust.metrics import joint_state_distance
from training.datasets.phantoms.world.case import DOMAINS, make_scene
from training.datasets.phantoms.world.scene import Scene
from training.datasets.phantoms.world.splits import TEST
from training.datasets.phantoms.world.truth import Blob, Truth, exclusive, independent, joint_table, stamp

DRAWS = 10_000


def crowded(domain: str) -> Scene:
    """Return the first 2-D test scene with an exclusive pair and an independent conflict beside it."""
    for index in range(TEST.cases):
        scene = make_scene(DOMAINS[domain], TEST, index, depth=1)
        counts = [p.finding.count for p in scene.conflicts]
        if 2 in counts and 1 in counts:
            return scene
    raise AssertionError("no such scene")


@pytest.mark.parametrize("domain", DOMAINS)
def test_ten_thousand_readers_agree_with_the_exact_probability_and_joint_table(domain: str) -> None:
    truth = crowded(domain).truth
    counts = np.zeros(truth.probability.shape)
    states = np.zeros(DRAWS, dtype=int)
    for i, (state, label) in enumerate(truth.draw(np.random.default_rng(7), DRAWS)):
        states[i] = state
        for c in range(truth.num_classes):
            counts[c] += label == c
    p = truth.probability
    sigma = np.sqrt(p * (1 - p) / DRAWS)
    assert (np.abs(counts / DRAWS - p) <= 5 * sigma + 1e-9).all()
    assert ((p > 0.02) & (p < 0.98)).sum() > 50, "nothing was uncertain, so nothing was tested"
    frequency = np.bincount(states, minlength=len(truth.table)) / DRAWS
    assert (np.abs(frequency - truth.table) <= 5 * np.sqrt(truth.table * (1 - truth.table) / DRAWS)).all()


def test_draws_switch_whole_blobs_as_the_joint_metric_reads_them() -> None:
    scene = crowded("lesion")
    labels = np.stack([label for _, label in scene.truth.draw(np.random.default_rng(1), 4000)])
    fractions = np.stack([(labels[:, p.mask] >= p.finding.levels[1]).mean(axis=1) for p in scene.conflicts], axis=1)
    assert joint_state_distance(fractions, scene.truth.table) < 0.03
    marginals = scene.truth.blob_probability
    product = joint_table([independent(float(q)) for q in marginals])
    assert joint_state_distance(fractions, product) > 0.1, "blobs that exclude each other are not independent"


def test_of_exclusive_blobs_exactly_one_is_on() -> None:
    table = joint_table([independent(0.3), exclusive([1.0, 4.0])])
    states = np.flatnonzero(table)
    assert {int(s) >> 1 for s in states} == {0b01, 0b10}
    assert table[0b010] == pytest.approx(0.7 * 0.2)
    assert table[0b101] == pytest.approx(0.3 * 0.8)


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    numbers = st.floats(-2, 2, allow_nan=False)
    voxels = draw(st.integers(1, 6))
    structures = draw(st.integers(1, 3))

    def array(*shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        return np.array(draw(st.lists(numbers, min_size=size, max_size=size))).reshape(shape)

    nested = np.maximum.accumulate(array(structures, 1, 1, voxels), axis=0)
    blobs = tuple(
        Blob(array(1, 1, voxels), draw(st.integers(0, structures)), draw(st.integers(0, structures)))
        for _ in range(draw(st.integers(0, 3)))
    )
    weights = np.array([draw(st.floats(0.01, 1)) for _ in range(2 ** len(blobs))])
    return Truth(nested, blobs, weights / weights.sum())


@given(truths())
def test_probability_is_the_sum_over_states_and_readers(truth: Truth) -> None:
    readers = np.linspace(-1, 1, 401)[:-1] + 1 / 400  # the middle of 400 equal parts of the generosities
    total = np.zeros(truth.probability.shape)
    for state, weight in enumerate(truth.table):
        for g in readers:
            label = truth.label(state, float(g))
            for c in range(truth.num_classes):
                total[c] += weight * (label == c) / len(readers)
    assert np.abs(total - truth.probability).max() <= 2 / len(readers)
    assert truth.probability.sum(axis=0) == pytest.approx(1)


@given(truths())
def test_inner_structures_lie_in_outer_ones_whatever_the_state(truth: Truth) -> None:
    for state in range(len(truth.table)):
        assert (np.diff(truth.given(state), axis=0) >= 0).all()


def test_stamp_says_what_lies_inside_and_leaves_the_outside() -> None:
    thresholds = np.array([-5.0, -5.0, 5.0]).reshape(3, 1, 1, 1) * np.ones((3, 1, 1, 2))
    inside = np.array([-5.0, 5.0]).reshape(1, 1, 2)
    for level in range(4):
        label = (stamp(thresholds, inside, level) < 0).sum(axis=0)
        assert label.ravel().tolist() == [level, 2]


def test_a_table_must_fit_its_blobs_and_be_a_distribution() -> None:
    nothing = np.zeros((1, 1, 1, 1))
    with pytest.raises(InvalidInputError):
        Truth(nothing, (), np.array([0.5, 0.5]))
    with pytest.raises(InvalidInputError):
        Truth(nothing, (), np.array([0.9]))
