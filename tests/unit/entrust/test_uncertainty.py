"""Laws of entropy, mixture and agreement."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.uncertainty import decompose, entropy, label_maps, mix, pairwise_dice, softmax

LOGITS = hnp.arrays(np.float32, (4, 2, 3, 2, 2), elements=st.floats(-30, 30, width=32))


@given(LOGITS)
def test_predictive_entropy_is_expected_entropy_plus_mutual_information(logits: np.ndarray) -> None:
    samples = softmax(logits, axis=2)
    parts = decompose(samples)
    np.testing.assert_array_equal(parts.predictive, parts.expected + parts.mutual_information)
    np.testing.assert_allclose(parts.predictive, entropy(samples.mean(axis=0), axis=1), atol=2e-6)
    assert parts.mutual_information.min() >= 0
    assert parts.expected.max() <= np.log(3) + 1e-6


@given(LOGITS, st.permutations(range(4)))
def test_the_order_of_hypotheses_does_not_matter(logits: np.ndarray, order: list[int]) -> None:
    samples = softmax(logits, axis=2)
    for a, b in zip(vars(decompose(samples)).values(), vars(decompose(samples[order])).values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    masks = label_maps(samples) > 0
    assert pairwise_dice(masks) == pytest.approx(pairwise_dice(masks[order]))


def test_entropies_agree_with_scipy_and_torch(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(5, 2, 3, 4, 4)).astype(np.float32) * 4
    p = softmax(logits, axis=2)
    np.testing.assert_allclose(p, torch.softmax(torch.from_numpy(logits), 2).numpy(), atol=1e-6)
    np.testing.assert_allclose(entropy(p, axis=2), scipy.stats.entropy(p, axis=2), atol=1e-5)
    of_torch = torch.distributions.Categorical(probs=torch.from_numpy(p).movedim(2, -1)).entropy().numpy()
    np.testing.assert_allclose(entropy(p, axis=2), of_torch, atol=1e-5)
    parts = decompose(p)
    np.testing.assert_allclose(parts.expected, of_torch.mean(0), atol=1e-5)


def test_certain_voxels_have_no_entropy_and_even_ones_have_ln_c() -> None:
    p = np.zeros((1, 4, 1, 2), np.float32)
    p[:, 0, :, 0] = 1
    p[..., 1] = 0.25
    np.testing.assert_allclose(entropy(p, axis=1), [[[0, np.log(4)]]], atol=1e-6)


def test_hypotheses_that_are_certain_and_opposite_hold_all_uncertainty_in_mutual_information() -> None:
    samples = np.zeros((2, 1, 2, 1, 1), np.float32)
    samples[0, :, 0] = samples[1, :, 1] = 1
    parts = decompose(samples)
    assert parts.expected.item() == 0
    assert parts.mutual_information.item() == pytest.approx(np.log(2))


def test_a_mean_at_hand_gives_the_same_split(rng: np.random.Generator) -> None:
    samples = softmax(rng.normal(size=(3, 1, 2, 4, 4)), axis=2)
    np.testing.assert_array_equal(
        decompose(samples, samples.mean(axis=0)).mutual_information, decompose(samples).mutual_information
    )


def test_softmax_survives_huge_logits() -> None:
    p = softmax(np.asarray([[1e4, 0.0, -1e4]], np.float32), axis=1)
    np.testing.assert_array_equal(p, [[1, 0, 0]])


def test_mix_interpolates_in_single_precision(rng: np.random.Generator) -> None:
    a, b = softmax(rng.normal(size=(2, 1, 2, 4, 4)).astype(np.float32), axis=2)
    assert mix(a, b, 0.3).dtype == np.float32
    np.testing.assert_array_equal(mix(a, b, 1.0), a)
    np.testing.assert_allclose(mix(a, b, 0.25), 0.25 * a + 0.75 * b, atol=1e-7)


@given(hnp.arrays(bool, (4, 3, 5)))
def test_pairwise_dice_is_the_mean_over_pairs(masks: np.ndarray) -> None:
    expected = []
    for i in range(4):
        for j in range(i):
            total = masks[i].sum() + masks[j].sum()
            expected.append(2 * (masks[i] & masks[j]).sum() / total if total else 1.0)
    assert pairwise_dice(masks) == pytest.approx(np.mean(expected))


def test_one_hypothesis_agrees_with_itself() -> None:
    assert pairwise_dice(np.ones((1, 2, 2), bool)) == 1.0
