"""What is asked of a study, and who is told how far it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from entrust.contract import get_task
from entrust.errors import InvalidInputError
from entrust.sampling import SAMPLERS
from service.dicom_json import Json
from service.encode import Extra
from service.extra_results import check_label_map

Source = Path | Mapping[str, Path]
"""A folder or file of one study, or one NIfTI file by modality slug."""
OnProgress = Callable[[str, int, int], None]
"""Told of a stage, the steps of it that are finished, and their number."""


@dataclass(frozen=True)
class SegmentationRequest:
    """What is asked of a study.

    Attributes:
        task: Task name.
        num_hypotheses: K.
        num_steps: S.
        seed: Seed of the study's noise.
        sampler: Name of the sampler.
        assignment: Series by modality slug, where the tags do not decide.
        extra_results: DICOM results to make beyond the usual ones.
        attributes: Of patient and request, as DICOM JSON, that results take before those of the images.
    """

    task: str
    num_hypotheses: int
    num_steps: int
    seed: int = 0
    sampler: str = "ddim"
    assignment: Mapping[str, str] = field(default_factory=dict)
    extra_results: tuple[Extra, ...] = ()
    attributes: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InvalidInputError("There is no sampler of that name.", fix=f"Use one of: {', '.join(SAMPLERS)}.")
        if Extra.LABELMAP in self.extra_results:
            check_label_map(get_task(self.task))
