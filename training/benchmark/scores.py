"""Scores of a method on many cases, kept as small arrays: tables are made of them without a network or a voxel."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from entrust.metrics import DetectionCounts, Domain, Reliability
from training.scorecard import CaseScore

NUM_ERROR_BINS = 100
"""Bins of the error probability that are kept, for sparsification plots."""
PARTS = ("names", "numbers", "confidence", "voxels", "diagrams", "errors")
"""Arrays that are kept of a method: a diagram as shares of its case's voxels."""


@dataclass(frozen=True, eq=False)
class MethodScores:
    """Scores of one method of one seed on the cases of one split.

    Attributes:
        numbers: By name, one per case; nan where it does not apply.
        confidence: In each case.
        diagrams: Reliability in the foreground domain of each case by class, [n, c, bins].
        errors: Counts of right and wrong voxels by error probability in the foreground domain, summed.
    """

    numbers: Mapping[str, Float[np.ndarray, "n"]]
    confidence: Float[np.ndarray, "n"]
    diagrams: Reliability
    errors: DetectionCounts

    @property
    def diagram(self) -> Reliability:
        """Reliability of all cases' voxels together, [c, bins]."""
        return Reliability(*(x.sum(axis=0) for x in _sums(self.diagrams)))

    @property
    def run(self) -> list[CaseScore]:
        """The cases' scores as :mod:`training.cohort` takes them."""
        return [
            CaseScore(
                {k: float(v[i]) for k, v in self.numbers.items()},
                {Domain.FOREGROUND: Reliability(*(x[i] for x in _sums(self.diagrams)))},
                self.errors,
                float(c),
            )
            for i, c in enumerate(self.confidence)
        ]


def _sums(diagrams: Reliability) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return diagrams.count, diagrams.confidence_sum, diagrams.hit_sum


def gather(scores: Sequence[CaseScore]) -> MethodScores:
    """Gather the scores of a split's cases."""
    names = sorted({name for score in scores for name in score.numbers})
    errors = scores[0].errors
    for score in scores[1:]:
        errors = errors + score.errors
    by_case = zip(*(_sums(score.diagrams[Domain.FOREGROUND]) for score in scores), strict=True)
    return MethodScores(
        numbers={name: np.array([score.numbers.get(name, np.nan) for score in scores]) for name in names},
        confidence=np.array([score.confidence for score in scores]),
        diagrams=Reliability(*(np.stack(part) for part in by_case)),
        errors=DetectionCounts(
            errors.thresholds.reshape(NUM_ERROR_BINS, -1)[:, -1],
            errors.hits.reshape(NUM_ERROR_BINS, -1).sum(axis=1),
            errors.misses.reshape(NUM_ERROR_BINS, -1).sum(axis=1),
        ),
    )


def save(path: Path, scores: Mapping[str, MethodScores]) -> None:
    """Write the scores of methods by name; half a file is never seen."""
    arrays: dict[str, np.ndarray] = {}
    for name, score in scores.items():
        keys = sorted(score.numbers)
        arrays[f"{name}|names"] = np.array(keys)
        arrays[f"{name}|numbers"] = np.stack([score.numbers[k] for k in keys]).astype(np.float16)
        arrays[f"{name}|confidence"] = score.confidence.astype(np.float32)
        errors, sums = score.errors, np.stack(_sums(score.diagrams))  # [3, n, c, bins]
        voxels = sums[0].sum(axis=-1).max(axis=-1)  # [n], the same for every class
        arrays[f"{name}|voxels"] = voxels.astype(np.float32)
        arrays[f"{name}|diagrams"] = (sums / np.maximum(voxels, 1.0)[:, None, None]).astype(np.float16)
        arrays[f"{name}|errors"] = np.stack([errors.thresholds, errors.hits, errors.misses]).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    os.replace(partial, path)


def load(path: Path) -> dict[str, MethodScores]:
    """Read what :func:`save` wrote."""
    found = {}
    with np.load(path) as stored:
        for name in dict.fromkeys(key.rpartition("|")[0] for key in stored.files):
            part = {key: stored[f"{name}|{key}"] for key in PARTS}
            numbers, voxels = part["numbers"].astype(np.float64), part["voxels"].astype(np.float64)
            found[name] = MethodScores(
                numbers={str(k): numbers[i] for i, k in enumerate(part["names"])},
                confidence=part["confidence"].astype(np.float64),
                diagrams=Reliability(*(part["diagrams"].astype(np.float64) * voxels[:, None, None])),
                errors=DetectionCounts(*part["errors"].astype(np.float64)),
            )
    return found
