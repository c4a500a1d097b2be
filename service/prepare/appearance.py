"""What a case looks like, as the few numbers that are watched for drift."""

from collections.abc import Mapping
from dataclasses import dataclass

from entrust.drift import intensity_statistics
from service.study import Case


@dataclass(frozen=True)
class Appearance:
    """Numbers by modality; nothing in them leads back to a patient.

    Attributes:
        intensities: See :func:`entrust.drift.intensity_statistics`.
        coverage: Share of the examined volume that the modality covers.
        slice_spacing_mm: Distance between slices as sent.
    """

    intensities: Mapping[str, Mapping[str, float]]
    coverage: Mapping[str, float]
    slice_spacing_mm: Mapping[str, float]


def describe_appearance(case: Case) -> Appearance:
    """Measure every modality that was used."""
    used = [(i, modality) for i, modality in enumerate(case.task.modalities) if modality.slug in case.used]
    return Appearance(
        intensities={m.slug: intensity_statistics(m, case.images[i], case.presence[i]) for i, m in used},
        coverage={m.slug: float(case.presence[i].mean()) for i, m in used},
        slice_spacing_mm={m.slug: float(case.used[m.slug].volume.grid.spacing_mm[0]) for _, m in used},
    )
