"""Who is trained on, who calibrates, who tests: always whole patients."""

from dataclasses import dataclass

import numpy as np

NUM_FOLDS = 5
NUM_CALIBRATION = 6


@dataclass(frozen=True)
class Split:
    """Names of whole patients.

    Attributes:
        train: Fit the networks.
        calibration: Fit κ, the calibration head and the volume interval.
        test: Touched by neither.
    """

    train: tuple[str, ...]
    calibration: tuple[str, ...]
    test: tuple[str, ...]


def cross_validation(patients: tuple[str, ...], fold: int, seed: int = 0) -> Split:
    """Return one of :data:`NUM_FOLDS` folds; every patient tests exactly once.

    Args:
        patients: All names.
        fold: Fold number from 0.
        seed: Seed of the shuffle.
    """
    order = np.random.default_rng(seed).permutation(np.asarray(patients))
    test = order[fold::NUM_FOLDS]
    rest = np.random.default_rng([seed, fold]).permutation(np.setdiff1d(order, test))
    return Split(
        train=tuple(sorted(map(str, rest[NUM_CALIBRATION:]))),
        calibration=tuple(sorted(map(str, rest[:NUM_CALIBRATION]))),
        test=tuple(sorted(map(str, test))),
    )


def release(patients: tuple[str, ...], held_out: tuple[str, ...], seed: int = 0) -> Split:
    """Return the split of the released weights: all but ``held_out``, a few of them for calibration."""
    rest = np.random.default_rng(seed).permutation(np.asarray([p for p in patients if p not in held_out]))
    return Split(
        train=tuple(sorted(map(str, rest[NUM_CALIBRATION:]))),
        calibration=tuple(sorted(map(str, rest[:NUM_CALIBRATION]))),
        test=tuple(held_out),
    )
