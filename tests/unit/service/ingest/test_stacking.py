from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from entrust.errors import GeometryConflictError
from service.ingest.frames import Frame
from service.ingest.stacking import regular_grid, sort_planes
from tests.factories.dicom_series import plane_grid

PLANES = ("axial", "sagittal", "coronal", "oblique")


def _frames(plane: str = "axial", along: list[float] | None = None, shift_mm: float = 0.0) -> list[Frame]:
    grid = plane_grid(plane)
    places = range(grid.shape[0]) if along is None else along
    direction = grid.direction
    return [
        Frame(
            path=Path("unread"),
            index=0,
            header=Dataset(),
            position_mm=grid.to_world(np.array([[place, 0.0, 0.0]]))[0] + direction[:, 1] * shift_mm * place,
            row_axis=direction[:, 2],
            column_axis=direction[:, 1],
            spacing_mm=(grid.spacing_mm[1], grid.spacing_mm[2]),
            shape=grid.shape[1:],
            slope=1.0,
            intercept=0.0,
        )
        for place in places
    ]


@pytest.mark.parametrize("plane", PLANES)
def test_planes_in_any_order_give_back_their_grid(plane: str) -> None:
    frames = _frames(plane)
    shuffled = [frames[i] for i in np.random.default_rng(0).permutation(len(frames))]
    order = sort_planes(shuffled)
    assert regular_grid([shuffled[i] for i in order.index]).same_as(plane_grid(plane), tolerance_mm=1e-6)
    assert order.place.tolist() == list(range(len(frames)))


def test_repeats_share_a_place() -> None:
    order = sort_planes(_frames(along=[0, 1, 1, 2, 2.001]))
    assert order.place.tolist() == [0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("along", "cause"),
    [
        ([0, 1, 2, 4, 5], "missing"),
        ([0, 1, 2, 5, 6, 8], "missing"),
        ([0, 1, 2.4, 3, 4], "uneven"),
        ([0, 1, 2, 3.5], "uneven"),
        ([0], "one slice only"),
    ],
)
def test_what_no_regular_grid_can_hold_is_refused(along: list[float], cause: str) -> None:
    with pytest.raises(GeometryConflictError, match=cause):
        regular_grid(_frames(along=along))


def test_missing_slices_are_counted() -> None:
    with pytest.raises(GeometryConflictError) as raised:
        regular_grid(_frames(along=[0, 1, 4, 5]))
    assert raised.value.details["missing"] == 2


@pytest.mark.parametrize("off", [0.018, -0.018])
def test_rounded_positions_are_tolerated(off: float) -> None:
    """2 % of the spacing, the documented tolerance, is what rounding to a tenth of a millimetre can cause."""
    assert regular_grid(_frames(along=[0, 1 + off, 2, 3])).spacing_mm[0] == pytest.approx(4.0)
    with pytest.raises(GeometryConflictError):
        regular_grid(_frames(along=[0, 1 + 2 * off, 2, 3]))


def test_a_leaning_stack_is_gantry_tilt_and_a_jump_is_not() -> None:
    with pytest.raises(GeometryConflictError, match="gantry tilt"):
        regular_grid(_frames(shift_mm=1.0))
    jumped = _frames()
    moved = jumped[4]
    jumped[4] = Frame(**{**vars(moved), "position_mm": moved.position_mm + np.array([5.0, 0.0, 0.0])})
    with pytest.raises(GeometryConflictError, match="shifted sideways"):
        regular_grid(jumped)


def test_mixed_orientations_sizes_and_spacings_are_refused() -> None:
    frames = _frames()
    with pytest.raises(GeometryConflictError, match="orientations"):
        sort_planes([*frames, *_frames("coronal")])
    with pytest.raises(GeometryConflictError, match="orientations"):
        sort_planes([*frames, *_frames("oblique")])
    with pytest.raises(GeometryConflictError, match="rows or columns"):
        sort_planes([*frames, Frame(**{**vars(frames[0]), "shape": (3, 3)})])
    with pytest.raises(GeometryConflictError, match="pixel spacings"):
        sort_planes([*frames, Frame(**{**vars(frames[0]), "spacing_mm": (2.1, 3.0)})])
