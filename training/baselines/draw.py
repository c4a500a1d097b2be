"""What a rival says about neighbouring slices of a volume, and the randomness its hypotheses are made of."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Draw:
    """A rival's answer.

    Attributes:
        marginal: Class probabilities [b, c, h, w].
        samples: Soft class probabilities of k hypotheses [b, k, c, h, w]; ``None`` of a deterministic method.
        conflict: How far the modalities contradict each other, in [0, 1], [b, h, w]; ``None`` where a method has no
            such map.
        pair_conflict: The same by pair of modalities, in the order of ``itertools.combinations``, [b, p, h, w].
    """

    marginal: Tensor
    samples: Tensor | None = None
    conflict: Tensor | None = None
    pair_conflict: Tensor | None = None


def hypothesis_generator(seed: int, hypothesis: int) -> torch.Generator:
    """Return the source of one hypothesis' noise, on the CPU so that every device draws the same.

    It belongs to the hypothesis: each slice of a volume meets the same noise, so that the K answers are K coherent
    volumes, and K hypotheses are the first of any larger number.
    """
    state = np.random.SeedSequence([seed, hypothesis]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
