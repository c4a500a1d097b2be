"""Where voxels are judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from entrust.metrics import Domain, boundary_band, disagreement, domains, foreground_domain

MASKS = hnp.arrays(bool, (4, 6, 5))
SPACING = (3.0, 2.0, 1.5)


@given(MASKS, MASKS, st.floats(0.5, 9))
def test_the_foreground_domain_is_the_euclidean_dilation_of_the_union(
    a: np.ndarray, b: np.ndarray, margin: float
) -> None:
    domain = foreground_domain(a, b, spacing_mm=SPACING, margin_mm=margin)
    if not (a | b).any():
        assert not domain.any()
        return
    distance = ndimage.distance_transform_edt(~(a | b), sampling=SPACING)
    clear = np.abs(distance - margin) > 1e-3  # voxels exactly on the margin may fall either way in float32
    np.testing.assert_array_equal(domain[clear], (distance <= margin)[clear])


def test_the_margin_itself_belongs_to_the_domain() -> None:
    a = np.zeros((1, 1, 9), bool)
    a[0, 0, 4] = True
    domain = foreground_domain(a, a, spacing_mm=(3.27, 2.0, 2.5), margin_mm=5.0)
    np.testing.assert_array_equal(np.flatnonzero(domain), [2, 3, 4, 5, 6])


@given(MASKS, st.floats(0.5, 9))
def test_the_boundary_band_has_both_sides_of_the_boundary(mask: np.ndarray, width: float) -> None:
    band = boundary_band(mask, spacing_mm=SPACING, width_mm=width)
    np.testing.assert_array_equal(band, boundary_band(~mask, spacing_mm=SPACING, width_mm=width))
    if mask.all() or not mask.any():
        assert not band.any()
        return
    other_side = np.where(
        mask,
        ndimage.distance_transform_edt(mask, sampling=SPACING),
        ndimage.distance_transform_edt(~mask, sampling=SPACING),
    )
    clear = np.abs(other_side - width) > 1e-3
    np.testing.assert_array_equal(band[clear], (other_side <= width)[clear])


@given(hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 2)), st.permutations(range(3)))
def test_raters_disagree_where_they_are_not_unanimous(truths: np.ndarray, order: list[int]) -> None:
    disputed = disagreement(truths)
    np.testing.assert_array_equal(disputed, np.ptp(truths, axis=0) > 0)
    np.testing.assert_array_equal(disputed, disagreement(truths[order]))
    assert not disagreement(truths[:1]).any()


def test_the_three_domains_of_a_patient_lie_in_what_was_imaged() -> None:
    prediction, imaged = np.zeros((3, 12, 12), bool), np.ones((3, 12, 12), bool)
    imaged[:, :, 9:] = False
    truths = np.zeros((2, 3, 12, 12), bool)
    prediction[1, 2, 2] = truths[:, 1, 5, 5] = truths[1, 1, 5, 6:11] = True
    found = domains(prediction, truths, spacing_mm=(3.0, 2.0, 2.0), imaged=imaged, margin_mm=2.0)
    assert set(found) == set(Domain)
    np.testing.assert_array_equal(found[Domain.IMAGE], imaged)
    np.testing.assert_array_equal(np.argwhere(found[Domain.CONFLICT]), [[1, 5, 6], [1, 5, 7], [1, 5, 8]])
    assert found[Domain.FOREGROUND][1, 2, 2]
    assert found[Domain.FOREGROUND][1, 4, 6], "any rater counts, with a margin"
    assert not found[Domain.FOREGROUND][1, 8, 8]
    assert not (found[Domain.FOREGROUND] & ~imaged).any()
    known = np.zeros_like(prediction)
    known[0, 0, 0] = True
    stated = domains(prediction, truths, spacing_mm=(3.0, 2.0, 2.0), conflict=known)
    np.testing.assert_array_equal(stated[Domain.CONFLICT], known)
    assert stated[Domain.IMAGE].all()


def test_a_patient_without_foreground_has_an_empty_domain_and_no_conflict() -> None:
    nothing = np.zeros((2, 5, 5), bool)
    found = domains(nothing, nothing[None], spacing_mm=SPACING)
    assert found[Domain.IMAGE].sum() == 50
    assert not found[Domain.FOREGROUND].any()
    assert not found[Domain.CONFLICT].any()


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_a_margin_below_the_spacing_adds_nothing(margin: float) -> None:
    mask = np.zeros((3, 5, 5), bool)
    mask[1, 2, 2] = True
    np.testing.assert_array_equal(foreground_domain(mask, mask, spacing_mm=SPACING, margin_mm=margin), mask)
