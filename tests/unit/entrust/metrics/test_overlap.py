"""Overlap and surface distances; ``test_second_implementations`` has the comparison with MONAI."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entrust.metrics import dice, hausdorff95_mm, normalised_surface_dice

MASKS = hnp.arrays(bool, (4, 6, 5))
SPACING = (3.0, 2.0, 1.5)


def ball(radius: float, centre: tuple[int, int, int] = (15, 20, 20)) -> np.ndarray:
    grid = np.indices((30, 40, 40)) - np.asarray(centre).reshape(3, 1, 1, 1)
    return np.sqrt((grid**2).sum(axis=0)) <= radius


@given(MASKS, MASKS)
def test_dice_is_symmetric_bounded_and_one_for_equals(a: np.ndarray, b: np.ndarray) -> None:
    assert dice(a, b) == dice(b, a)
    assert 0 <= dice(a, b) <= 1
    assert dice(a, a) == 1
    if a.any() and not b.any():
        assert dice(a, b) == 0


def test_dice_agrees_with_simpleitk(rng: np.random.Generator) -> None:
    a, b = rng.random((2, 6, 7, 8)) < 0.4
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(sitk.GetImageFromArray(a.astype(np.uint8)), sitk.GetImageFromArray(b.astype(np.uint8)))
    assert dice(a, b) == pytest.approx(overlap.GetDiceCoefficient())


def test_surface_distances_of_concentric_balls_are_their_gap() -> None:
    small, large = ball(6), ball(10)
    assert hausdorff95_mm(small, large, (1.0, 1.0, 1.0)) == pytest.approx(4, abs=0.6)
    assert hausdorff95_mm(small, large, (2.0, 2.0, 2.0)) == pytest.approx(8, abs=1.2)
    assert normalised_surface_dice(small, large, (1.0, 1.0, 1.0), 5.0) == 1
    assert normalised_surface_dice(small, large, (1.0, 1.0, 1.0), 3.0) < 0.05
    assert hausdorff95_mm(small, small, SPACING) == 0


def test_a_shift_is_measured_in_millimetres_along_its_axis() -> None:
    a, b = np.zeros((2, 12, 12, 12), bool)
    a[3, 3, 3] = b[5, 3, 3] = True
    assert hausdorff95_mm(a, b, SPACING) == pytest.approx(6)


def test_empty_masks_have_defined_surface_scores() -> None:
    empty, full = np.zeros((30, 40, 40), bool), ball(5)
    assert hausdorff95_mm(empty, empty, SPACING) == 0
    assert hausdorff95_mm(empty, full, SPACING) == np.inf
    assert hausdorff95_mm(full, empty, SPACING, one_empty_mm=120.0) == 120
    assert hausdorff95_mm(empty, empty, SPACING, one_empty_mm=120.0) == 0
    assert normalised_surface_dice(empty, empty, SPACING, 2.0) == 1
    assert normalised_surface_dice(empty, full, SPACING, 2.0) == 0


@given(MASKS, MASKS)
def test_surface_scores_are_symmetric(a: np.ndarray, b: np.ndarray) -> None:
    assert hausdorff95_mm(a, b, SPACING) == hausdorff95_mm(b, a, SPACING)
    assert normalised_surface_dice(a, b, SPACING, 2.0) == normalised_surface_dice(b, a, SPACING, 2.0)
    assert normalised_surface_dice(a, b, SPACING, 1.0) <= normalised_surface_dice(a, b, SPACING, 4.0)


@given(MASKS, MASKS, st.tuples(*[st.integers(1, 3)] * 3))
def test_empty_space_around_the_masks_changes_nothing(
    a: np.ndarray, b: np.ndarray, around: tuple[int, int, int]
) -> None:
    wider = [np.pad(mask, [(n, n) for n in around]) for mask in (a, b)]
    assert hausdorff95_mm(*wider, SPACING) == hausdorff95_mm(a, b, SPACING)
    assert normalised_surface_dice(*wider, SPACING, 2.0) == normalised_surface_dice(a, b, SPACING, 2.0)
