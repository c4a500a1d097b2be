"""DICOM headers: read a file's tags tolerantly, and say which tags the later rooms need."""

import contextlib
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import IS, DSfloat

from entrust.errors import InvalidInputError, TooLargeError
from service.ingest.limits import IngestLimits

PARSE_FAILURES = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError,
    NotImplementedError, OSError, RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip
"""What pydicom and the decoders below it raise on data that break the standard; seen by fuzzing."""

_KEYWORDS = (
    "SOPClassUID", "StudyInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "ImageType",
    "BodyPartExamined", "Manufacturer", "ScanningSequence", "SequenceVariant", "SequenceName", "PulseSequenceName",
    "ScanOptions",
    "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength", "InversionTime", "FlipAngle",
    "ContrastBolusAgent", "DiffusionBValue", "SliceThickness", "SpacingBetweenSlices", "ConvolutionKernel",
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "FrameReferenceTime", "DecayCorrectionDateTime",
    "PixelPaddingValue", "AttenuationCorrectionMethod", "DecayCorrected",
)  # fmt: skip
_DOSE_KEYWORDS = (
    "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)  # fmt: skip
_MACROS = {  # of enhanced objects (PS3.3 C.8.13): keyword → (sequence, keyword in it)
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    "EchoTrainLength": ("MRTimingAndRelatedParametersSequence", "EchoTrainLength"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
}
_PRIVATE = {
    "PhilipsSUVScaleFactor": (0x7053, "Philips PET Private Group", 0x00),
    "PhilipsActivityScaleFactor": (0x7053, "Philips PET Private Group", 0x09),
    "GEScanDateTime": (0x0009, "GEMS_PETD_01", 0x0D),
}

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages quote values
_collectors: dict[int, list[list[Any]]] = {}
_collectors_lock = threading.Lock()
_swapped = contextlib.ExitStack()


@contextlib.contextmanager
def deviations() -> Iterator[list[Any]]:
    """Collect warnings of pydicom instead of showing them: they quote values of patients.

    Yields:
        A list that grows by one entry per warning; only its length is fit for people.
    """
    here, caught = threading.get_ident(), list[Any]()
    with _collectors_lock:
        if not _collectors:
            _collect_by_thread()
        _collectors.setdefault(here, []).append(caught)
    try:
        yield caught
    finally:
        with _collectors_lock:
            _collectors[here].pop()
            if not _collectors[here]:
                del _collectors[here]
            if not _collectors:
                _swapped.close()


def _collect_by_thread() -> None:
    """Swap the process-wide handling of warnings for one that gives each thread its own; reading takes no lock."""
    _swapped.enter_context(warnings.catch_warnings())
    warnings.simplefilter("always")
    show = warnings.showwarning

    def collect(*arguments: Any, **named: Any) -> None:
        own = _collectors.get(threading.get_ident())
        if own:
            own[-1].append(arguments)
        else:
            show(*arguments, **named)

    warnings.showwarning = collect


def read_header(path: Path, limits: IngestLimits) -> Dataset:
    """Read all tags but the pixels.

    Raises:
        InvalidInputError: The bytes cannot be read as DICOM.
        TooLargeError: A deflated file unpacks to more than is allowed.
    """
    try:
        check_deflated(path, limits)
        ds = dcmread(path, force=True, stop_before_pixels=True)
        # Touch what sorting needs, so that lazily parsed nonsense shows here.
        _ = [ds.get(k) for k in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "PatientID", "Rows")]
        set_transfer_syntax(ds)
    except PARSE_FAILURES as error:
        raise InvalidInputError(
            "A file could not be read as DICOM.", fix="Export the study again from its source."
        ) from error
    return ds


def drop_unreadable(ds: Dataset) -> None:
    """Parse every element now, for pydicom does it late; one that cannot be parsed is as good as absent."""
    for tag in list(ds.keys()):
        try:
            element = ds[tag]
        except PARSE_FAILURES:
            del ds[tag]
            warnings.warn("unreadable element", stacklevel=2)  # counted with pydicom's own
            continue
        for item in element.value if element.VR == "SQ" else ():
            drop_unreadable(item)


def set_transfer_syntax(ds: Dataset) -> None:
    """Fill in the transfer syntax of a file that does not state one, from how its bytes read."""
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit, little_endian = ds.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def plain(value: Any) -> Any:
    """Turn a pydicom value into plain Python: str, int, float, or a tuple of them; None when empty."""
    if isinstance(value, MultiValue | list | tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, IS | int):
        return int(value)
    if isinstance(value, DSfloat | float):
        return float(value)
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="ignore").strip("\0 ")
    return (str(value).strip() or None) if value is not None else None


def attributes(ds: Dataset) -> dict[str, Any]:
    """Return the tags that choose roles and scale intensities, by keyword; absent and empty ones are left out."""
    found: dict[str, Any] = {}
    for keyword in _KEYWORDS:
        found[keyword] = _get(ds, keyword)
    groups = [
        *(ds.get("SharedFunctionalGroupsSequence") or []),
        *(ds.get("PerFrameFunctionalGroupsSequence") or [])[:1],
    ]
    for keyword, (sequence, inner) in _MACROS.items():
        items = [item for group in groups for item in group.get(sequence) or []]
        if found[keyword] is None and items:
            found[keyword] = _get(items[0], inner)
    doses = ds.get("RadiopharmaceuticalInformationSequence") or [Dataset()]
    for keyword in _DOSE_KEYWORDS:
        found[keyword] = _get(doses[0], keyword)
    for name, (group, creator, element) in _PRIVATE.items():
        try:
            found[name] = plain(ds.private_block(group, creator)[element].value)
        except (KeyError, *PARSE_FAILURES):
            continue
    return {name: value for name, value in found.items() if value is not None and value != ()}


def _get(ds: Dataset, keyword: str) -> Any:
    try:
        return plain(ds.get(keyword))
    except PARSE_FAILURES:  # one unreadable value is as good as none
        return None


def check_deflated(path: Path, limits: IngestLimits) -> None:
    """Refuse a deflated data set that would unpack beyond the limit, before pydicom unpacks it in one go.

    Raises:
        TooLargeError: It would.
    """
    try:
        meta = read_file_meta_info(path)
    except PARSE_FAILURES:  # no file meta: nothing says that it is deflated
        return
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked_bytes = 0
    with path.open("rb") as file:
        file.seek(132 + 12 + int(meta.get("FileMetaInformationGroupLength", 0)))  # preamble, magic, (0002,0000)
        data = file.read(1 << 20)
        while data and not inflater.eof:
            unpacked_bytes += len(inflater.decompress(data, 1 << 20))
            if unpacked_bytes > limits.max_uncompressed_bytes:
                raise TooLargeError("A deflated DICOM file unpacks to more than is allowed.")
            data = inflater.unconsumed_tail or file.read(1 << 20)
