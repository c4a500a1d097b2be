"""What a task consists of: modalities, labels with their codes, grid."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from entrust.errors import InvalidInputError
from entrust.noise import WHITE, NoiseModel
from entrust.schedule import Schedule


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM code sequence item)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One segmented structure; the background is label 0 and is not listed.

    Attributes:
        value: Value in the label map, from 1; in a nested task voxels of larger values belong to it, too.
        slug: Short name in files and JSON.
        title: Words for people.
        property_category: SNOMED CT category code for the DICOM segment.
        property_type: SNOMED CT type code for the DICOM segment.
        colour: sRGB for displays, 0..255.
    """

    value: int
    slug: str
    title: str
    property_category: Code
    property_type: Code
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Modality:
    """One input role of a task.

    Attributes:
        slug: Role name: ``ct``, ``pet``, ``t1``.
        title: Words for people.
        dicom_modality: Value of (0008,0060) that can play the role.
        units: What the intensities mean: ``HU``, ``SUV`` or ``arbitrary``.
    """

    slug: str
    title: str
    dicom_modality: str
    units: Literal["HU", "SUV", "arbitrary"]


@dataclass(frozen=True)
class Task:
    """A segmentation task.

    Attributes:
        name: Name in URLs, files and model names.
        title: Words for people.
        modalities: Input roles; their order is the tensors' order.
        labels: Segmented structures.
        required: Slugs without which there is no answer; at least one modality is always needed.
        reference_order: Slugs by preference for the series whose geometry the results take.
        spacing_mm: Grid of the model (depth, row, column).
        plane: Planes that the networks know: axial ones of the patient, or those of the reference series, as the short
            axis of a heart is no axis of the patient.
        context_offsets: Slices shown to the network around the slice of interest, in grid slices.
        size_multiple: Height and width are padded to a multiple of this.
        conditioning_features: Channels of EnFuse's conditioning.
        schedule: Noise schedule.
        noise: Covariance of the noise.
        nested: Whether each structure lies within the one before it: a label map's value r then means structures
            1 … r. Otherwise structures exclude each other. :mod:`entrust.structures` alone tells the two apart.
        anatomic_region: Code of the organ that everything segmented lies in, where there is one.
        num_hypotheses: Default K.
        num_steps: Default S.
        eta: Default share of fresh noise.
        max_batch_size: Largest number of slices in one call.
    """

    name: str
    title: str
    modalities: tuple[Modality, ...]
    labels: tuple[Label, ...]
    required: tuple[str, ...]
    reference_order: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    context_offsets: tuple[int, ...]
    size_multiple: int
    conditioning_features: int
    schedule: Schedule
    noise: NoiseModel = WHITE
    plane: Literal["axial", "reference"] = "axial"
    nested: bool = False
    anatomic_region: Code | None = None
    num_hypotheses: int = 8
    num_steps: int = 4
    eta: float = 1.0
    max_batch_size: int = 64

    @property
    def num_classes(self) -> int:
        """C, background included: the networks' classes exclude each other, nested structures or not."""
        return len(self.labels) + 1

    @property
    def num_modalities(self) -> int:
        """M."""
        return len(self.modalities)

    @property
    def slugs(self) -> tuple[str, ...]:
        """Modality slugs in tensor order."""
        return tuple(m.slug for m in self.modalities)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Modality pairs in the order of the pair-conflict channels."""
        return tuple(combinations(self.slugs, 2))

    @property
    def num_features(self) -> int:
        """Channels that the calibration head sees; see :func:`entrust.trustmap.calibration_features`."""
        return 2 * self.num_classes + 8

    def modality(self, slug: str) -> Modality:
        """Return the modality called ``slug``.

        Raises:
            InvalidInputError: The task has no such modality.
        """
        for modality in self.modalities:
            if modality.slug == slug:
                return modality
        raise InvalidInputError(
            f"Task {self.name!r} has no modality of the given name.", fix=f"Use one of: {', '.join(self.slugs)}."
        )
