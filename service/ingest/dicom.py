"""DICOM files → series: sort files out by what they are, then build one volume per series, each on its own."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydicom.dataset import Dataset
from pydicom.uid import UID

from entrust.errors import EnTrustError, InvalidInputError, TooLargeError, UnsupportedMediaError
from service.ingest.headers import (
    PARSE_FAILURES,
    attributes,
    describe,
    deviations,
    drop_unreadable,
    image_type,
    read_header,
)
from service.ingest.limits import IngestLimits
from service.ingest.series import build_series, inspect_series, stack_planes
from service.study import Planes, Refused, Series, SeriesHeader, Study, Warned

VOLUME_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",
}
"""SOP classes whose objects can be slices of a volume: classic, enhanced and legacy converted enhanced."""

_Members = list[tuple[Path, Dataset]]
"""Files of one series, with their headers."""
T = TypeVar("T")
_NOT_AN_IMAGE = UnsupportedMediaError(
    "The objects hold no images.",
    fix="Nothing is to be done: they are structure sets, segmentations or reports.",
)


@dataclass
class _Findings:
    """What is collected while the files of one study are read."""

    series: list[Series] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    others: dict[str, list[tuple[Dataset, EnTrustError]]] = field(default_factory=lambda: defaultdict(list))
    voxels: int = 0


def read_dicom(paths: Iterable[Path], limits: IngestLimits) -> Study:
    """Read DICOM files into a study.

    A series that cannot become a volume is refused on its own: it becomes a warning and an entry of
    ``Study.refused``. Its error is raised here only when no series of the study could be used.

    Raises:
        EnTrustError: Nothing in the files can be used; the first refused series' error, or what the files are instead.
    """
    found = _Findings()
    with deviations() as caught:
        groups = _by_series(paths, found, limits)
        for members in groups:
            _add_series(members, found, limits)
    if caught:
        found.warnings.append(
            Warned("dicom-deviations", f"{len(caught)} deviations from the DICOM standard were tolerated in reading.")
        )
    if not found.series:
        raise _why_nothing(found)
    return Study(
        source="dicom",
        uid=str(found.series[0].attributes.get("StudyInstanceUID", "")),
        series=tuple(found.series),
        warnings=tuple(found.warnings),
        skipped=dict(found.skipped),
        refused=tuple(found.refused),
    )


def inspect_dicom(paths: Iterable[Path], limits: IngestLimits) -> tuple[SeriesHeader, ...]:
    """Say what every series of a study is, and why it is no volume where it is none, from the headers alone.

    Raises:
        InvalidInputError: The images belong to more than one patient.
        TooLargeError: A limit was passed.
    """
    found = _Findings()
    with deviations():
        groups = _by_series(paths, found, limits)
        volumes = [_inspect(members, found, limits) for members in groups]
        others = [_header(str(o[0][0].get("Modality") or ""), o[0][0], len(o), o[0][1]) for o in found.others.values()]
    return *volumes, *others


def read_planes(paths: Iterable[Path], limits: IngestLimits) -> tuple[Planes, ...]:
    """Return the planes of every series that forms a volume; what forms none is passed over. No pixels are read.

    Raises:
        InvalidInputError: The images belong to more than one patient, or a header is damaged.
        TooLargeError: A limit was passed.
    """
    found, planes = _Findings(), []
    with deviations():
        for members in _by_series(paths, found, limits):
            try:
                planes.append(stack_planes(members, limits.max_voxels))
            except TooLargeError:
                raise
            except EnTrustError:
                continue
            except PARSE_FAILURES as error:
                raise _damaged(error) from error
    return tuple(planes)


def _attempt(
    build: Callable[[_Members, str, int], T], members: _Members, found: _Findings, limits: IngestLimits
) -> T | EnTrustError:
    """Build something from a series, its modality and the voxels that it may have; return why where it cannot be.

    Raises:
        TooLargeError: It has more voxels.
    """
    header = members[0][1]
    try:
        if _is_localizer(header):
            raise UnsupportedMediaError("The images are localizers.", fix="Send the diagnostic series.")
        return build(members, _modality(members), limits.max_voxels - found.voxels)
    except TooLargeError:
        raise
    except EnTrustError as error:
        return error
    except PARSE_FAILURES as error:
        return _damaged(error)


def _modality(members: _Members) -> str:
    return VOLUME_CLASSES[str(members[0][1].SOPClassUID)]


def _inspect(members: _Members, found: _Findings, limits: IngestLimits) -> SeriesHeader:
    made = _attempt(inspect_series, members, found, limits)
    if isinstance(made, EnTrustError):
        return _header(_modality(members), members[0][1], len(members), made)
    series, voxels = made
    found.voxels += voxels
    return series


def _header(dicom_modality: str, header: Dataset, num_images: int, refused: EnTrustError) -> SeriesHeader:
    """Return the header of what is no volume."""
    tags = attributes(header)
    return SeriesHeader(
        uid=str(tags.get("SeriesInstanceUID", "")),
        dicom_modality=dicom_modality,
        description=describe(tags),
        frame_of_reference_uid=str(tags.get("FrameOfReferenceUID", "")),
        attributes=tags,
        num_images=num_images,
        refused=refused,
    )


def _by_series(paths: Iterable[Path], found: _Findings, limits: IngestLimits) -> list[_Members]:
    """Group image files by SeriesInstanceUID, in the order of series number; set the other files aside."""
    groups: dict[str, _Members] = defaultdict(list)
    patients, studies, instances = set(), set(), set()
    for path in paths:
        try:
            header = read_header(path, limits)
            reason, error = _not_a_slice(header)
        except TooLargeError:
            raise
        except EnTrustError as unreadable:
            header, reason, error = Dataset(), "unreadable-file", unreadable
        if reason:
            found.skipped[reason] += 1
            found.others[str(header.get("SeriesInstanceUID") or "")].append((header, error or _NOT_AN_IMAGE))
            if error is not None:
                found.refused.append(Refused(str(header.get("Modality") or ""), error))
            continue
        instance = str(header.get("SOPInstanceUID") or path)
        if instance in instances:
            found.skipped["duplicate-file"] += 1
            continue
        instances.add(instance)
        drop_unreadable(header)
        patients.add(str(header.get("PatientID") or ""))
        studies.add(str(header.get("StudyInstanceUID") or ""))
        groups[str(header.get("SeriesInstanceUID") or "")].append((path, header))
    if len(patients - {""}) > 1:
        raise InvalidInputError("The images belong to more than one patient.", fix="Send one patient at a time.")
    if len(studies) > 1:
        found.warnings.append(Warned("several-studies", "The images come from more than one study of the patient."))
    if found.skipped["unreadable-file"]:
        found.warnings.append(
            Warned("unreadable-file", f"{found.skipped['unreadable-file']} damaged files were left out.")
        )
    return [groups[uid] for uid in sorted(groups, key=lambda u: (_number(groups[u][0][1]) or 0, u))]


def _not_a_slice(header: Dataset) -> tuple[str, EnTrustError | None]:
    """Return why a file cannot be part of a volume: reason slug and, for images, the error to raise if it is all."""
    sop_class = UID(str(header.get("SOPClassUID") or ""))
    if sop_class in VOLUME_CLASSES:
        return "", None
    if "Rows" not in header or "Columns" not in header or (sop_class and "Image Storage" not in sop_class.name):
        return "not-an-image", None
    return "unsupported-image", UnsupportedMediaError(
        f"The images are of a kind that is not segmented here: {sop_class.name or 'unknown'}.",
        fix="Send CT, MR or PET images, classic or enhanced.",
    )


def _add_series(members: _Members, found: _Findings, limits: IngestLimits) -> None:
    made = _attempt(build_series, members, found, limits)
    if isinstance(made, EnTrustError):
        _refuse(members, made, found)
        return
    series, warnings = made
    found.series.append(series)
    found.warnings.extend(warnings)
    found.voxels += series.volume.array.size


def _damaged(cause: Exception) -> InvalidInputError:
    error = InvalidInputError("Tags of a series are damaged.", fix="Export the study again from its source.")
    error.__cause__ = cause
    return error


def _refuse(members: _Members, error: EnTrustError, found: _Findings) -> None:
    header, dicom_modality = members[0][1], _modality(members)
    found.refused.append(Refused(dicom_modality, error))
    if _is_localizer(header):  # every study has some: not worth a warning
        found.skipped["localizer"] += len(members)
        return
    found.skipped["refused-image"] += len(members)
    number = _number(header)
    called = f"A {dicom_modality} series" if number is None else f"The {dicom_modality} series {number}"
    found.warnings.append(Warned("series-refused", f"{called} was left out: {error.message}"))


def _is_localizer(header: Dataset) -> bool:
    return bool(image_type(header) & {"LOCALIZER", "SCOUT", "TOPOGRAM"})


def _number(header: Dataset) -> int | None:
    try:
        return int(header.SeriesNumber)
    except PARSE_FAILURES:
        return None


def _why_nothing(found: _Findings) -> EnTrustError:
    """Return the error of a study without any usable series: volumes first, then other images, then the rest."""
    volumes = [r.error for r in found.refused if r.dicom_modality in set(VOLUME_CLASSES.values())]
    for error in (*volumes, *(r.error for r in found.refused)):
        return error
    return UnsupportedMediaError(
        "The files hold no images, only other DICOM objects such as structure sets, segmentations or reports.",
        fix="Send the CT, PET and MR images.",
        details=dict(found.skipped),
    )
