"""The door: a path or files by modality in, a study out."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from entrust.errors import EnTrustError, InvalidInputError, TooLargeError, UnsupportedMediaError
from service.ingest.archive import extract_zip
from service.ingest.dicom import inspect_dicom, read_dicom
from service.ingest.limits import IngestLimits
from service.ingest.nifti import read_nifti
from service.ingest.sniffing import FileKind, sniff
from service.study import Refused, Series, SeriesHeader, Study, Warned

_SEND = "Send DICOM (a folder, a zip or a file) or NIfTI, one file per modality."


def read_study(path: Path, *, limits: IngestLimits | None = None) -> Study:
    """Read what the caller sent: a folder, a zip or a single file, of DICOM or NIfTI.

    Files are known by their bytes. Zips directly given, or directly in the folder, are unpacked; zips inside zips
    are not. Links are never followed. Where DICOM and NIfTI lie side by side, DICOM counts.

    Args:
        path: Folder or file.
        limits: Bounds.

    Returns:
        The study; every series of it has a sound volume.

    Raises:
        InvalidInputError: Nothing there, empty or damaged files.
        UnsupportedMediaError: Formats or objects that are not read here.
        GeometryConflictError: The only series there are do not form volumes.
        TooLargeError: A limit was passed.
    """
    limits = limits or IngestLimits()
    with _unpacked(path, limits) as files:
        aside = Counter({str(kind): len(files[kind]) for kind in (FileKind.EMPTY, FileKind.UNKNOWN) if files[kind]})
        if files[FileKind.ZIP]:
            aside["nested-archive"] = len(files[FileKind.ZIP])
        if files[FileKind.DICOM]:
            if files[FileKind.NIFTI]:
                aside["nifti-beside-dicom"] = len(files[FileKind.NIFTI])
            study = read_dicom(files[FileKind.DICOM], limits)
        elif files[FileKind.NIFTI]:
            study = _nifti_study(files[FileKind.NIFTI], limits)
        else:
            raise _nothing_usable(aside)
    warnings = tuple(Warned(reason, f"{count} files were left out: {reason}.") for reason, count in aside.items())
    skipped = Counter(study.skipped) + aside
    return replace(study, skipped=dict(skipped), warnings=(*study.warnings, *warnings))


def inspect_study(path: Path, *, limits: IngestLimits | None = None) -> tuple[SeriesHeader, ...]:
    """Say what every series is that :func:`read_study` would meet, those that it would leave aside as well.

    Pixels are read only where tags cannot decide: damage and compressions that are not decoded here stay unseen.

    Args:
        path: Folder or file.
        limits: Bounds.

    Raises:
        InvalidInputError: Nothing there, empty or damaged files, or images of more than one patient.
        UnsupportedMediaError: Neither DICOM nor NIfTI.
        TooLargeError: A limit was passed.
    """
    limits = limits or IngestLimits()
    with _unpacked(path, limits) as files:
        if files[FileKind.DICOM]:
            return inspect_dicom(files[FileKind.DICOM], limits)
    return tuple(series.header for series in read_study(path, limits=limits).series)


def read_nifti_study(files: Mapping[str, Path], *, limits: IngestLimits | None = None) -> Study:
    """Read one NIfTI file per modality.

    Args:
        files: Path by modality slug.
        limits: Bounds.

    Raises:
        EnTrustError: As :func:`read_study`; any unusable file is an error, for the caller named it.
    """
    limits = limits or IngestLimits()
    if not files:
        raise InvalidInputError("No file was given.", fix=_SEND)
    series = []
    for role, path in files.items():
        if not path.is_file() or sniff(path) is not FileKind.NIFTI:
            raise UnsupportedMediaError(
                f"The file given for {role} is not NIfTI.", fix="Send DICOM as one study, without naming modalities."
            )
        series.append(read_nifti(path, limits, role=role))
    return Study(source="nifti", uid="", series=tuple(series))


@contextmanager
def _unpacked(path: Path, limits: IngestLimits) -> Iterator[dict[FileKind, list[Path]]]:
    """Sort all files by what they are; what zips held lives as long as the context."""
    if not path.exists():
        raise InvalidInputError("The path does not exist.", fix=_SEND)
    with tempfile.TemporaryDirectory() as folder:
        yield _collect(path, Path(folder), limits)


def _collect(path: Path, unpacked: Path, limits: IngestLimits) -> dict[FileKind, list[Path]]:
    """Sort all regular files by what they are; unpack zips of the first level into ``unpacked``."""
    files = _sorted_by_kind(path if path.is_dir() else path.resolve(), limits)
    archives, files[FileKind.ZIP] = files[FileKind.ZIP], []
    left_bytes = limits.max_uncompressed_bytes
    for number, archive in enumerate(archives):
        folder = unpacked / f"{number}"
        folder.mkdir()
        left_bytes -= extract_zip(archive, folder, replace(limits, max_uncompressed_bytes=left_bytes))
        # What is unpacked has had its own limits.
        content = _sorted_by_kind(folder, replace(limits, max_bytes=limits.max_uncompressed_bytes))
        for kind, found in content.items():
            files[kind] += found
    if sum(map(len, files.values())) > limits.max_files:
        raise TooLargeError("There are too many files.", details={"max_files": limits.max_files})
    return files


def _sorted_by_kind(path: Path, limits: IngestLimits) -> dict[FileKind, list[Path]]:
    files: dict[FileKind, list[Path]] = {kind: [] for kind in FileKind}
    count = total_bytes = 0
    for file in _regular_files(path):
        count, total_bytes = count + 1, total_bytes + file.stat().st_size
        if count > limits.max_files:
            raise TooLargeError("There are too many files.", details={"max_files": limits.max_files})
        if total_bytes > limits.max_bytes:
            raise TooLargeError("The files are too large.", details={"max_bytes": limits.max_bytes})
        files[sniff(file)].append(file)
    return files


def _regular_files(path: Path) -> list[Path]:
    """List files below a folder, sorted; links and special files are passed over."""
    if path.is_file():
        return [path]
    found = []
    for folder, _, names in os.walk(path, followlinks=False):
        found += [file for name in names if not (file := Path(folder) / name).is_symlink() and file.is_file()]
    return sorted(found)


def _nifti_study(paths: list[Path], limits: IngestLimits) -> Study:
    series: list[Series] = []
    refused: list[Refused] = []
    warnings: list[Warned] = []
    voxels = 0
    for path in paths:
        stem = path.name.lower().removesuffix(".gz").removesuffix(".nii")
        try:
            series.append(read_nifti(path, replace(limits, max_voxels=limits.max_voxels - voxels), description=stem))
            voxels += series[-1].volume.array.size
        except TooLargeError:
            raise
        except EnTrustError as error:
            refused.append(Refused("", error))
            warnings.append(Warned("series-refused", f"A NIfTI file was left out: {error.message}"))
    if not series:
        raise refused[0].error
    return Study("nifti", "", tuple(series), tuple(warnings), refused=tuple(refused))


def _nothing_usable(aside: Mapping[str, int]) -> EnTrustError:
    if not aside:
        return InvalidInputError("There are no files.", fix=_SEND)
    if set(aside) == {FileKind.EMPTY}:
        return InvalidInputError("The file is empty.", fix=_SEND)
    if "nested-archive" in aside:
        return InvalidInputError("The archive holds only further archives.", fix="Unpack it before sending it.")
    return UnsupportedMediaError("The files are neither DICOM nor NIfTI.", fix=_SEND)
