"""Networks judged on patients: a run on its test patients, released weights on public data sets."""

from training.evaluate.patients import (
    CalibratedModel,
    PatientScore,
    baseline_temperature,
    score_baseline,
    score_entrust,
    trust_map_of,
)

__all__ = [
    "CalibratedModel",
    "PatientScore",
    "baseline_temperature",
    "score_baseline",
    "score_entrust",
    "trust_map_of",
]
