"""A phantom as a DICOM study: CT in HU, PT in Bq/ml with everything that SUV needs, MR on a grid of its own.

The MR is finer and covers less than the CT, as real ones do, so that whoever reads the study must resample. All
names, numbers and dates are visibly made up, and the UIDs follow from the seed: the same phantom gives the same bytes.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int16
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from scipy import ndimage

from entrust.volume import Grid, Volume
from training.datasets.phantoms.limb import LimbPhantom

WEIGHT_KG = 70.0
INJECTED_BQ = 370e6
HALF_LIFE_SECONDS = 6586.2  # fluorine-18
INJECTION_TIME, SERIES_TIME, UPTAKE_SECONDS = "090000.000000", "100000.000000", 3600.0
STUDY_DATE = "20000101"
MR_PIXEL_MM = 1.6


def write_study(phantom: LimbPhantom, folder: Path) -> tuple[Path, ...]:
    """Write a phantom as three series of single-frame images.

    Args:
        phantom: What to write.
        folder: Where; ``ct/``, ``pet/`` and ``t1/`` are made in it.

    Returns:
        The files, in the order of series and position.
    """
    return save_series(_series(phantom), folder)


def save_series(series: Mapping[str, list[Dataset]], folder: Path) -> tuple[Path, ...]:
    """Write series of single-frame images, one folder each, and return the files in order of series and position."""
    written: list[Path] = []
    for number, (slug, datasets) in enumerate(series.items(), start=1):
        target = folder / slug
        target.mkdir(parents=True, exist_ok=True)
        for index, dataset in enumerate(datasets, start=1):
            dataset.SeriesNumber = number
            path = target / f"{index:04d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            written.append(path)
    return tuple(written)


def zip_study(folder: Path, archive: Path) -> Path:
    """Pack a folder of DICOM files as a client would send it, and return the archive's path."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            packed.write(path, path.relative_to(folder))
    return archive


def _series(phantom: LimbPhantom) -> dict[str, list[Dataset]]:
    subject = Subject(phantom.seed, "entrust limb phantom", "Limb", "L")
    mr = _as_acquired(Volume(phantom.t1, phantom.grid), phantom.mr_presence)
    return {
        "ct": ct_series(subject, phantom.grid, phantom.ct),
        "pet": pet_series(subject, phantom.grid, phantom.pet),
        "t1": mr_series(subject, "t1", mr.grid, mr.array, T1_SPIN_ECHO),
    }


@dataclass(frozen=True)
class Subject:
    """Whose study it is: nobody's. UIDs follow from the seed.

    Attributes:
        seed: Number of the phantom.
        kind: Distinguishes the UIDs of phantoms of different kinds with the same number.
        body: Body part, in names and descriptions.
        laterality: Side, for paired body parts.
    """

    seed: int
    kind: str
    body: str
    laterality: str = ""

    def uid(self, *what: str) -> str:
        """Return the UID of something of this subject."""
        return str(generate_uid(entropy_srcs=[self.kind, str(self.seed), *what]))


@dataclass(frozen=True)
class Sequence:
    """What an MR series says of itself.

    Attributes:
        description: Series description.
        technique: (0018,0020) Scanning Sequence.
        repetition_ms: Repetition time.
        echo_ms: Echo time.
        inversion_ms: Inversion time, where there is one.
    """

    description: str
    technique: str
    repetition_ms: str
    echo_ms: str
    inversion_ms: str = ""


T1_SPIN_ECHO = Sequence("AX T1 SE", "SE", "550", "12")


def ct_series(subject: Subject, grid: Grid, hu: Float[np.ndarray, "d h w"]) -> list[Dataset]:
    """Return a CT, from HU."""
    return [_ct(d, subject) for d in _images(subject, "ct", grid, hu + 1024)]


def pet_series(subject: Subject, grid: Grid, suv: Float[np.ndarray, "d h w"]) -> list[Dataset]:
    """Return a PET in Bq/ml, from SUV, with what SUV needs."""
    activity = suv * (INJECTED_BQ * 2 ** (-UPTAKE_SECONDS / HALF_LIFE_SECONDS) / (WEIGHT_KG * 1000))
    slope = float(f"{max(float(activity.max()), 1.0) / 32767:.8g}")  # a decimal string holds 16 characters
    return [_pet(d, slope, i, grid) for i, d in enumerate(_images(subject, "pet", grid, activity / slope))]


def mr_series(
    subject: Subject, slug: str, grid: Grid, signal: Float[np.ndarray, "d h w"], sequence: Sequence
) -> list[Dataset]:
    """Return an MR, from arbitrary units."""
    return [_mr(d, sequence) for d in _images(subject, slug, grid, signal)]


def _as_acquired(volume: Volume, presence: Bool[np.ndarray, "d h w"]) -> Volume:
    """Return the MR on its own grid: the block of its field of view, with finer pixels."""
    spans = []
    for axis in range(3):
        filled = presence.sum(axis=tuple(a for a in range(3) if a != axis))
        kept = np.flatnonzero(filled > 0.8 * filled.max())  # the corners of a turned field are left out
        spans.append((int(kept[0]), int(kept[-1]) + 1))
    block = volume.array[tuple(slice(a, b) for a, b in spans)]
    grid = volume.grid.crop((spans[0][0], spans[1][0], spans[2][0]), (block.shape[0], block.shape[1], block.shape[2]))
    zoom = [1.0] + [step / MR_PIXEL_MM for step in grid.spacing_mm[1:]]
    shape = (block.shape[0], *(int((n - 1) * z) + 1 for n, z in zip(block.shape[1:], zoom[1:], strict=True)))
    fine = ndimage.affine_transform(block, [1 / z for z in zoom], output_shape=shape, order=1)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] / np.asarray(zoom)
    return Volume(fine, Grid((shape[0], shape[1], shape[2]), affine))


def _images(subject: Subject, slug: str, grid: Grid, array: Float[np.ndarray, "d h w"]) -> list[Dataset]:
    """Return one data set per slice with what all image kinds share."""
    stored: Int16[np.ndarray, "d h w"] = np.clip(np.rint(array), 0, 32767).astype("<i2")
    row, column = grid.direction[:, 2], grid.direction[:, 1]  # along a row the column index grows
    images = []
    for index, pixels in enumerate(stored):
        ds = Dataset()
        ds.SOPInstanceUID = subject.uid(slug, str(index))
        ds.PatientName, ds.PatientID = f"Phantom^{subject.body}", f"PHANTOM-{subject.seed}"
        ds.PatientBirthDate, ds.PatientSex, ds.PatientWeight = "19500101", "O", str(WEIGHT_KG)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = subject.uid("study"), subject.uid(slug)
        ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = subject.uid("frame of reference"), ""
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
        ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = SERIES_TIME
        ds.ReferringPhysicianName, ds.StudyID, ds.AccessionNumber = "", str(subject.seed), ""
        ds.StudyDescription = f"Simulated {subject.body.lower()}, no patient"
        ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "EnTrust Serve", f"{subject.body} phantom", "1"
        ds.InstanceNumber, ds.PatientPosition, ds.Laterality = index + 1, "HFS", subject.laterality
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImagePositionPatient = [_ds(v) for v in grid.to_world(np.array([[index, 0, 0]]))[0]]
        ds.ImageOrientationPatient = [_ds(v) for v in (*row, *column)]
        ds.PixelSpacing = [_ds(grid.spacing_mm[1]), _ds(grid.spacing_mm[2])]
        ds.SliceThickness = _ds(grid.spacing_mm[0])
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = pixels.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelData = pixels.tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        images.append(ds)
    return images


def _ds(value: float) -> str:
    return f"{float(value):.8g}"


def _ct(ds: Dataset, subject: Subject) -> Dataset:
    ds.SOPClassUID, ds.Modality, ds.SeriesDescription = CTImageStorage, "CT", f"CT {subject.body.lower()}"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.KVP, ds.AcquisitionNumber = "120", 1
    return ds


def _pet(ds: Dataset, slope: float, index: int, grid: Grid) -> Dataset:
    ds.SOPClassUID, ds.Modality = PositronEmissionTomographyImageStorage, "PT"
    ds.SeriesDescription = "PET FDG"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.RescaleIntercept, ds.RescaleSlope = "0", _ds(slope)
    ds.Units, ds.CountsSource, ds.SeriesType = "BQML", "EMISSION", ["STATIC", "IMAGE"]
    ds.NumberOfSlices, ds.ImageIndex = grid.shape[0], index + 1
    ds.CorrectedImage, ds.DecayCorrection = ["ATTN", "DECY", "SCAT"], "START"
    ds.CollimatorType, ds.FrameReferenceTime, ds.ActualFrameDuration = "NONE", "0", "180000"
    ds.DecayFactor, ds.ReconstructionMethod = "1", "simulated"
    ds.AttenuationCorrectionMethod, ds.ScatterCorrectionMethod = "simulated", "simulated"
    drug = Dataset()
    drug.Radiopharmaceutical, drug.RadiopharmaceuticalRoute = "FDG", "IV"
    drug.RadiopharmaceuticalStartTime = INJECTION_TIME
    drug.RadiopharmaceuticalStartDateTime = STUDY_DATE + INJECTION_TIME
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = _ds(INJECTED_BQ), _ds(HALF_LIFE_SECONDS)
    drug.RadionuclidePositronFraction = "0.967"
    drug.RadionuclideCodeSequence = [_code("77004003", "SCT", "^18^Fluorine")]
    drug.RadiopharmaceuticalCodeSequence = [_code("35321007", "SCT", "Fluorodeoxyglucose F^18^")]
    ds.RadiopharmaceuticalInformationSequence = [drug]
    supine = _code("102538003", "SCT", "recumbent")
    supine.PatientOrientationModifierCodeSequence = [_code("40199007", "SCT", "supine")]
    ds.PatientOrientationCodeSequence = [supine]
    del ds.PatientPosition  # said by the coded orientation; PS3.3 C.7.3.1 wants one of the two
    ds.PatientGantryRelationshipCodeSequence = [_code("102540001", "SCT", "headfirst")]
    return ds


def _mr(ds: Dataset, sequence: Sequence) -> Dataset:
    ds.SOPClassUID, ds.Modality, ds.SeriesDescription = MRImageStorage, "MR", sequence.description
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = sequence.technique, "NONE", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = sequence.repetition_ms, sequence.echo_ms, "1"
    if sequence.inversion_ms:
        ds.InversionTime = sequence.inversion_ms
    return ds


def _code(value: str, scheme: str, meaning: str) -> Any:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
