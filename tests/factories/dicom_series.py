"""Small valid DICOM series from an array and its grid, for tests of every room that reads or writes DICOM."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

from entrust.volume import Grid

_SOP_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}

_DIRECTIONS = {
    # LPS direction of depth, of increasing row, of increasing column; depth = column direction × row direction, the
    # normal along which DICOM readers sort.
    "axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "sagittal": ((-1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}


def plane_grid(
    plane: str,
    shape: tuple[int, int, int] = (10, 24, 20),
    spacing_mm: tuple[float, float, float] = (4.0, 2.0, 3.0),
    centre_mm: tuple[float, float, float] = (12.0, -20.0, 35.0),
) -> Grid:
    """Build a grid that images one plane: ``axial``, ``sagittal``, ``coronal`` or ``oblique``.

    Args:
        plane: Orientation; ``oblique`` is an axial one turned by 20° about x and 15° about z.
        shape: Voxels (depth, row, column).
        spacing_mm: Spacing (depth, row, column).
        centre_mm: LPS position of the middle of the grid.
    """
    depth, row, column = (np.asarray(v, dtype=float) for v in _DIRECTIONS["axial" if plane == "oblique" else plane])
    direction = np.stack([depth, row, column], axis=1)
    if plane == "oblique":
        a, b = np.deg2rad(20.0), np.deg2rad(15.0)
        about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
        direction = about_z @ about_x @ direction
    affine = np.eye(4)
    affine[:3, :3] = direction * np.asarray(spacing_mm)
    affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(shape, affine)


def build_series(
    array: Float[np.ndarray, "d h w"],
    grid: Grid,
    dicom_modality: str = "CT",
    *,
    study_uid: str | None = None,
    frame_of_reference_uid: str | None = None,
    series_number: int = 1,
    description: str = "",
    slope: float | None = None,
    shuffle_seed: int | None = None,
    tags: Mapping[str, Any] | None = None,
) -> list[Dataset]:
    """Return one dataset per slice, in depth order, or shuffled.

    Args:
        array: Real-world values (HU, Bq/ml, SUV, arbitrary); stored as int16 (CT) or uint16 with a rescale slope.
        grid: Where they are; its depth axis is the slice normal.
        dicom_modality: ``CT``, ``PT`` or ``MR``.
        study_uid: StudyInstanceUID; a fresh one by default.
        frame_of_reference_uid: FrameOfReferenceUID; a fresh one by default.
        series_number: SeriesNumber.
        description: SeriesDescription.
        slope: Rescale slope; by default 1 for CT and MR, and per slice (maximum / 32767) for PT, as scanners do.
        shuffle_seed: When given, file order and InstanceNumber are shuffled.
        tags: Further tags by keyword, set last; ``None`` deletes.
    """
    study_uid = study_uid or generate_uid()
    frame_of_reference_uid = frame_of_reference_uid or generate_uid()
    series_uid = generate_uid()
    depth_mm, row_mm, column_mm = grid.spacing_mm
    direction = grid.direction
    order = np.arange(grid.shape[0])
    if shuffle_seed is not None:
        order = np.random.default_rng(shuffle_seed).permutation(order)
    datasets = []
    for instance_number, index in enumerate(order, start=1):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = _SOP_CLASSES[dicom_modality]
        ds.SOPInstanceUID = generate_uid()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        _set_patient_and_study(ds, study_uid)
        ds.Modality = dicom_modality
        ds.SeriesInstanceUID = series_uid
        ds.SeriesNumber = series_number
        ds.SeriesDescription = description
        ds.SeriesDate, ds.SeriesTime = "20200101", "120000"
        ds.AcquisitionDate, ds.AcquisitionTime = "20200101", "120000"
        ds.ContentDate, ds.ContentTime = "20200101", "120000"
        ds.FrameOfReferenceUID = frame_of_reference_uid
        ds.PositionReferenceIndicator = ""
        ds.PatientPosition = "HFS"
        ds.BodyPartExamined = "LEG"
        ds.Laterality = "L"
        ds.Manufacturer = "EnTrust test factory"
        ds.InstanceNumber = instance_number
        ds.AcquisitionNumber = 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if dicom_modality != "MR" else ["ORIGINAL", "PRIMARY", "M"]
        ds.ImageOrientationPatient = [float(v) for v in np.r_[direction[:, 2], direction[:, 1]].round(9)]
        position = grid.to_world(np.asarray([[index, 0, 0]], dtype=float))[0]
        ds.ImagePositionPatient = [float(v) for v in position.round(6)]
        ds.PixelSpacing = [row_mm, column_mm]
        ds.SliceThickness = depth_mm
        _set_modality_tags(ds, dicom_modality)
        _set_pixels(ds, np.asarray(array[index]), dicom_modality, slope)
        for keyword, value in (tags or {}).items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        datasets.append(ds)
    return datasets


def write_series(folder: Path, datasets: list[Dataset], stem: str = "slice") -> Path:
    """Write the datasets into ``folder``, one file each, in the list's order; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, ds in enumerate(datasets):
        ds.save_as(folder / f"{stem}_{number:04d}.dcm", enforce_file_format=True)
    return folder


def _set_patient_and_study(ds: Dataset, study_uid: str) -> None:
    ds.PatientName, ds.PatientID = "Test^Phantom", "PHANTOM"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "O"
    ds.StudyInstanceUID = study_uid
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "A1", ""
    ds.StudyDate, ds.StudyTime = "20200101", "115500"


def _set_modality_tags(ds: Dataset, dicom_modality: str) -> None:
    if dicom_modality == "CT":
        ds.KVP = 120.0
    elif dicom_modality == "MR":
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "NONE", "", "2D"
        ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = 10.0, 500.0, 1
    else:
        ds.PatientWeight = 70.0
        ds.Units, ds.CountsSource, ds.SeriesType = "BQML", "EMISSION", ["WHOLE BODY", "IMAGE"]
        ds.DecayCorrection, ds.CorrectedImage = "START", ["DECY", "ATTN", "SCAT", "NORM"]
        ds.NumberOfSlices, ds.ImageIndex, ds.CollimatorType = 1, 1, "NONE"
        ds.FrameReferenceTime, ds.ActualFrameDuration = 0.0, 120000
        dose = Dataset()
        dose.RadiopharmaceuticalStartTime = "110000"
        dose.RadionuclideTotalDose = 3.5e8
        dose.RadionuclideHalfLife = 6586.2
        ds.RadiopharmaceuticalInformationSequence = [dose]


def _set_pixels(ds: Dataset, values: Float[np.ndarray, "h w"], dicom_modality: str, slope: float | None) -> None:
    if slope is None:
        slope = max(float(values.max()), 1e-6) / 32767.0 if dicom_modality == "PT" else 1.0
    slope = float(f"{slope:.9g}")  # a DS holds 16 characters
    signed = dicom_modality == "CT"
    stored = np.rint(values / slope)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, int(signed)
    if dicom_modality != "MR" or slope != 1.0:
        ds.RescaleIntercept, ds.RescaleSlope = 0.0, slope
    ds.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
