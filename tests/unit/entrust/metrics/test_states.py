"""Hypotheses where the ambiguous blobs are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.errors import InvalidInputError
from entrust.metrics import (
    blob_fractions,
    coherence,
    joint_state_distance,
    joint_states,
    mode_frequency_error,
    slice_coherence,
    state_marginals,
)


@pytest.fixture
def blobs() -> np.ndarray:
    b = np.zeros((2, 40, 40), bool)
    b[0, :10, :10] = b[1, 20:30, 20:30] = True
    return b


def test_whole_blobs_at_the_right_rate_score_best(blobs: np.ndarray) -> None:
    # blob 0 in 3 of 4, blob 1 in 1 of 4, never in the same hypothesis
    masks = np.stack([blobs[0], blobs[0], blobs[0], blobs[1]])
    fractions = blob_fractions(masks, blobs)
    assert mode_frequency_error(fractions, np.array([0.75, 0.25])) == 0
    assert coherence(fractions) == 1
    assert joint_state_distance(fractions, np.array([0, 0.75, 0.25, 0])) == 0
    # independent blobs with the same rates have another table: marginals cannot tell, the joint can
    assert joint_state_distance(fractions, np.array([0.1875, 0.5625, 0.0625, 0.1875])) == pytest.approx(0.375)


def test_noise_with_the_right_marginals_is_found_out(blobs: np.ndarray, rng: np.random.Generator) -> None:
    masks = (rng.random((16, 40, 40)) < 0.7) & blobs.any(axis=0)
    fractions = blob_fractions(masks, blobs)
    assert coherence(fractions) == pytest.approx(1 - 4 * 0.7 * 0.3, abs=0.05)
    assert mode_frequency_error(fractions, np.array([0.7, 0.7])) == pytest.approx(0.3, abs=0.01)


def test_impossible_blobs_and_tables_are_refused(blobs: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        blob_fractions(blobs, np.zeros_like(blobs))
    with pytest.raises(InvalidInputError):
        joint_state_distance(np.ones((3, 2)), np.ones(3) / 3)
    with pytest.raises(InvalidInputError):
        state_marginals(np.array([0.5, 0.6]))


def test_without_blobs_there_is_no_score() -> None:
    masks = np.zeros((3, 4, 5, 5), bool)
    fractions = blob_fractions(masks, np.zeros((0, 4, 5, 5), bool))
    assert fractions.shape == (3, 0)
    assert np.isnan(mode_frequency_error(fractions, np.zeros(0)))
    assert np.isnan(coherence(fractions))
    assert np.isnan(joint_state_distance(fractions, np.ones(1)))
    assert np.isnan(slice_coherence(masks, np.zeros((0, 4, 5, 5), bool)))


def test_exclusive_conflicts_are_right_in_the_margins_and_wrong_in_the_joint_of_nested_thresholds(
    blobs: np.ndarray,
) -> None:
    table = np.array([0.0, 0.5, 0.5, 0.0])  # one of the two, never both, never neither
    np.testing.assert_allclose(state_marginals(table), [0.5, 0.5])
    marginal = 0.5 * blobs.any(axis=0)
    nested = np.stack([marginal >= level for level in (np.arange(4) + 0.5) / 4])
    fractions = blob_fractions(nested, blobs)
    assert coherence(fractions) == 1
    assert mode_frequency_error(fractions, state_marginals(table)) == 0
    np.testing.assert_array_equal(joint_states(fractions), [3, 3, 0, 0])
    assert joint_state_distance(fractions, table) == 1
    drawn = blob_fractions(np.stack([blobs[0], blobs[1], blobs[1], blobs[0]]), blobs)
    assert joint_state_distance(drawn, table) == 0


FRACTIONS = hnp.arrays(np.float64, (6, 2), elements=st.floats(0, 1))
TABLES = hnp.arrays(np.float64, 4, elements=st.floats(0.01, 1)).map(lambda t: t / t.sum())


@given(FRACTIONS, TABLES, st.permutations(range(6)))
def test_scores_are_bounded_and_the_order_of_hypotheses_does_not_matter(
    fractions: np.ndarray, table: np.ndarray, order: list[int]
) -> None:
    marginals = state_marginals(table)
    for value, shuffled in (
        (coherence(fractions), coherence(fractions[order])),
        (mode_frequency_error(fractions, marginals), mode_frequency_error(fractions[order], marginals)),
        (joint_state_distance(fractions, table), joint_state_distance(fractions[order], table)),
    ):
        assert value == pytest.approx(shuffled)
        assert -1e-12 <= value <= 1 + 1e-12
    # a joint distance bounds every marginal's
    assert mode_frequency_error(fractions, marginals) <= joint_state_distance(fractions, table) + 1e-12


@given(TABLES, TABLES)
def test_naming_the_blobs_the_other_way_round_changes_nothing(table: np.ndarray, other: np.ndarray) -> None:
    fractions = np.array([[1, 0], [1, 1], [0, 1], [1, 0]], float)
    swapped = table[[0, 2, 1, 3]]
    assert joint_state_distance(fractions[:, ::-1], swapped) == pytest.approx(joint_state_distance(fractions, table))
    np.testing.assert_allclose(state_marginals(swapped), state_marginals(table)[::-1])


def test_coherence_through_the_volume_is_not_that_within_a_slice(rng: np.random.Generator) -> None:
    blob = np.zeros((1, 60, 8, 8), bool)
    blob[0, 5:55, 2:6, 2:6] = True
    whole = np.stack([blob[0], np.zeros_like(blob[0])])
    assert slice_coherence(whole, blob) == 1
    coins = rng.random((40, 60, 1, 1)) < 0.5
    tossed = coins & blob[0]
    assert coherence(blob_fractions(tossed, blob)) < 0.1, "half of the blob, seen as a whole"
    assert slice_coherence(tossed, blob) == pytest.approx(0, abs=0.05)
    alternating = (np.arange(60) % 2 == 0)[None, :, None, None] & blob[0][None]
    assert slice_coherence(alternating, blob) == -1


def test_only_neighbouring_slices_of_a_blob_are_compared() -> None:
    blob = np.zeros((1, 6, 3, 3), bool)
    blob[0, [0, 1, 4], 1, 1] = True
    masks = np.zeros((1, 6, 3, 3), bool)
    masks[0, 4] = True  # off, off, a gap, on
    assert slice_coherence(masks, blob) == 1
    assert np.isnan(slice_coherence(masks[:, [0, 2, 4]], blob[:, [0, 2, 4]])), "no two slices touch"
