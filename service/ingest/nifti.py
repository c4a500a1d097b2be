"""NIfTI files → series. ITK tells the geometry, in LPS; the values are read here, for ITK quietly turns NaN into zero
and fills up truncated files.
"""

import gzip
import math
import struct
import tempfile
import zlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float

from entrust.errors import GeometryConflictError, InvalidInputError, TooLargeError, UnsupportedMediaError
from entrust.volume import Grid, Volume
from service.ingest.limits import IngestLimits
from service.study import Series

sitk.ProcessObject.SetGlobalWarningDisplay(False)

_SCALAR_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
"""numpy type by NIfTI datatype code, real numbers only."""


@dataclass(frozen=True)
class _Header:
    """What is needed to read the values, and to know whether that is worth it."""

    sizes: tuple[int, ...]  # fastest axis first
    datatype: int
    oriented: bool
    packed: bool
    order: str
    offset: int
    slope: float
    intercept: float


def read_nifti(path: Path, limits: IngestLimits, *, role: str = "", description: str = "") -> Series:
    """Read one NIfTI-1 or NIfTI-2 file (``.nii``, ``.nii.gz``, whatever its name).

    Args:
        path: The file.
        limits: Bounds.
        role: Modality slug, when the caller named it.
        description: Words for matching roles otherwise.

    Raises:
        InvalidInputError: Damaged file, or values that are not finite.
        UnsupportedMediaError: Not a single volume of real numbers.
        GeometryConflictError: Without orientation, one slice only, or with sheared axes.
        TooLargeError: Too many voxels.
    """
    header = _header(path)
    sizes = (*header.sizes, 1, 1, 1)[:3]
    if math.prod(header.sizes) != math.prod(sizes):
        raise UnsupportedMediaError("The NIfTI file holds several volumes.", fix="Send one volume per file.")
    if header.datatype not in _SCALAR_TYPES:
        raise UnsupportedMediaError("The NIfTI file does not hold real numbers.", fix="Send greyscale volumes.")
    if min(sizes) < 2:
        raise GeometryConflictError("The NIfTI file holds one slice only; that is not a volume.")
    if math.prod(sizes) > limits.max_voxels:
        raise TooLargeError("The volume has too many voxels.", details={"max_voxels": limits.max_voxels})
    if not header.oriented:
        raise GeometryConflictError(
            "The NIfTI file does not say how it lies in the patient: neither qform nor sform is set.",
            fix="Write the orientation into the file; left and right cannot be guessed.",
        )
    array = _values(path, header, (sizes[2], sizes[1], sizes[0]))
    if not np.isfinite(array).all():
        raise InvalidInputError(
            "The volume holds values that are not finite numbers.", fix="Replace NaN and infinity at the source."
        )
    return Series(
        uid="",
        dicom_modality="",
        description=description,
        frame_of_reference_uid="",
        volume=Volume(array, _grid(path, header, array.shape)),
        units="arbitrary",
        role=role,
    )


def _open(path: Path, packed: bool) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if packed else path.open("rb")


def _header(path: Path) -> _Header:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with _open(path, packed) as file:
            head = file.read(540)
        order = "<" if struct.unpack("<i", head[:4])[0] in (348, 540) else ">"
        if struct.unpack(order + "i", head[:4])[0] == 348:
            dim = struct.unpack(order + "8h", head[40:56])
            (datatype,) = struct.unpack(order + "h", head[70:72])
            offset, slope, intercept = struct.unpack(order + "3f", head[108:120])
            codes = struct.unpack(order + "2h", head[252:256])
        else:
            dim = struct.unpack(order + "8q", head[16:80])
            (datatype,) = struct.unpack(order + "h", head[12:14])
            (offset,) = struct.unpack(order + "q", head[168:176])
            slope, intercept = struct.unpack(order + "2d", head[176:192])
            codes = struct.unpack(order + "2i", head[344:352])
        if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1 or not 348 <= offset < 1 << 24:
            raise InvalidInputError("The header of a NIfTI file is impossible.", fix="Send it again.")
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise InvalidInputError("A NIfTI file is damaged.", fix="Send it again.") from error
    if slope == 0.0 or not math.isfinite(slope) or not math.isfinite(intercept):  # the standard's "no scaling"
        slope, intercept = 1.0, 0.0
    return _Header(tuple(dim[1 : dim[0] + 1]), datatype, max(codes) > 0, packed, order, int(offset), slope, intercept)


def _values(path: Path, header: _Header, shape: tuple[int, int, int]) -> Float[np.ndarray, "d h w"]:
    kind = np.dtype(header.order + _SCALAR_TYPES[header.datatype])
    wanted_bytes = math.prod(shape) * kind.itemsize
    try:
        with _open(path, header.packed) as file:
            file.seek(header.offset)
            data = file.read(wanted_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError("A NIfTI file is damaged.", fix="Send it again.") from error
    if len(data) < wanted_bytes:
        raise InvalidInputError("A NIfTI file is truncated.", fix="Send it again.")
    stored = np.frombuffer(data, kind).reshape(shape)
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 becomes infinite, which is refused
        return (stored * header.slope + header.intercept).astype(np.float32)


def _grid(path: Path, header: _Header, shape: tuple[int, int, int]) -> Grid:
    """Let ITK read the geometry; it chooses its reader by name, so the file gets a fitting one."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("volume.nii.gz" if header.packed else "volume.nii")
        link.symlink_to(path.resolve())
        reader.SetFileName(str(link))
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            if "orthonormal" in str(error) or "orthogonal" in str(error):
                raise GeometryConflictError(
                    "The axes of the NIfTI file are not perpendicular.", fix="Resample it to a regular grid."
                ) from error
            raise InvalidInputError("The geometry of a NIfTI file is impossible.", fix="Send it again.") from error
    size = reader.GetDimension()  # trailing axes of one may follow the three of space
    direction = np.asarray(reader.GetDirection()).reshape(size, size)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = (direction * np.asarray(reader.GetSpacing()[:3]))[:, ::-1]
    affine[:3, 3] = reader.GetOrigin()[:3]
    return Grid(shape, affine)
