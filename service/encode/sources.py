"""The source images as the results need them: their planes in depth order, and a clean header to start from."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydicom import config
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds, validate_value

from entrust.errors import InternalError
from entrust.volume import Grid
from service.study import Planes, Series

UNICODE = "ISO_IR 192"

VERBATIM = ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "FrameOfReferenceUID")
"""Copied as they are: a receiver matches results to the study by them, valid or not."""

_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_COPIED = (
    *_TYPE_2,
    "StudyInstanceUID", "StudyDescription", "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "QualityControlSubject", "IssuerOfAccessionNumberSequence",
    "ProcedureCodeSequence", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID", "FrameOfReferenceUID", "PositionReferenceIndicator", "BodyPartExamined", "Laterality",
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "StationName", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence", "AdmissionID", "RequestAttributesSequence", "ReferencedRequestSequence",
)  # fmt: skip
_SEX = ("M", "F", "O", "")
_LATERALITY = ("L", "R", "B", "U", "")

_QUIET = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Switch off pydicom's checks of values: its warnings quote them. The switch is process-wide, hence the lock."""
    with _QUIET, config.disable_value_validation():
        yield


@dataclass(frozen=True)
class Plane:
    """A source image, or one frame of it.

    Attributes:
        sop_class_uid: Its class.
        sop_instance_uid: Its name.
        frame_number: Number from 1 in a multi-frame object; None in a single-frame one.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None


@dataclass(frozen=True, eq=False)
class Source:
    """A series that was used.

    Attributes:
        series_uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        planes: One per depth index of ``grid``.
        grid: The series' grid.
    """

    series_uid: str
    study_uid: str
    planes: tuple[Plane, ...]
    grid: Grid

    @property
    def instances(self) -> dict[str, str]:
        """SOP class by SOP instance, each instance once, in depth order."""
        return {plane.sop_instance_uid: plane.sop_class_uid for plane in self.planes}


def facing(direction: Float[np.ndarray, "3"]) -> str:
    """Return the letter of the patient's side that a direction (LPS) points to most: R, L, A, P, F or H."""
    axis = int(np.abs(direction).argmax())
    return ("RL", "AP", "FH")[axis][int(direction[axis] > 0.0)]


def sources_of(reference: Series, used: Iterable[Series]) -> tuple[Source, ...]:
    """Return every series that was used, the reference first, each once.

    Raises:
        InternalError: A series whose images do not fit its grid.
    """
    others = [series for series in used if series is not reference]
    unique = {series.uid: series for series in (reference, *others)}
    return tuple(source_of(series.planes) for series in unique.values())


def source_of(planes: Planes) -> Source:
    """Return a series as results cite it.

    Raises:
        InternalError: Its images do not fit its grid.
    """
    datasets, grid = planes.datasets, planes.grid
    study_uid = str(datasets[0].StudyInstanceUID)
    if len(datasets) == grid.shape[0]:
        cited = tuple(Plane(str(ds.SOPClassUID), str(ds.SOPInstanceUID), None) for ds in datasets)
    elif len(datasets) == 1:
        ds = datasets[0]
        numbers = planes.frames or _frame_numbers(ds, grid)
        cited = tuple(Plane(str(ds.SOPClassUID), str(ds.SOPInstanceUID), n) for n in numbers)
    else:
        raise InternalError("A series has neither one image per slice nor one in all.")
    return Source(planes.uid, study_uid, cited, grid)


def clean_header(original: Dataset) -> Dataset:
    """Return patient, study, equipment and frame-of-reference attributes of an image, fit to be written again.

    Type 2 attributes are always there, empty where unknown. A value that breaks its value representation is left
    out, except for those that a receiver matches by (:data:`VERBATIM`).
    """
    header = Dataset()
    for keyword in _COPIED:
        if keyword in original:
            element = original[keyword]
            if keyword in VERBATIM or _is_valid(element.VR, element.value):
                header.add_new(element.tag, element.VR, element.value)
        if keyword in _TYPE_2 and keyword not in header:
            setattr(header, keyword, "")
    if header.PatientSex not in _SEX:
        header.PatientSex = ""
    if header.get("Laterality", "") not in _LATERALITY:
        del header.Laterality
    character_set = original.get("SpecificCharacterSet")
    known = isinstance(character_set, str) and character_set in python_encoding
    header.SpecificCharacterSet = character_set if known else UNICODE
    return header


def shells(series: Series, header: Dataset) -> list[Dataset]:
    """Return one bare single-frame image per depth index, with the true geometry, for highdicom to start from.

    Enhanced multi-frame and classic series, complete and sparse headers look the same afterwards. What is copied
    verbatim is replaced by something valid here, because highdicom quotes odd values in its log;
    :func:`clean_header` has the true ones.
    """
    grid, (rows, columns) = series.volume.grid, series.volume.grid.shape[1:]
    positions_mm = _stated_positions(series)
    thickness_mm = _positive(series.datasets[0].get("SliceThickness")) or grid.spacing_mm[0]
    _, row_direction, column_direction = grid.direction.T
    common = deepcopy(header)  # elements are shared by Dataset.update and would be changed in the header, too
    common.SpecificCharacterSet = UNICODE
    common.PatientName, common.PatientID, common.AccessionNumber = "Anonymous^", "", ""
    common.StudyInstanceUID, common.FrameOfReferenceUID = "2.25.1", "2.25.2"
    common.SOPClassUID = CTImageStorage
    common.SeriesInstanceUID = series.uid
    common.Modality = series.dicom_modality
    common.Rows, common.Columns = rows, columns
    common.ImageOrientationPatient = _decimals(np.r_[column_direction, row_direction])
    common.PixelSpacing = _decimals(np.asarray(grid.spacing_mm[1:]))
    common.SliceThickness = format_number_as_ds(thickness_mm)
    common.SpacingBetweenSlices = format_number_as_ds(grid.spacing_mm[0])
    result = []
    for depth, position_mm in enumerate(positions_mm, start=1):
        shell = Dataset()
        shell.update(common)
        shell.SOPInstanceUID = f"2.25.{depth}"
        shell.ImagePositionPatient = _decimals(position_mm)
        result.append(shell)
    return result


def _frame_numbers(ds: Dataset, grid: Grid) -> list[int]:
    """Return the number of the frame that lies at each depth."""
    stated_mm = np.stack([_position(group) for group in ds.PerFrameFunctionalGroupsSequence])
    depth = grid.to_index(stated_mm)[:, 0]
    nearest = np.abs(np.arange(grid.shape[0])[:, None] - depth).argmin(axis=1)
    if np.abs(depth[nearest] - np.arange(grid.shape[0])).max() > 0.5:
        raise InternalError("Frames of a multi-frame image do not fit its grid.")
    return [int(n) + 1 for n in nearest]


def _stated_positions(series: Series) -> list[Float[np.ndarray, "3"]]:
    """Return the position of each plane as its image states it, so that viewers find the very same plane."""
    datasets, grid = series.datasets, series.volume.grid
    if len(datasets) == grid.shape[0]:
        return [_position(ds) for ds in datasets]
    groups = datasets[0].PerFrameFunctionalGroupsSequence
    return [_position(groups[number - 1]) for number in _frame_numbers(datasets[0], grid)]


def _position(group: Dataset) -> Float[np.ndarray, "3"]:
    holder = group.PlanePositionSequence[0] if "PlanePositionSequence" in group else group
    return np.asarray([float(v) for v in holder.ImagePositionPatient])


def _positive(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if np.isfinite(number) and number > 0 else None


def _decimals(values: Float[np.ndarray, "n"]) -> list[str]:
    return [format_number_as_ds(float(v) + 0.0) for v in values]


def _is_valid(vr: str, value: object) -> bool:
    if vr == "SQ":
        return True
    values = value if isinstance(value, list | tuple | MultiValue) else [value]
    try:
        for item in values:
            validate_value(vr, str(item) if item is not None else "", config.RAISE)
    except (ValueError, TypeError):
        return False
    return True
