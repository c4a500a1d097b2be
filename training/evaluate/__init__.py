"""Networks judged on patients: a run on its test patients, released weights on public data sets."""

from training.evaluate.patients import (
    CalibratedModel,
    PatientScore,
    rival_temperature,
    score_entrust,
    score_rival,
    trust_map_of,
)

__all__ = [
    "CalibratedModel",
    "PatientScore",
    "rival_temperature",
    "score_entrust",
    "score_rival",
    "trust_map_of",
]
