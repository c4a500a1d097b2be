"""Volumes as NIfTI files, by SimpleITK; the same values give the same bytes."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float32, Shaped

from entrust.errors import InternalError
from entrust.resampling import to_sitk
from entrust.volume import Grid, Volume

COMPRESSION_LEVEL = 1
"""Maps are mostly zeros: higher levels cost seconds and save little."""

DECIMALS = 4
"""Digits kept of a probability: finer ones are noise and do not compress."""


def encode_nifti(values: Shaped[np.ndarray, "d h w"], grid: Grid) -> bytes:
    """Return a volume as gzipped NIfTI-1; floats are rounded to :data:`DECIMALS` digits."""
    return _gzip(_nifti(to_sitk(Volume(_rounded(values), grid))))


def encode_nifti_channels(values: Float32[np.ndarray, "c d h w"], grid: Grid) -> bytes:
    """Return several volumes on one grid as four-dimensional NIfTI-1, channel last as the format has it."""
    images = [to_sitk(Volume(_rounded(channel), grid)) for channel in values]
    return _gzip(_nifti(sitk.JoinSeries(images)))


def _rounded(values: Shaped[np.ndarray, "d h w"]) -> Shaped[np.ndarray, "d h w"]:
    return np.round(values, DECIMALS) if np.issubdtype(values.dtype, np.floating) else values


def _nifti(image: sitk.Image) -> bytes:
    with tempfile.TemporaryDirectory(prefix="entrust-") as folder:
        path = Path(folder) / "volume.nii"
        try:
            sitk.WriteImage(image, str(path))
        except RuntimeError as error:
            raise InternalError("A volume could not be written as NIfTI.") from error
        return path.read_bytes()


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=COMPRESSION_LEVEL, mtime=0)  # no time, no file name
