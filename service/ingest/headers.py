"""DICOM headers: read a file's tags tolerantly, and say which tags the later rooms need."""

import contextlib
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import DataElement
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

_PLAIN_VRS = frozenset(
    {
        "AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "SV", "TM",
        "UC", "UI", "UL", "UR", "US", "UT", "UV",
    }
)  # fmt: skip
"""Value representations that are text or numbers (PS3.5 6.2)."""
_MAX_VALUES = 64
_MAX_CHARACTERS = 1024
"""Longer values decide nothing, and one of them is copied per series."""
_REQUEST_KEYWORDS = ("RequestedProcedurePriority", "RequestedProcedureDescription", "ReasonForTheRequestedProcedure")
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
_NESTED = {"RadiopharmaceuticalInformationSequence": _DOSE_KEYWORDS, "RequestAttributesSequence": _REQUEST_KEYWORDS}
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
    """Return the tags that choose roles and scale intensities, by keyword; absent and empty ones are left out.

    These are the text and numbers of the top level; timing and diffusion of enhanced objects, the dose of PET, and the
    priority of the request from the sequences that hold them.
    """
    found = {element.keyword: plain(element.value) for element in _plain_elements(ds)}
    groups = [
        *(ds.get("SharedFunctionalGroupsSequence") or []),
        *(ds.get("PerFrameFunctionalGroupsSequence") or [])[:1],
    ]
    for keyword, (sequence, inner) in _MACROS.items():
        items = [item for group in groups for item in group.get(sequence) or []]
        if found.get(keyword) is None and items:
            found[keyword] = _get(items[0], inner)
    for sequence, keywords in _NESTED.items():
        for item in (ds.get(sequence) or [])[:1]:
            found |= {keyword: value for keyword in keywords if (value := _get(item, keyword)) is not None}
    for name, (group, creator, element) in _PRIVATE.items():
        try:
            found[name] = plain(ds.private_block(group, creator)[element].value)
        except (KeyError, *PARSE_FAILURES):
            continue
    return {name: value for name, value in found.items() if value is not None and value != ()}


def image_type(ds: Dataset) -> frozenset[str]:
    """Return the values of (0008,0008) in upper case, whatever their places."""
    value = ds.get("ImageType")
    return frozenset(str(v).upper() for v in ([value] if isinstance(value, str) else list(value or ())))


def describe(found: Mapping[str, Any]) -> str:
    """Return what technologists wrote: SeriesDescription and ProtocolName."""
    return " ".join(str(found[k]) for k in ("SeriesDescription", "ProtocolName") if k in found)


def _plain_elements(ds: Dataset) -> Iterator[DataElement]:
    for tag in ds.keys():  # noqa: SIM118  (iterating a Dataset parses every element, and one may not be readable)
        try:
            element = ds[tag]
            fits = not (isinstance(element.value, MultiValue) and len(element.value) > _MAX_VALUES)
            if element.keyword and element.VR in _PLAIN_VRS and fits and len(str(element.value)) <= _MAX_CHARACTERS:
                plain(element.value)
                yield element
        except PARSE_FAILURES:  # one unreadable value is as good as none
            continue


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
