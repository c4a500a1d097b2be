"""The values that travel between the rooms: from what was sent (Study, Series) to what the networks see (Case)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from entrust.contract import Task
from entrust.errors import EnTrustError
from entrust.volume import Grid, Volume


@dataclass(frozen=True)
class Warned:
    """A tolerance that was used: something odd in the input that did not stop the work.

    Attributes:
        code: Stable slug, safe as a metric label: ``slice-order-shuffled``, ``suv-assumed`` …
        message: One sentence for people, free of patient data.
    """

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class SeriesHeader:
    """What is known of a series before its pixels are read: enough to choose by.

    Attributes:
        uid: SeriesInstanceUID; empty for NIfTI. Never logged.
        dicom_modality: ``CT``, ``MR``, ``PT`` by SOP class, (0008,0060) for what is no volume; empty for NIfTI.
        description: SeriesDescription and ProtocolName. Never logged.
        frame_of_reference_uid: (0020,0052); empty when unknown. Never logged.
        attributes: Tags by DICOM keyword, plain Python values. Never logged.
        num_images: Image planes; files for what is no volume.
        grid: Where the volume lies; ``None`` where there is none.
        refused: Why it is no volume; ``None`` where it is one.
        role: Modality slug when the caller gave it, else empty.
    """

    uid: str
    dicom_modality: str
    description: str
    frame_of_reference_uid: str
    attributes: Mapping[str, Any]
    num_images: int
    grid: Grid | None = None
    refused: EnTrustError | None = None
    role: str = ""


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of a series without their pixels: what results are compared with.

    Attributes:
        uid: SeriesInstanceUID. Never logged.
        datasets: pydicom headers, one per depth index (one in all for multi-frame).
            Opaque outside the rooms that own DICOM.
        grid: Where they lie.
        frames: Of a multi-frame image, the frame number at each depth; empty where it follows from the grid. A series
            that was registered no longer lies where its frames say.
    """

    uid: str
    datasets: tuple[Any, ...]
    grid: Grid
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Series:
    """One acquired volume.

    Attributes:
        uid: SeriesInstanceUID; empty for NIfTI. Never logged.
        dicom_modality: (0008,0060); empty for NIfTI.
        description: SeriesDescription and ProtocolName, for matching roles only. Never logged.
        frame_of_reference_uid: (0020,0052); empty when unknown. Never logged.
        volume: Rescaled values, float32, on the series' own grid; depth in the order of increasing position.
        units: ``HU``, ``BQML``, ``SUV`` or ``arbitrary``.
        attributes: Tags by DICOM keyword, plain Python values. Never logged.
        datasets: pydicom headers, one per depth index (one in all for multi-frame); empty for NIfTI.
            Opaque outside the rooms that own DICOM.
        role: Modality slug when the caller gave it (NIfTI, explicit assignment), else empty.
    """

    uid: str
    dicom_modality: str
    description: str
    frame_of_reference_uid: str
    volume: Volume
    units: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[Any, ...] = ()
    role: str = ""

    @property
    def header(self) -> SeriesHeader:
        """What was known of it before its pixels were read."""
        return SeriesHeader(
            uid=self.uid,
            dicom_modality=self.dicom_modality,
            description=self.description,
            frame_of_reference_uid=self.frame_of_reference_uid,
            attributes=self.attributes,
            num_images=self.volume.grid.shape[0],
            grid=self.volume.grid,
            role=self.role,
        )

    @property
    def planes(self) -> Planes:
        """Its planes without their pixels."""
        return Planes(self.uid, self.datasets, self.volume.grid, tuple(self.attributes.get("FrameNumbers", ())))


@dataclass(frozen=True, eq=False)
class Refused:
    """A series that is an image but could not become a volume; it spoils the study only where nothing else can serve.

    Attributes:
        dicom_modality: (0008,0060).
        error: Why, ready to be raised.
    """

    dicom_modality: str
    error: EnTrustError


@dataclass(frozen=True, eq=False)
class Study:
    """What the caller sent, decoded.

    Attributes:
        source: ``dicom`` or ``nifti``.
        uid: StudyInstanceUID (of the first series); empty for NIfTI. Never logged.
        series: Volumes that were decoded.
        warnings: Tolerances used on the way.
        skipped: What was left aside and why, by reason slug: ``not-an-image`` → 2.
        refused: Image series that could not be used; each also has a warning.
    """

    source: Literal["dicom", "nifti"]
    uid: str
    series: tuple[Series, ...]
    warnings: tuple[Warned, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, eq=False)
class Cast:
    """Which series of a study plays which modality of a task.

    Attributes:
        series: Series by modality slug, in the task's order.
        warnings: Tolerances used in choosing.
        named: Slugs whose series the caller named; one that cannot be used is then an error.
        left_out: Slugs that the caller left out.
        required: Slugs without which there is no answer.
    """

    series: Mapping[str, Series]
    warnings: tuple[Warned, ...] = ()
    named: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Registration:
    """How well a series of another frame of reference could be laid over the reference.

    Attributes:
        rotation_degrees: By how much it was turned.
        translation_mm: How far the body's middle was moved.
        disagreement_mm: How far searches from different starts end from each other, at the body's edge.
        overlap: Share of the smaller body that lies within the other one.
        doubtful: Whether the answer may be used with a warning only.
    """

    rotation_degrees: float
    translation_mm: float
    disagreement_mm: float
    overlap: float
    doubtful: bool


@dataclass(frozen=True, eq=False)
class Case:
    """What the networks see: every modality on the task's grid.

    Attributes:
        task: The task.
        grid: The model's grid: axial, LPS, ``task.spacing_mm``.
        images: Normalised intensities in the order of ``task.slugs``; zero where absent.
        presence: Where each modality was acquired.
        intensities: Resampled HU, SUV or arbitrary values, for display; same axes as ``images``.
        used: Series by modality slug.
        reference: The series whose geometry the results take (one of ``used``).
        missing: Slugs of modalities that no series plays.
        warnings: Tolerances used by ingest and prepare together.
        registrations: Series that were registered to the reference, by modality slug; ``used`` has them in its space.
    """

    task: Task
    grid: Grid
    images: Float[np.ndarray, "m d h w"]
    presence: Bool[np.ndarray, "m d h w"]
    intensities: Float[np.ndarray, "m d h w"]
    used: Mapping[str, Series]
    reference: Series
    missing: tuple[str, ...]
    warnings: tuple[Warned, ...] = ()
    registrations: Mapping[str, Registration] = field(default_factory=dict)
