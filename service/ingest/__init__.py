"""Bytes from a stranger → a study of sound volumes."""

from service.ingest.archive import extract_zip
from service.ingest.limits import IngestLimits
from service.ingest.reader import read_nifti_study, read_study

__all__ = ["IngestLimits", "extract_zip", "read_nifti_study", "read_study"]
