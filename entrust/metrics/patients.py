"""Statistics over patients, the only independent units."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from entrust.errors import InvalidInputError


@dataclass(frozen=True)
class Estimate:
    """A mean over patients with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def paired_bootstrap(differences: Float[np.ndarray, "n"], num: int = 10_000, seed: int = 0) -> Estimate:
    """Return the mean difference over patients with a 95 % percentile interval.

    Args:
        differences: One number per patient: ours minus theirs on the same patient.
        num: Resamples of the patients.
        seed: Of the resampling.

    Raises:
        InvalidInputError: No patient, or a difference that is not finite (leave that patient out knowingly).
    """
    if not len(differences) or not np.isfinite(differences).all():
        raise InvalidInputError("A bootstrap needs at least one patient and a finite number for each.")
    index = np.random.default_rng(seed).integers(len(differences), size=(num, len(differences)))
    means = differences[index].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(differences.mean()), float(low), float(high))
