"""Whether studies still look like those that the weights were calibrated on: a few numbers of each, and their range.

A calibrated probability is worth what the calibration set is worth. A new scanner, another reconstruction kernel or
another tracer dose show in these numbers before anybody sees them in a mask.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from entrust.contract import Modality
from entrust.normalisation import darkest

STATISTICS = ("mean", "spread", "sharpness")
TISSUE_LEVEL = 0.05
"""Network input above its darkest value from which a voxel counts as tissue and not as air."""

Verdict = Literal["below", "within", "above"]
VERDICTS: tuple[Verdict, ...] = ("below", "within", "above")


def intensity_statistics(
    modality: Modality, image: Float[np.ndarray, "d h w"], present: Bool[np.ndarray, "d h w"]
) -> dict[str, float]:
    """Return what a modality looks like, as few numbers.

    Args:
        modality: Whose image it is.
        image: Normalised intensities.
        present: Where the modality was acquired.

    Returns:
        ``mean`` and ``spread`` (standard deviation) of the input above its darkest value over tissue, and
        ``sharpness``: the mean absolute step between neighbours within a slice, which noise and reconstruction kernel
        decide. Without unit; empty where there is no tissue.
    """
    values = image - darkest(modality)
    tissue = present & (values > TISSUE_LEVEL)
    rows, columns = tissue[:, 1:] & tissue[:, :-1], tissue[..., 1:] & tissue[..., :-1]
    steps = np.concatenate([np.abs(np.diff(values, axis=1))[rows], np.abs(np.diff(values, axis=2))[columns]])
    if not steps.size:
        return {}
    inside = values[tissue].astype(np.float64)
    return {
        "mean": float(inside.mean()),
        "spread": float(inside.std()),
        "sharpness": float(steps.mean(dtype=np.float64)),
    }


def intensity_measure(slug: str, statistic: str) -> str:
    """Return the name of a measure of a modality's intensities."""
    return f"{slug}-intensity-{statistic}"


def conflict_measure(pair: str) -> str:
    """Return the name of the share in which a pair of modalities disagrees; ``ct-pet`` and the like."""
    return f"{pair}-conflict"


UNCERTAIN_MEASURE = "uncertain-volume"
AGREEMENT_MEASURE = "agreement"


@dataclass(frozen=True)
class Band:
    """Smallest, median and largest value of a measure over the calibration set."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Band":
        """Return the band of some values."""
        array = np.asarray(list(values), np.float64)
        return cls(float(array.min()), float(np.median(array)), float(array.max()))

    def verdict(self, value: float) -> Verdict:
        """Say where a value lies. One more study like the n of the calibration set is outside in 2 of n + 1 cases."""
        if value < self.low:
            return "below"
        return "above" if value > self.high else "within"


@dataclass(frozen=True)
class CalibrationReference:
    """What the calibration set looked like to a set of weights.

    Attributes:
        task: Task name.
        digest: SHA-256 of the weights with which trust was measured.
        studies: Number of studies.
        bands: Range by measure.
    """

    task: str
    digest: str
    studies: int
    bands: Mapping[str, Band]

    def to_json(self) -> str:
        """Return the content of its file."""
        content = {
            "task": self.task,
            "digest": self.digest,
            "studies": self.studies,
            "bands": {
                name: {"low": round(b.low, 6), "median": round(b.median, 6), "high": round(b.high, 6)}
                for name, b in sorted(self.bands.items())
            },
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "CalibrationReference":
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: It is no such text.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            bands = {name: Band(**band) for name, band in content["bands"].items()}
            return cls(content["task"], content["digest"], content["studies"], bands)
        except (KeyError, TypeError) as error:
            raise ValueError("not a calibration reference") from error
