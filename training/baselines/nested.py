"""Hypotheses that cost nothing: nested masks of one calibrated probability map."""

import numpy as np
from jaxtyping import Float, UInt8


def nested_hypotheses(probability: Float[np.ndarray, "c d h w"], num_hypotheses: int) -> UInt8[np.ndarray, "k d h w"]:
    """Return K label maps whose foregrounds are {foreground probability ≥ (k − ½)/K}, the largest first.

    A voxel that passes takes its most probable structure. Their mean foreground is the probability to within ½/K.
    They are coherent by construction, and right for one conflict alone: of two independent conflicts they let the less
    probable one on only where the other is.

    Args:
        probability: Of each class, background first.
        num_hypotheses: K.
    """
    structure = 1 + probability[1:].argmax(axis=0)
    foreground = 1.0 - probability[0]
    masks = np.stack([foreground >= (i + 0.5) / num_hypotheses for i in range(num_hypotheses)])
    return np.asarray(masks * structure, dtype=np.uint8)
