"""Volumes to slices and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from entrust.slices import crop_plane, pad_plane, padded_size, with_context

SIZES = st.integers(1, 40)


@given(SIZES, SIZES, st.sampled_from([1, 8, 16]))
def test_padding_and_cropping_is_the_identity(h: int, w: int, multiple: int) -> None:
    array = np.arange(2 * h * w, dtype=np.float32).reshape(2, h, w) + 1
    padded = pad_plane(array, multiple)
    assert padded.shape == (2, padded_size(h, multiple), padded_size(w, multiple))
    assert padded.shape[1] % multiple == padded.shape[2] % multiple == 0
    assert padded.shape[1] - h < multiple
    assert padded.sum(dtype=np.float64) == array.sum(dtype=np.float64)  # zeros were added, nothing else
    np.testing.assert_array_equal(crop_plane(padded, h, w), array)


@given(st.integers(1, 12), st.integers(1, 5), st.data())
def test_slices_put_together_again_are_the_volume(depth: int, batch: int, data: st.DataObject) -> None:
    volume = np.random.default_rng(0).normal(size=(3, depth, 4, 5)).astype(np.float32)
    offsets = tuple(data.draw(st.lists(st.integers(-4, 4), min_size=1, max_size=5)))
    offsets = (*offsets, 0)
    chunks = [
        with_context(volume, np.arange(start, min(start + batch, depth)), offsets) for start in range(0, depth, batch)
    ]
    slices = np.concatenate(chunks)  # [d, m, z, h, w]
    np.testing.assert_array_equal(slices[:, :, -1].transpose(1, 0, 2, 3), volume)


@given(st.integers(1, 8), st.integers(-9, 9))
def test_a_neighbour_is_the_slice_at_that_offset_and_nothing_beyond_the_ends(depth: int, offset: int) -> None:
    volume = np.random.default_rng(0).normal(size=(2, depth, 3, 3)).astype(np.float32)
    slices = with_context(volume, np.arange(depth), (offset,))
    for i in range(depth):
        inside = 0 <= i + offset < depth
        expected = volume[:, i + offset] if inside else np.zeros((2, 3, 3))
        np.testing.assert_array_equal(slices[i, :, 0], expected)


def test_single_precision_and_bool_stay_what_they_are() -> None:
    volume = np.ones((1, 3, 2, 2), np.float32)
    assert with_context(volume, np.arange(3), (-1, 0)).dtype == np.float32
    assert with_context(volume, np.arange(3), (-1, 0)).flags.c_contiguous
