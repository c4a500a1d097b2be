"""Files of a data set: found by their names, read with their place in the patient."""

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from entrust.errors import EnTrustError, GeometryConflictError, InvalidInputError, NotFoundError
from entrust.resampling import from_sitk
from entrust.volume import Volume

NIFTI = r"\.nii(?:\.gz)?"
"""End of a pattern: compressed or not."""


@dataclass(frozen=True)
class Source:
    """Where a data set keeps one kind of file.

    Attributes:
        patterns: Regular expressions for the end of a path below the root, the best first; case does not matter. Their
            groups, joined by ``_``, name the case.
        channel: Which volume of a four-dimensional file; ``None`` where a file holds one volume.
    """

    patterns: tuple[str, ...]
    channel: int | None = None


def source(*patterns: str, channel: int | None = None) -> Source:
    """Return a source whose patterns end in ``.nii`` or ``.nii.gz``."""
    return Source(tuple(pattern + NIFTI for pattern in patterns), channel)


def list_files(root: Path) -> tuple[str, ...]:
    """Return the paths of all files below the root, relative to it, with ``/``; hidden ones are left out.

    Links to folders are followed, each folder once: large sets are often linked together from several disks.

    Raises:
        NotFoundError: The root is no folder.
    """
    if not root.is_dir():
        raise NotFoundError("The root of the data set is not a folder.", fix="Give the folder that holds its cases.")
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in files if not _hidden(name)]
    return tuple(sorted(found))


def _hidden(name: str) -> bool:
    """Tell the leftovers of archives (``._BRATS_001.nii.gz``, ``__MACOSX``) from the data."""
    return name.startswith(".") or name == "__MACOSX"


def find_cases(paths: Iterable[str], wanted: Source) -> dict[str, str]:
    """Return the path of each case's file by the case's name.

    A file of a better pattern comes before one of a worse; of the same file with and without compression, either.

    Raises:
        InvalidInputError: Two files in different folders claim to be the same.
    """
    found: dict[str, str] = {}
    for pattern in wanted.patterns:
        expression = re.compile(rf"(?:.*/)?{pattern}", re.IGNORECASE)
        matches: dict[str, list[str]] = {}
        for path in paths:
            if match := expression.fullmatch(path):
                matches.setdefault("_".join(match.groups()).replace("/", "_"), []).append(path)
        for case, candidates in matches.items():
            if case in found:
                continue
            if len({path.rpartition("/")[0] for path in candidates}) > 1:
                raise InvalidInputError(
                    f"Several files below the root are the same image of {case}.",
                    fix="Give the root of one copy of the data set.",
                )
            found[case] = candidates[0]
    return found


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read a NIfTI volume (float32), or one of those of a four-dimensional file.

    Raises:
        InvalidInputError: The file cannot be read, or holds another number of volumes.
        GeometryConflictError: Its axes are not perpendicular, or it has several values per voxel.
    """
    try:
        image = sitk.ReadImage(str(path))
        whole = _stored_bytes(path) >= _promised_bytes(image)
    except (RuntimeError, OSError, EOFError, zlib.error) as error:
        if "orthonormal" in str(error):
            raise GeometryConflictError(
                "The axes of a NIfTI file are not perpendicular.", fix="Resample it to a regular grid."
            ) from error
        raise InvalidInputError("A NIfTI file cannot be read.", fix="Fetch it again; it may be cut off.") from error
    if not whole:
        raise InvalidInputError("A NIfTI file is cut off.", fix="Fetch it again.")
    if image.GetDimension() == 4:
        available = image.GetSize()[3]
        wanted = channel or 0
        if wanted >= available or (channel is None and available > 1):
            raise InvalidInputError(
                f"A NIfTI file holds {available} volumes.",
                fix=f"{'One' if channel is None else 'More'} must be in it; check which data set this is.",
            )
        image = image[:, :, :, wanted]
    elif channel is not None:
        raise InvalidInputError(
            "A NIfTI file holds a single volume where all modalities should be.", fix="Check which data set this is."
        )
    volume = from_sitk(image)
    return volume.with_array(volume.array.astype(np.float32))


def _promised_bytes(image: sitk.Image) -> float:
    """Return how long the header says a file is; ITK fills up a shorter one with zeros and says nothing."""
    values: int = math.prod(image.GetSize()) * image.GetNumberOfComponentsPerPixel()
    return float(image.GetMetaData("vox_offset")) + values * int(image.GetMetaData("bitpix")) / 8


def _stored_bytes(path: Path) -> int:
    """Return the length of a file, unpacked."""
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    with gzip.open(path) as file:
        return file.seek(0, os.SEEK_END)


def read_labels(path: Path, values: Mapping[int, int], ignored: frozenset[int]) -> tuple[Volume, Volume]:
    """Read a label map.

    Args:
        path: The file.
        values: Our label of each value in the file.
        ignored: Values of voxels that are not judged; they are background in the label map.

    Returns:
        Our labels, uint8; and which voxels are ignored.

    Raises:
        InvalidInputError: The file holds other values.
    """
    volume = read_volume(path)
    stored = np.rint(volume.array).astype(np.int64)
    known, unknown = {**values, **dict.fromkeys(ignored, 0)}, []
    labels = np.zeros(stored.shape, np.uint8)
    for value in np.unique(stored):
        if int(value) in known:
            labels[stored == value] = known[int(value)]
        else:
            unknown.append(int(value))
    if unknown or not np.allclose(stored, volume.array, atol=1e-3):
        found = ", ".join(map(str, unknown[:5])) or "fractions"
        raise InvalidInputError(
            f"A label map holds {found}, which the data set does not define.",
            fix=f"Its values are {', '.join(map(str, sorted(known)))}; check which data set and release this is.",
        )
    return volume.with_array(labels), volume.with_array(np.isin(stored, sorted(ignored)))


@contextmanager
def naming(case: str) -> Iterator[None]:
    """Let errors name the case, by the name that its data set gives it."""
    try:
        yield
    except EnTrustError as error:
        raise type(error)(f"{case}: {error.message}", fix=error.fix) from error
