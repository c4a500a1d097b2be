"""Outlines are read back as a radiotherapy system reads them: filled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from jaxtyping import Bool

from service.encode.outlines import outlines
from tests.factories.contours import fill

SHAPE = (9, 11)


@pytest.mark.parametrize("rule", ["even-odd", "winding"])
@settings(max_examples=60, deadline=None)
@given(arrays(bool, SHAPE))
def test_a_filled_outline_is_the_mask(rule: str, mask: Bool[np.ndarray, "h w"]) -> None:
    np.testing.assert_array_equal(fill(outlines(mask), SHAPE, rule), mask)


def test_a_part_with_holes_is_one_curve() -> None:
    mask = np.ones((12, 12), dtype=bool)
    mask[2:4, 2:4] = mask[7:10, 3:5] = mask[5, 8] = False
    (curve,) = outlines(mask)
    np.testing.assert_array_equal(fill([curve], mask.shape, "even-odd"), mask)


def test_parts_are_curves_of_their_own_and_nothing_has_none() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    assert outlines(mask) == []
    mask[1:3, 1:3] = mask[6:9, 6:9] = True
    assert len(outlines(mask)) == 2


def test_an_outline_runs_between_the_centres() -> None:
    mask = np.zeros((5, 5), dtype=bool)
    mask[2, 3] = True
    (curve,) = outlines(mask)
    np.testing.assert_allclose(curve.min(axis=0), (1.5, 2.5))
    np.testing.assert_allclose(curve.max(axis=0), (2.5, 3.5))
