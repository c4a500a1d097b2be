"""A volume as a batch of slices with context, padded to what the networks take; and back.

Both directions are exact: slices → volume after volume → slices is the identity.
"""

import numpy as np
from jaxtyping import Float, Shaped


def padded_size(size: int, multiple: int) -> int:
    """Return the smallest multiple of ``multiple`` that is at least ``size``."""
    return -(-size // multiple) * multiple


def pad_plane(array: Shaped[np.ndarray, "*n h w"], multiple: int) -> Shaped[np.ndarray, "*n h2 w2"]:
    """Pad the last two axes with zeros at their ends to multiples of ``multiple``."""
    h, w = array.shape[-2:]
    widths = [(0, 0)] * (array.ndim - 2) + [
        (0, padded_size(h, multiple) - h),
        (0, padded_size(w, multiple) - w),
    ]
    return np.pad(array, widths)


def crop_plane(array: Shaped[np.ndarray, "*n h2 w2"], height: int, width: int) -> Shaped[np.ndarray, "*n h w"]:
    """Undo :func:`pad_plane`."""
    return array[..., :height, :width]


def with_context(
    volume: Float[np.ndarray, "m d h w"], depths: Shaped[np.ndarray, "b"], offsets: tuple[int, ...]
) -> Float[np.ndarray, "b m z h w"]:
    """Gather slices with their neighbours; beyond the ends there is nothing (zeros).

    Args:
        volume: Modalities on one grid.
        depths: Slice numbers of interest.
        offsets: Neighbours in slices; z = len(offsets).
    """
    depth = volume.shape[1]
    index = depths[:, None] + np.asarray(offsets)[None]  # [b, z]
    inside = (index >= 0) & (index < depth)
    gathered = volume[:, np.clip(index, 0, depth - 1)]  # [m, b, z, h, w]
    gathered = gathered * inside[None, :, :, None, None].astype(volume.dtype)
    return np.ascontiguousarray(gathered.transpose(1, 0, 2, 3, 4))
