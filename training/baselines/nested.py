"""Hypotheses that cost nothing: nested masks of one calibrated probability map."""

import numpy as np
from jaxtyping import Float, UInt8


def nested_hypotheses(probability: Float[np.ndarray, "c d h w"], num_hypotheses: int) -> UInt8[np.ndarray, "k d h w"]:
    """Return K label maps {p(y ≥ r) ≥ (k − ½)/K}, the largest first: structure r and all within it count together.

    The mean of each structure's masks is its probability to within ½/K. They are coherent by construction, and right
    for one conflict alone: of two independent conflicts they let the less probable one on only where the other is.

    Args:
        probability: Of each class, background first; classes are nested structures, the innermost last.
        num_hypotheses: K.
    """
    at_least = np.cumsum(probability[:0:-1], axis=0)  # p(y ≥ r), innermost structure first
    levels = (np.arange(num_hypotheses) + 0.5) / num_hypotheses
    return np.stack([(at_least >= level).sum(axis=0) for level in levels]).astype(np.uint8)
