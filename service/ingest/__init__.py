"""Bytes from a stranger → a study of sound volumes."""

from service.ingest.archive import extract_zip
from service.ingest.dicom import read_planes
from service.ingest.limits import IngestLimits
from service.ingest.overlay import overlay, overlay_each
from service.ingest.reader import inspect_study, read_nifti_study, read_study

__all__ = [
    "IngestLimits",
    "extract_zip",
    "inspect_study",
    "overlay",
    "overlay_each",
    "read_nifti_study",
    "read_planes",
    "read_study",
]
