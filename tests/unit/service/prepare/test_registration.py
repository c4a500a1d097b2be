"""Series of different frames of reference: laid over each other as truly as can be known, or not at all."""

from dataclasses import replace

import numpy as np
import pytest

from entrust.errors import GeometryConflictError
from entrust.volume import Grid, Volume
from service.prepare.registration import GOOD_MM, body, placed_in, register
from service.study import Registration
from service.trust import raise_uncertainty
from tests.factories.trust_maps import ball, case_of, nifti_series, soft_hypotheses, trust_map_of
from tests.factories.two_frames import CENTRE_MM, CT_GRID, distance_mm, imaged, rigid

MR_GRID = Grid.axial((22, 50, 52), (4.5, 2.5, 2.4), (-58.0, -60.0, 198.0))
PET_GRID = Grid.axial((26, 34, 34), (4.0, 4.0, 4.0), (-66.0, -66.0, 196.0))
MOVES = {
    "in place": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    "moved": ((0.0, 0.0, 0.0), (35.0, -20.0, 60.0)),
    "turned": ((4.0, -3.0, 8.0), (0.0, 0.0, 0.0)),
    "both": ((-5.0, 4.0, -6.0), (-400.0, 250.0, 900.0)),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(("kind", "grid"), [("t1", MR_GRID), ("pet", PET_GRID)])
def test_a_moved_limb_is_found(kind: str, grid: Grid, move: str) -> None:
    moved = rigid(*MOVES[move])
    volume = imaged(_around(grid, moved), kind, moved)
    matrix, found = register(imaged(CT_GRID, "ct"), volume)
    assert distance_mm(matrix, moved) < 3.0, found
    assert not found.doubtful, found
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-6), "rigid"
    assert found.disagreement_mm <= GOOD_MM


def test_the_answer_is_the_same_bits_again() -> None:
    moved = rigid(*MOVES["both"])
    volume = imaged(_around(MR_GRID, moved), "t1", moved)
    first, second = (register(imaged(CT_GRID, "ct"), volume) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_what_cannot_be_known_is_never_said_to_be_good() -> None:
    """A round, even cylinder can be turned and moved along without a change."""

    def cylinder(grid: Grid, inside: float, air: float) -> Volume:
        index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
        x, y, _ = (grid.to_world(index) - CENTRE_MM).T
        return Volume(np.where(np.hypot(x, y) < 30.0, inside, air).reshape(grid.shape).astype(np.float32), grid)

    try:
        _, found = register(cylinder(CT_GRID, 40.0, -1000.0), cylinder(MR_GRID, 500.0, 5.0))
    except GeometryConflictError:
        return
    assert found.doubtful


def _noise(grid: Grid) -> Volume:
    return Volume(np.random.default_rng(0).normal(0.0, 1.0, grid.shape).astype(np.float32), grid)


@pytest.mark.parametrize(
    "other",
    [
        Volume(np.zeros(MR_GRID.shape, np.float32), MR_GRID),
        _noise(MR_GRID),
        imaged(MR_GRID, "t1", rigid((0.0, 0.0, 90.0), (0.0, 0.0, 0.0))),
    ],
    ids=["nothing", "noise", "turned too far"],
)
def test_what_does_not_match_is_refused_with_a_reason(other: Volume) -> None:
    with pytest.raises(GeometryConflictError, match="cannot be registered: ") as caught:
        register(imaged(CT_GRID, "ct"), other)
    assert "leave one out" in caught.value.fix


@pytest.mark.parametrize("kind", ["ct", "t1", "pet"])
def test_the_body_is_told_from_the_air(kind: str) -> None:
    found = body(imaged(CT_GRID, kind).array)
    truth = imaged(CT_GRID, "ct").array > -500.0
    assert 2.0 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.95


def test_a_grid_that_is_placed_keeps_its_voxels() -> None:
    placed = placed_in(MR_GRID, rigid(*MOVES["both"]))
    assert placed.shape == MR_GRID.shape
    assert np.allclose(placed.spacing_mm, MR_GRID.spacing_mm)


def test_doubt_raises_the_error_probability_and_nothing_else() -> None:
    grid = Grid.axial((8, 30, 30), (3.27, 2.0, 2.0), (0.0, 0.0, 0.0))
    mask = ball(grid, (30.0, 30.0, 12.0), 9.0)
    trust_map = trust_map_of(mask, hypotheses=soft_hypotheses(mask, grid.spacing_mm, (-2.0, 2.0)))
    trust_map = replace(trust_map, error_probability=np.where(mask, 0.3, 0.05).astype(np.float32))
    case = case_of(grid, {"ct": nifti_series(grid, "ct")})
    well = Registration(3.0, 10.0, 0.5, 0.9, doubtful=False)
    assert raise_uncertainty(trust_map, replace(case, registrations={"t1": well})) is trust_map
    before = trust_map.error_probability
    raised = before
    for disagreement_mm in (0.5, 5.0, 8.0):  # more doubt, more uncertainty
        doubt = replace(well, disagreement_mm=disagreement_mm, doubtful=True)
        after = raise_uncertainty(trust_map, replace(case, registrations={"pet": well, "t1": doubt}))
        assert (after.error_probability >= raised).all()
        assert after.error_probability.mean() > raised.mean()
        assert after.error_probability.max() == before.max(), "no value that was nowhere"
        assert after.label_map is trust_map.label_map
        assert after.probability is trust_map.probability
        raised = after.error_probability


def _around(grid: Grid, moved: np.ndarray) -> Grid:
    """Return a grid of the same kind around where the limb has gone."""
    affine = grid.affine.copy()
    affine[:3, 3] += (moved[:3, :3] @ CENTRE_MM + moved[:3, 3]) - CENTRE_MM
    return Grid(grid.shape, affine)
