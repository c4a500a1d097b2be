"""The report: it rests on every source and on the usual results, and speaks of the segments that there are."""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from service.encode.checks.faults import Fault, Finding
from service.encode.checks.ground import Ground

EVIDENCE = ("segmentation.dcm", "error_probability.dcm", "conflict.dcm")
"""Results that a report cites beside the sources."""

_GROUP, _TRACKING_ID, _TRACKING_UID, _SEGMENT = "125007", "112039", "112040", "121191"


def check_report(ds: Dataset, origin: Ground, results: Mapping[str, Dataset]) -> Iterator[Finding]:
    """Yield what is wrong with the evidence and the measurement groups of a report.

    Args:
        ds: The report.
        origin: What the results started from.
        results: All results by file name.
    """
    evidence = set(_evidence(ds))
    wanted = {(s.study_uid, s.series_uid, instance) for s in origin.sources for instance in s.instances}
    for name in EVIDENCE:
        other = results[name]
        wanted.add((str(other.StudyInstanceUID), str(other.SeriesInstanceUID), str(other.SOPInstanceUID)))
    if evidence != wanted:
        yield Finding(Fault.SERIES_NOT_CITED)
    instances = {instance for _, _, instance in evidence}
    if any(uid not in instances for uid in _cited(ds.ContentSequence)):
        yield Finding(Fault.REFERENCE_UNRESOLVED)
    segmentation = results["segmentation.dcm"]
    segments = {int(s.SegmentNumber): (s.TrackingID, s.TrackingUID) for s in segmentation.SegmentSequence}
    seen = {}
    for group in _containers(ds.ContentSequence, _GROUP):
        by_concept = {item.ConceptNameCodeSequence[0].get("CodeValue"): item for item in group.ContentSequence}
        if not {_SEGMENT, _TRACKING_ID, _TRACKING_UID} <= set(by_concept):
            yield Finding(Fault.SEGMENT_UNKNOWN)
            continue
        reference = by_concept[_SEGMENT].ReferencedSOPSequence[0]
        if reference.ReferencedSOPInstanceUID != segmentation.SOPInstanceUID:
            yield Finding(Fault.SEGMENT_UNKNOWN)
        names = by_concept[_TRACKING_ID].TextValue, by_concept[_TRACKING_UID].UID
        seen[int(reference.ReferencedSegmentNumber)] = names
    if set(seen) != set(segments):
        yield Finding(Fault.SEGMENT_UNKNOWN)
    elif seen != segments:
        yield Finding(Fault.TRACKING_DIFFERS)


def _evidence(ds: Dataset) -> Iterator[tuple[str, str, str]]:
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in ds.get(keyword) or []:
            for series in study.ReferencedSeriesSequence:
                for item in series.ReferencedSOPSequence:
                    yield str(study.StudyInstanceUID), str(series.SeriesInstanceUID), str(item.ReferencedSOPInstanceUID)


def _cited(items: list[Dataset]) -> Iterator[str]:
    """Yield the instances that the content tree names."""
    for item in items:
        for reference in item.get("ReferencedSOPSequence") or []:
            yield str(reference.ReferencedSOPInstanceUID)
        yield from _cited(item.get("ContentSequence") or [])


def _containers(items: list[Dataset], code: str) -> Iterator[Dataset]:
    for item in items:
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0].get("CodeValue") == code:
            yield item
        yield from _containers(item.get("ContentSequence") or [], code)
