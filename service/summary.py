"""The words and numbers of a result: what ``trust`` concludes, ``encode`` draws and ``summary.json`` says.

The models hold no patient data: no names, no dates, no UIDs; a series is named by its number alone. The JSON schema
is stable within :data:`SCHEMA_VERSION`; fields may be added, never renamed or given another meaning.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1"

NOTICE = "Research use only. Not a medical device. Every number here needs the judgement of a qualified person."

Cause = Literal["conflict", "missing-modality", "boundary", "low-evidence"]
Reliability = Literal["high", "moderate", "low"]
Share = float
"""A number in [0, 1]."""


@dataclass(frozen=True)
class Provenance:
    """With what the model was run; together with the input and the weights it decides every pixel.

    Attributes:
        seed: Seed of the study's noise.
        num_hypotheses: K.
        num_steps: S.
        sampler: Name of the sampler, as in :mod:`entrust.sampling`.
        eta: Share of fresh noise.
    """

    seed: int
    num_hypotheses: int
    num_steps: int
    sampler: str
    eta: float = 1.0


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskInfo(_Value):
    """The task that was done."""

    name: str
    title: str


class ModelInfo(_Value):
    """The weights that did it."""

    name: str
    version: str
    digest: str = Field(description="SHA-256 of the weights, hexadecimal.")
    contract: str


class Parameters(_Value):
    """How they were run."""

    seed: int
    num_hypotheses: int
    num_steps: int
    sampler: str
    eta: float


class RegistrationInfo(_Value):
    """How a series of another frame of reference was laid over the reference."""

    rotation_degrees: float = Field(description="By how much it was turned.")
    translation_mm: float = Field(description="How far the middle of the body was moved.")
    disagreement_mm: float = Field(description="How far searches from different starts end from each other.")
    overlap: float = Field(description="Share of the smaller body that lies within the other one.")
    doubtful: bool = Field(description="Whether it is in doubt, and the uncertainty was raised.")


class ModalityInfo(_Value):
    """A series that plays a role."""

    slug: str
    title: str
    dicom_modality: str = Field(description="(0008,0060); empty for NIfTI.")
    series_number: int | None = Field(description="(0020,0011); null for NIfTI or where the series has none.")
    reference: bool = Field(description="Whether the results lie on this series' grid.")
    coverage: Share = Field(description="Share of the examined volume that the series covers.")
    registration: RegistrationInfo | None = Field(
        default=None, description="Where the series lies in another frame of reference than the reference series."
    )


class GridInfo(_Value):
    """The model's grid, on which everything in the summary was measured."""

    shape: tuple[int, int, int] = Field(description="Voxels (depth, row, column).")
    spacing_mm: tuple[float, float, float] = Field(description="Spacing (depth, row, column).")
    voxel_volume_ml: float


class Interval(_Value):
    """An interval that is meant to hold the true value with the stated probability."""

    low: float
    high: float
    level: float


class ErrorProbability(_Value):
    """Error probability over a set of voxels."""

    mean: float
    p95: float


class SegmentInfo(_Value):
    """One segmented structure."""

    label: int
    slug: str
    title: str
    volume_ml: float = Field(description="Volume of the final mask.")
    volume_interval_ml: Interval
    hypothesis_volumes_ml: tuple[float, ...] = Field(description="Volume of each of the K hypotheses.")
    error_probability: ErrorProbability | None = Field(
        description="Within 5 mm of the structure in the mask or any hypothesis; null where nothing was found."
    )
    agreement: Share = Field(description="Mean pairwise Dice of the hypotheses; 1 where all are empty.")
    reliability: Reliability
    reasons: tuple[str, ...] = Field(description="What keeps the reliability from being high, as slugs.")


class CauseShare(_Value):
    """A cause and the share of the region's voxels to which it applies; causes may overlap."""

    cause: Cause
    share: Share
    modalities: tuple[str, ...] = Field(description="The disagreeing pair, or the modalities that are missing.")
    says_foreground: str | None = Field(
        default=None, description="For a conflict: the modality of the pair that, alone, sees the structure."
    )


class Region(_Value):
    """A connected set of voxels that are likely to be wrong."""

    number: int = Field(description="From 1, largest first.")
    volume_ml: float
    share: Share = Field(description="Share of the total uncertain volume.")
    centroid_mm: tuple[float, float, float] = Field(description="LPS (x, y, z).")
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]] = Field(
        description="Bounding box of the voxels' extents: LPS minimum and maximum corner."
    )
    slices: tuple[int, int] = Field(description="First and last slice (from 0) of the reference series it touches.")
    error_probability: ErrorProbability
    max_error_probability: float
    causes: tuple[CauseShare, ...] = Field(description="Largest share first.")
    attribution_nats: dict[str, float] = Field(
        description="Mean shift of the answer when a modality is left out, by modality."
    )


class Uncertain(_Value):
    """Where the mask may be wrong."""

    threshold: float = Field(description="Error probability from which a voxel is uncertain.")
    volume_ml: float = Field(description="All uncertain voxels, small components included.")
    share: Share = Field(description="Share of the foreground domain that is uncertain.")
    num_regions: int = Field(description="Components above the volume limit; the largest are listed.")
    dropped_regions: int = Field(description="Components below the volume limit.")
    dropped_volume_ml: float
    min_region_ml: float
    regions: tuple[Region, ...]


class PairConflict(_Value):
    """How much of the foreground domain two modalities dispute."""

    modalities: tuple[str, str]
    share: Share = Field(description="Share of the foreground domain where this pair is in conflict.")
    mean: float = Field(description="Mean pair conflict over the foreground domain, in [0, 1].")


class InputWarning(_Value):
    """A tolerance that was used on the input."""

    code: str
    message: str


class Timings(_Value):
    """How long the work took."""

    stages_seconds: dict[str, float] = Field(default_factory=dict)
    sampling_steps_seconds: tuple[float, ...] = Field(default=(), description="One entry per sampling step.")


class Summary(_Value):
    """A result in words and numbers; the foreground domain is everything within 5 mm of the mask or a hypothesis."""

    schema_version: str = SCHEMA_VERSION
    notice: str = NOTICE
    task: TaskInfo
    model: ModelInfo
    parameters: Parameters
    modalities: tuple[ModalityInfo, ...]
    missing: tuple[str, ...]
    grid: GridInfo
    agreement: Share = Field(description="Mean pairwise Dice of the hypotheses' whole foreground.")
    segments: tuple[SegmentInfo, ...]
    uncertain: Uncertain
    conflict_threshold: Share = Field(description="Value of the conflict map that counts as a contradiction.")
    conflict: tuple[PairConflict, ...]
    warnings: tuple[InputWarning, ...]
    timings: Timings = Timings()

    def with_timings(self, stages_seconds: Mapping[str, float], step_seconds: Sequence[float]) -> "Summary":
        """Return the summary with durations, rounded to 0.1 ms."""
        timings = Timings(
            stages_seconds={name: round(seconds, 4) for name, seconds in stages_seconds.items()},
            sampling_steps_seconds=tuple(round(seconds, 4) for seconds in step_seconds),
        )
        return self.model_copy(update={"timings": timings})

    def to_json(self) -> bytes:
        """Return the content of ``summary.json``: UTF-8, indented, keys in the order of the schema."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()


def summary_schema() -> dict[str, Any]:
    """Return the JSON schema of ``summary.json``."""
    return Summary.model_json_schema(mode="serialization")
