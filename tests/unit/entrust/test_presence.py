import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import Delaunay

from entrust.presence import acquired


def test_a_rotated_block_in_zeros_is_found() -> None:
    block = np.zeros((5, 80, 80), np.float32)
    block[:, 20:60, 15:65] = 100.0
    rotated = ndimage.rotate(block, 17.0, axes=(1, 2), order=0, reshape=False)
    rotated[2, 38:42, 38:42] = 0.0  # a cavity was measured: it is dark, not absent
    found = acquired(rotated)
    assert found[2, 40, 40]
    assert (found >= (rotated != 0)).all()
    assert found.mean() < (rotated != 0).mean() * 1.03


def test_empty_slices_at_the_ends_were_not_acquired() -> None:
    array = np.ones((10, 8, 8), np.float32)
    array[:3] = 0.0
    np.testing.assert_array_equal(acquired(array).all(axis=(1, 2)), [False] * 3 + [True] * 7)


def test_noise_and_a_few_zeros_keep_everything() -> None:
    array = np.random.default_rng(0).poisson(2.0, (4, 50, 50)).astype(np.float32)
    assert acquired(array).all()
    corner = np.ones((4, 50, 50), np.float32)
    corner[:, 0, :10] = 0.0
    assert acquired(corner).all(), "less than one percent is not worth a claim"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 14)), min_size=3, max_size=12, unique=True))
def test_it_is_the_convex_hull(points: list[tuple[int, int]]) -> None:
    """Against scipy's triangulation, where the points span a plane."""
    corners = np.asarray(points)
    if np.linalg.matrix_rank(corners[1:] - corners[0]) < 2:
        return
    plane = np.zeros((1, 12, 15), np.float32)
    plane[0, corners[:, 0], corners[:, 1]] = 1.0
    pixels = np.stack(np.meshgrid(np.arange(12), np.arange(15), indexing="ij"), axis=-1).reshape(-1, 2)
    inside = Delaunay(corners).find_simplex(pixels, tol=1e-9).reshape(12, 15) >= 0
    if 1.0 - inside.mean() >= 0.01:
        np.testing.assert_array_equal(acquired(plane)[0], inside)
