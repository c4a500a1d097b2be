"""Every result is read back and compared with its sources and with the others.

Validators look at one object and its tables; none notices a wrong frame of reference, a series that is not cited,
frames that lie elsewhere, or a report about a segment that is not there.

Source: IHE RAD TF-3 6.5.3.
"""

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, RTStructureSetStorage, SecondaryCaptureImageStorage

from entrust.errors import InternalError
from service.encode.checks.contours import check_contours
from service.encode.checks.faults import Fault, Finding
from service.encode.checks.frames import check_frames
from service.encode.checks.ground import REPORT, SEGMENTATION, Ground
from service.encode.checks.report import EVIDENCE, check_report
from service.encode.sources import VERBATIM, quiet
from service.encode.structures import STUDY_CLASS

_WITHOUT_SPACE = (Comprehensive3DSRStorage, SecondaryCaptureImageStorage)
"""Classes of results that have no frame of reference of their own."""
_LARGE_BYTES = 1024
"""Values above this stay on disk: nothing here looks at pixels."""


USUAL = (*EVIDENCE, REPORT)
"""Results that every set has."""


def check_results(contents: Mapping[str, bytes], origin: Ground) -> None:
    """Compare the results of a study with their sources and with each other.

    Args:
        contents: The DICOM files that are about to leave, by name; the usual ones are among them.
        origin: What they started from.

    Raises:
        InternalError: They do not fit; ``details`` names the faults by file.
    """
    with quiet():
        results = {name: read_header(content) for name, content in contents.items()}
    compare(results, origin)


def compare(results: Mapping[str, Dataset], origin: Ground) -> None:
    """Compare results with their sources and with each other.

    Args:
        results: Without their large values; the usual ones are among them.
        origin: What they started from, or what there is of it now.

    Raises:
        InternalError: They do not fit; ``details`` names the faults by file.
    """
    with quiet():
        found = {name: list(dict.fromkeys(_faults(name, results, origin))) for name in results}
    details = {name: ", ".join(map(str, findings)) for name, findings in found.items() if findings}
    if details:
        raise InternalError(
            "A result does not agree with the images it was made from and was held back.",
            fix="Report this with the version of the program; the input is not at fault.",
            details=details,
        )


def read_header(content: bytes | Path) -> Dataset:
    """Return a DICOM file without its large values, which are read when they are asked for."""
    source: Any = content if isinstance(content, Path) else BytesIO(content)
    return dcmread(source, defer_size=_LARGE_BYTES)


def _faults(name: str, results: Mapping[str, Dataset], origin: Ground) -> Iterator[Finding]:
    ds = results[name]
    for keyword in VERBATIM:
        absent = ds.SOPClassUID in _WITHOUT_SPACE and keyword == "FrameOfReferenceUID"
        if not absent and str(ds.get(keyword) or "") != str(origin.header.get(keyword) or ""):
            yield Finding(Fault.DIFFERS, keyword)
    if ds.get("DeviceUID") != origin.device_uid:
        yield Finding(Fault.DEVICE_DIFFERS)
    yield from _names(name, results, origin)
    yield from _references(ds, results, origin)
    if "PerFrameFunctionalGroupsSequence" in ds:
        yield from check_frames(ds, origin)
    if ds.get("SegmentSequence"):
        yield from _segments(ds, results[SEGMENTATION])
    if ds.SOPClassUID == Comprehensive3DSRStorage:
        yield from check_report(ds, origin, results)
    if ds.SOPClassUID == RTStructureSetStorage:
        yield from check_contours(ds, origin, results[SEGMENTATION])


def _names(name: str, results: Mapping[str, Dataset], origin: Ground) -> Iterator[Finding]:
    """Compare the UIDs of a result with those of the sources and of the other results."""
    others = [other for key, other in results.items() if key != name]
    series = {source.series_uid for source in origin.sources} | {str(o.SeriesInstanceUID) for o in others}
    instances = {i for source in origin.sources for i in source.instances} | {str(o.SOPInstanceUID) for o in others}
    if results[name].SeriesInstanceUID in series:
        yield Finding(Fault.UID_NOT_UNIQUE, "SeriesInstanceUID")
    if results[name].SOPInstanceUID in instances:
        yield Finding(Fault.UID_NOT_UNIQUE, "SOPInstanceUID")


def _references(ds: Dataset, results: Mapping[str, Dataset], origin: Ground) -> Iterator[Finding]:
    """See that everything that is cited, at any depth, exists."""
    known = {(uid, kind) for source in origin.sources for uid, kind in source.instances.items()}
    known |= {(str(other.SOPInstanceUID), str(other.SOPClassUID)) for other in results.values()}
    known.add((origin.sources[0].study_uid, STUDY_CLASS))
    if not all(reference in known for reference in _cited(ds)):
        yield Finding(Fault.REFERENCE_UNRESOLVED)


def _cited(ds: Dataset) -> Iterator[tuple[str, str]]:
    if "ReferencedSOPInstanceUID" in ds:
        yield str(ds.ReferencedSOPInstanceUID), str(ds.get("ReferencedSOPClassUID"))
    for tag in ds.keys():  # noqa: SIM118 - iterating over a dataset decodes every value
        if ds.get_item(tag).VR in ("SQ", None) and ds[tag].VR == "SQ":  # None: implicit, and not decoded yet
            for item in ds[tag].value:
                yield from _cited(item)


def _segments(ds: Dataset, segmentation: Dataset) -> Iterator[Finding]:
    """See that both forms of the segmentation name the same structures."""
    names = [
        {int(s.SegmentNumber): (s.TrackingID, s.TrackingUID) for s in one.SegmentSequence if s.get("TrackingUID")}
        for one in (ds, segmentation)
    ]
    if names[0] != names[1]:
        yield Finding(Fault.TRACKING_DIFFERS)
