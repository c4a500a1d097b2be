"""The heart is seen in the planes it was acquired in, whatever their direction in the patient."""

from dataclasses import replace

import numpy as np
import pytest

from entrust.contract import CARDIAC
from entrust.region import reference_grid
from entrust.volume import Grid, Volume
from service.encode.sources import facing
from service.prepare import prepare_case
from service.study import Cast, Series, Study
from tests.factories.dicom_series import plane_grid
from tests.factories.trust_maps import nifti_series

SHORT_AXIS = plane_grid("oblique", (6, 60, 64), CARDIAC.spacing_mm, (-20.0, 30.0, 10.0))


def series(grid: Grid, slug: str) -> Series:
    array = np.random.default_rng(3).uniform(200.0, 900.0, grid.shape).astype(np.float32)
    return replace(nifti_series(SHORT_AXIS, "t1"), volume=Volume(array, grid), role=slug, units="arbitrary")


def test_planes_are_those_of_the_reference() -> None:
    lge = series(SHORT_AXIS, "lge")
    coarse = replace(series(plane_grid("axial", (12, 40, 40), (10.0, 4.0, 4.0), (-20.0, 30.0, 10.0)), "t2"))
    cast = Cast({"lge": lge, "t2": coarse})
    case = prepare_case(Study("nifti", "", (lge, coarse)), CARDIAC, cast)
    np.testing.assert_allclose(case.grid.direction, SHORT_AXIS.direction, atol=1e-9)
    assert case.grid.spacing_mm == pytest.approx(CARDIAC.spacing_mm)
    offset = SHORT_AXIS.to_index(case.grid.to_world(np.zeros((1, 3))))[0]
    np.testing.assert_allclose(offset, np.rint(offset), atol=1e-6)
    d, h, w = (int(n) for n in np.rint(offset))
    inside = lge.volume.array[d : d + case.grid.shape[0], h : h + case.grid.shape[1], w : w + case.grid.shape[2]]
    correlation = np.corrcoef(case.intensities[CARDIAC.slugs.index("lge")].ravel(), inside.ravel())[0, 1]
    assert correlation > 0.999, "no plane was cut across"


@pytest.mark.parametrize("spacing_mm", [(8.0, 1.6, 1.6), (4.0, 2.5, 0.7), (11.0, 1.0, 1.0)])
def test_another_spacing_covers_the_same_place(spacing_mm: tuple[float, float, float]) -> None:
    grid = reference_grid(SHORT_AXIS, spacing_mm)
    np.testing.assert_allclose(grid.direction, SHORT_AXIS.direction, atol=1e-9)
    assert grid.spacing_mm == pytest.approx(spacing_mm)
    assert grid.origin_mm == pytest.approx(SHORT_AXIS.origin_mm)
    last = grid.to_index(SHORT_AXIS.to_world(np.asarray([SHORT_AXIS.shape]) - 1.0))[0]
    assert (np.abs(last - (np.asarray(grid.shape) - 1)) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize(
    ("direction", "letter"),
    [((-1, 0, 0), "R"), ((1, 0, 0), "L"), ((0, -1, 0.5), "A"), ((0, 1, 0), "P"), ((0, 0.2, -1), "F"), ((0, 0, 1), "H")],
)
def test_the_side_that_a_direction_faces(direction: tuple[float, float, float], letter: str) -> None:
    assert facing(np.asarray(direction, dtype=float)) == letter
