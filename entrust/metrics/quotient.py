"""The one convention for a mean of nothing."""

import numpy as np
from jaxtyping import Float, Shaped


def quotient(
    total: Shaped[np.ndarray, "*a"] | np.number, size: Shaped[np.ndarray, "*a"] | np.number
) -> Float[np.ndarray, "*a"]:
    """Return total / size elementwise; nan, without a warning, where the size is 0.

    Args:
        total: Array, or the scalar that numpy makes of a reduction over all axes.
        size: Of the same shape.
    """
    nothing = np.full(np.shape(size), np.nan)
    return np.asarray(np.divide(total, size, out=nothing, where=np.asarray(size != 0)))
