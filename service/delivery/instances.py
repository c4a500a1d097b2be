"""Instances on their way: what a protocol has to know of a file."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID

from entrust.errors import InvalidInputError
from service.ingest.headers import PARSE_FAILURES, deviations

_WANTED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True)
class InstanceRef:
    """An instance that is, or was, to be delivered. Its UIDs are never logged.

    Attributes:
        path: Its file.
        sop_class_uid: Its class.
        sop_instance_uid: Its name.
        series_uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        transfer_syntax_uid: How the file is encoded.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax_uid: str

    @classmethod
    def of(cls, path: Path) -> "InstanceRef":
        """Read a file's header.

        Raises:
            InvalidInputError: It is no DICOM file, or it lacks a UID.
        """
        try:
            with deviations():
                ds = dcmread(path, stop_before_pixels=True, specific_tags=list(_WANTED))
                class_uid, instance_uid, series_uid, study_uid = (str(ds[keyword].value) for keyword in _WANTED)
                syntax = str(ds.file_meta.TransferSyntaxUID)
        except PARSE_FAILURES as error:
            raise InvalidInputError(
                "A file that is to be delivered is no DICOM instance.", fix="Name the files of one set of results."
            ) from error
        return cls(path, class_uid, instance_uid, series_uid, study_uid, syntax)

    @property
    def kind(self) -> str:
        """Name of its class, for people; free of patient data."""
        return UID(self.sop_class_uid).name if self.sop_class_uid.startswith("1.2.840.10008.") else "private class"
