"""Whole studies, small enough to be segmented in a second: a limb with a bone, a tumour, and air around it."""

import io
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from entrust.resampling import to_sitk
from entrust.volume import Grid, Volume
from tests.factories.dicom_series import build_series

BQML_PER_SUV = 3425.0
"""What the DICOM factory's dose, decay and weight make of one SUV."""
DICOM_MODALITY = {"ct": "CT", "pet": "PT", "t1": "MR"}


@cache
def limb(shape: tuple[int, int, int] = (6, 32, 28)) -> Mapping[str, Volume]:
    """Return CT in HU, PET in Bq/ml and T1, on one grid."""
    grid = Grid.axial(shape, (3.27, 2.0, 2.0), (-27.0, -31.0, 0.0))
    y, x = np.mgrid[: shape[1], : shape[2]]
    inside = np.hypot((y - 15.5) / 13, (x - 13.5) / 11) < 1
    bone = np.hypot(y - 10, x - 13) < 3
    tumour = np.hypot(y - 20, x - 15) < 4
    noise = np.random.default_rng(7).normal(0, 1, shape)

    def volume(air: float, muscle: float, in_bone: float, in_tumour: float, spread: float) -> Volume:
        plane = np.where(tumour, in_tumour, np.where(bone, in_bone, np.where(inside, muscle, air)))
        return Volume((plane + spread * noise).clip(min(air, 0)).astype(np.float32), grid)

    return {
        "ct": volume(-1000, 50, 700, 40, 10),
        "pet": volume(0, 3000, 2000, 30000, 100),
        "t1": volume(0, 400, 100, 300, 10),
    }


def nifti(volume: Volume) -> bytes:
    """Return a volume as gzipped NIfTI."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "volume.nii.gz")
        sitk.WriteImage(to_sitk(volume), path)
        return Path(path).read_bytes()


def nifti_files(
    slugs: tuple[str, ...] = ("ct", "pet", "t1"), shape: tuple[int, int, int] = (6, 32, 28)
) -> dict[str, tuple[str, bytes]]:
    """Return a multipart form's files: one NIfTI by modality."""
    volumes = dict(limb(shape))
    volumes["pet"] = volumes["pet"].with_array(volumes["pet"].array / np.float32(BQML_PER_SUV))  # NIfTI holds SUV
    return {slug: (f"{slug}.nii.gz", nifti(volumes[slug])) for slug in slugs}


def dicom_datasets(
    slugs: tuple[str, ...] = ("ct", "pet", "t1"), tags: Mapping[str, Any] | None = None
) -> list[Dataset]:
    """Return the limb as DICOM images of one study, in one frame of reference."""
    study_uid, frame_uid = generate_uid(), generate_uid()
    found: list[Dataset] = []
    for number, slug in enumerate(slugs, start=1):
        volume = limb()[slug]
        found += build_series(
            volume.array, volume.grid, DICOM_MODALITY[slug], study_uid=study_uid, frame_of_reference_uid=frame_uid,
            series_number=number, description=slug, tags=tags,
        )  # fmt: skip
    return found


def dicom_bytes(dataset: Dataset) -> bytes:
    """Return a DICOM file."""
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of files by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def dicom_zip(slugs: tuple[str, ...] = ("ct", "pet", "t1"), tags: Mapping[str, Any] | None = None) -> bytes:
    """Return the limb as a zipped DICOM study."""
    return zipped({f"{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(dicom_datasets(slugs, tags))})
