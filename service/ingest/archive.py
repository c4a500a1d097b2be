"""Unpack a zip from a stranger."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from entrust.errors import InvalidInputError, TooLargeError, UnsupportedMediaError
from service.ingest.limits import IngestLimits

_CHUNK_BYTES = 1 << 20
_ENCRYPTED = 0x1


def extract_zip(archive: Path, folder: Path, limits: IngestLimits) -> int:
    """Unpack ``archive`` into ``folder``, one sub-folder per entry, so that no name can collide or escape.

    What the directory of the archive promises is checked before a byte is written, and what comes out is counted
    against that promise. Nested archives are unpacked as files, never opened.

    Args:
        archive: The zip file.
        folder: An existing, empty folder.
        limits: Bounds.

    Returns:
        Bytes written.

    Raises:
        InvalidInputError: Damaged or encrypted archive, entries that point outside, links.
        TooLargeError: Too many entries, too many bytes, or a suspicious compression.
        UnsupportedMediaError: A compression method that is not supported.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check(entries, archive.stat().st_size, limits)
            left_bytes = limits.max_uncompressed_bytes
            for number, entry in enumerate(entries):
                left_bytes -= _extract(opened, entry, folder / f"{number:06d}", left_bytes)
            return limits.max_uncompressed_bytes - left_bytes
    except NotImplementedError as error:
        raise UnsupportedMediaError(
            "The zip uses a compression method that is not supported.", fix="Pack it with deflate."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, IndexError) as error:
        raise InvalidInputError("The zip is damaged.", fix="Pack and send it again.") from error


def _check(entries: list[zipfile.ZipInfo], packed_bytes: int, limits: IngestLimits) -> None:
    if len(entries) > limits.max_files:
        raise TooLargeError(
            "The zip holds too many files.", fix="Send one study at a time.", details={"max_files": limits.max_files}
        )
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise InvalidInputError("The zip is encrypted.", fix="Send it without a password.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InvalidInputError("The zip holds a symbolic link.", fix="Pack the files themselves.")
        if _escapes(entry.filename):
            raise InvalidInputError("The zip holds a path that points outside of it.", fix="Pack relative paths only.")
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > limits.max_uncompressed_bytes:
        raise TooLargeError(
            "The zip unpacks to more than is allowed.",
            fix="Send fewer series.",
            details={"max_uncompressed_bytes": limits.max_uncompressed_bytes},
        )
    if unpacked_bytes > limits.ratio_exempt_bytes and unpacked_bytes > limits.max_ratio * packed_bytes:
        raise TooLargeError(
            "The zip is compressed beyond what images allow.",
            fix="Pack it with ordinary deflate.",
            details={"max_ratio": limits.max_ratio},
        )


def _escapes(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in path.parts[0] if path.parts else True


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left_bytes: int) -> int:
    """Write one entry; return its size."""
    folder.mkdir()
    written = 0
    with opened.open(entry) as source, (folder / _safe_name(entry.filename)).open("wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > left_bytes:
                raise TooLargeError("The zip unpacks to more than is allowed.", fix="Send fewer series.")
            target.write(chunk)
    return written


def _safe_name(name: str) -> str:
    """Keep what role matching reads (``ct.nii.gz``) and nothing a file system could take amiss."""
    base = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in base)[-80:].lstrip(".") or "file"
