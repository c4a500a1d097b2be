"""Every awkward file and folder: a volume of the right shape, or the error that names its cause. Nothing else, ever."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from entrust.errors import EnTrustError
from service.ingest import read_study

ONE_SLICE = ("geometry-conflict", "The series has one slice only")  # decoded, but no volume
NO_IMAGES = ("unsupported-media", "The files hold no images, only other DICOM objects")
NO_DECODER = ("unsupported-media", "which is not decoded here")
SECONDARY = ("unsupported-media", "Secondary Capture Image Storage")
ULTRASOUND = ("unsupported-media", "Ultrasound")
RADIOGRAPH = ("unsupported-media", "Computed Radiography Image Storage")
REPEATED = ("geometry-conflict", "Several slices with different pixels lie at one position")
NO_PLACES = ("geometry-conflict", "does not say where its frames lie")
TILTED = ("geometry-conflict", "gantry tilt")
HOLED = ("geometry-conflict", "Slices are missing")
TURNED = ("geometry-conflict", "different orientations")
PATIENTS = ("invalid-input", "more than one patient")

# Path patterns in order, the first that fits counts. An outcome is the volumes' shapes, or an error's kind and cause.
OUTCOMES: tuple[tuple[str, object], ...] = (
    # Folders, with a slash at the end
    ("dicom2nifti/failing/gantrytilting/*/", TILTED),
    ("dicom2nifti/failing/notavolume/*/", REPEATED),
    ("dicom2nifti/failing/slicecount/", [(2, 256, 256)]),
    ("dicom2nifti/failing/slicecount/*/", [(2, 256, 256)]),
    ("dicom2nifti/failing/sliceincrement/", HOLED),
    ("dicom2nifti/failing/sliceincrement/001/", HOLED),
    ("dicom2nifti/failing/sliceincrement/002/", TILTED),
    ("dicom2nifti/failing/sliceorientation/*/", TURNED),
    ("dicom2nifti/generic/anatomical/", [(4, 256, 256), (4, 256, 256), (4, 28, 64)]),
    ("dicom2nifti/generic/anatomical/002_non_isotropic/", [(4, 28, 64)]),
    ("dicom2nifti/generic/rgb/", SECONDARY),
    ("dicom2nifti/generic/rgb/*/", SECONDARY),
    ("dicom2nifti/generic/*/", [(4, 256, 256)]),
    ("dicom2nifti/siemens_multiframe/*/", [(8, 256, 256)]),
    ("dcm_qa_enh/XA10/", ("geometry-conflict", "several multi-frame objects")),
    ("dcm_qa_enh/Philips/", REPEATED),
    ("*/", PATIENTS),
    # Files
    ("cornerstone/CT0012.fragmented*", NO_DECODER),
    ("cornerstone/CTImage*.4.5[135].dcm", NO_DECODER),
    ("cornerstone/CTImage*", ONE_SLICE),
    ("cornerstone/*", ULTRASOUND),
    ("dcm_qa_enh/Philips/*", REPEATED),
    ("dcm_qa_enh/XA10/*", [(6, 64, 64)]),
    ("dicom2nifti/failing/slicecount/001_ground_truth.nii.gz", [(2, 256, 256)]),
    ("dicom2nifti/failing/sliceincrement/002_ground_truth.nii.gz", [(5, 514, 512)]),
    ("dicom2nifti/generic/anatomical/002_non_isotropic_ground_truth.nii.gz", [(4, 28, 64)]),
    ("dicom2nifti/generic/rgb/001_ground_truth.nii.gz", ("unsupported-media", "does not hold real numbers")),
    ("dicom2nifti/generic/rgb/*", SECONDARY),
    ("dicom2nifti/generic/*.nii.gz", [(4, 256, 256)]),
    ("dicom2nifti/siemens_multiframe/*", [(8, 256, 256)]),
    ("dicom2nifti/*.dcm", ONE_SLICE),
    ("made-htj2k/NM1*", SECONDARY),
    ("made-htj2k/XA1*", SECONDARY),
    ("made-htj2k/*", ONE_SLICE),
    ("pydicom/no_meta.dcm", ("unsupported-media", "neither DICOM nor NIfTI")),
    ("pydicom/MR_truncated.dcm", ("invalid-input", "truncated or damaged")),
    ("pydicom/693_J2KI.dcm", ONE_SLICE),
    ("pydicom/CT_small.dcm", ONE_SLICE),
    ("pydicom/J2K_pixelrep_mismatch.dcm", ONE_SLICE),
    ("pydicom/MR_small*", ONE_SLICE),
    ("pydicom/examples_overlay.dcm", ONE_SLICE),
    ("pydicom/ExplVR_BigEnd.dcm", ULTRASOUND),
    ("pydicom/examples_*", ULTRASOUND),
    ("pydicom/chrJapMulti*", RADIOGRAPH),
    ("pydicom/chrKoreanMulti*", RADIOGRAPH),
    ("pydicom/chrSQ*", NO_IMAGES),
    ("pydicom/chr*", SECONDARY),
    ("pydicom/GDCMJ2K*", SECONDARY),
    ("pydicom/JP*", SECONDARY),
    ("pydicom/SC_*", SECONDARY),
    ("pydicom/image_dfl.dcm", SECONDARY),
    ("pydicom/*", NO_IMAGES),
    ("pydicom-data/eCT_Supplemental.dcm", [(2, 512, 512)]),
    ("pydicom-data/emri_small*", NO_PLACES),
    ("pydicom-data/693_*", ONE_SLICE),
    ("pydicom-data/MR*", ONE_SLICE),
    ("pydicom-data/bad_sequence.dcm", ONE_SLICE),
    ("pydicom-data/explicit_VR-UN.dcm", ONE_SLICE),
    ("pydicom-data/liver*", NO_IMAGES),
    ("pydicom-data/parametric_map*", NO_IMAGES),
    ("pydicom-data/RG*", RADIOGRAPH),
    ("pydicom-data/JPGLosslessP14SV1_1s_1f_8b.dcm", ULTRASOUND),
    ("pydicom-data/OBXXXX*", ULTRASOUND),
    ("pydicom-data/US1*", ULTRASOUND),
    ("pydicom-data/color-*", ULTRASOUND),
    ("pydicom-data/gdcm-US*", ULTRASOUND),
    ("pydicom-data/*", SECONDARY),
)


def _awkward() -> Iterator[str]:
    """Yield every file, and every folder that holds files, relative to the collection."""
    root = Path(__file__).resolve().parents[3] / "shared" / "data" / "awkward_dicom"
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        if path.is_file():
            yield path.relative_to(root).as_posix()
        elif any(child.is_file() for child in path.iterdir()):
            yield path.relative_to(root).as_posix() + "/"


def _outcome(path: Path) -> tuple[list[tuple[int, ...]], EnTrustError | None]:
    try:
        study = read_study(path)
    except EnTrustError as error:
        return [], error
    assert all(np.isfinite(series.volume.array).all() for series in study.series)
    return [series.volume.array.shape for series in study.series], None


@pytest.mark.parametrize("name", list(_awkward()) or ["absent"])
def test_every_awkward_input_has_its_outcome(name: str, shared_data: Path) -> None:
    expected = next(outcome for pattern, outcome in OUTCOMES if fnmatch(name, pattern))
    shapes, error = _outcome(shared_data / "awkward_dicom" / name)
    if error is None:
        assert shapes == expected
    else:
        assert isinstance(expected, tuple), error.message
        assert error.kind.value == expected[0]
        assert expected[1] in error.message
        assert error.fix


def _stack(source: Path, folder: Path, slices: int = 3) -> np.ndarray:
    """Make a series out of one file, in its own encoding, and read it; return the first plane."""
    folder.mkdir()
    for number in range(slices):
        ds = dcmread(source)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        position = [float(v) for v in ds.ImagePositionPatient]
        axes = np.asarray(ds.ImageOrientationPatient, float)
        moved = np.asarray(position) + 4.0 * number * np.cross(axes[:3], axes[3:])
        ds.ImagePositionPatient = [f"{v:.9g}" for v in moved]
        ds.save_as(folder / str(number))
    (series,) = read_study(folder).series
    assert series.volume.array.shape[0] == slices
    for plane in series.volume.array[1:]:
        np.testing.assert_array_equal(plane, series.volume.array[0])
    return series.volume.array[0]


@pytest.mark.filterwarnings("ignore")  # of pydicom, about what is odd in these files
@pytest.mark.parametrize(
    ("reference", "others", "tolerance"),
    [
        (
            "cornerstone/CTImage.dcm",
            "cornerstone/CTImage.dcm_*Endian*,cornerstone/CTImage.dcm_*.4.90.dcm,cornerstone/CTImage.dcm_*.4.80.dcm,"
            "cornerstone/CTImage.dcm_*.4.57.dcm,cornerstone/CTImage.dcm_*.4.70.dcm,cornerstone/CTImage.dcm_RLE*",
            0.0,
        ),
        ("cornerstone/CTImage.dcm", "cornerstone/CTImage.dcm_*.4.81.dcm", 5.0),
        (
            "pydicom/MR_small.dcm",
            "pydicom/MR_small_RLE.dcm,pydicom/MR_small_*end*,pydicom/MR_small_expb.dcm,pydicom/MR_small_j*,"
            "pydicom/MR_small_implicit.dcm,pydicom/MR_small_padded.dcm",
            0.0,
        ),
        ("pydicom-data/693_UNCR.dcm", "pydicom-data/693_J2KR.dcm", 0.0),
        ("pydicom-data/MR2_UNCR.dcm", "pydicom-data/MR2_J2KR.dcm", 0.0),
    ],
)
def test_every_transfer_syntax_gives_the_same_voxels(
    reference: str, others: str, tolerance: float, shared_data: Path, tmp_path: Path
) -> None:
    root = shared_data / "awkward_dicom"
    expected = _stack(root / reference, tmp_path / "reference")
    assert np.ptp(expected) > 100
    found = [path for pattern in others.split(",") for path in sorted(root.glob(pattern))]
    assert len(found) >= len(others.split(","))
    for number, path in enumerate(found):
        assert np.abs(_stack(path, tmp_path / str(number)) - expected).max() <= tolerance, path.name


@pytest.mark.parametrize(
    "name",
    [
        "generic/anatomical/001",
        "generic/anatomical/001_implicit",
        "generic/anatomical/002_non_isotropic",
        "generic/compressed/001",
        "generic/compressed_j2k/001",
        "generic/compressed_jpeg/001",
        "generic/compressed_jpegls/001",
        "generic/compressed_rle/001",
        "siemens_multiframe/anatomical/001",
    ],
)
def test_whole_series_agree_with_an_independent_conversion(name: str, shared_data: Path) -> None:
    """dicom2nifti's conversion of the same series, read as NIfTI, has the same values at the same places."""
    folder = shared_data / "awkward_dicom" / "dicom2nifti" / name
    (dicom,) = read_study(folder).series
    (nifti,) = read_study(folder.with_name(f"{folder.name}_ground_truth.nii.gz")).series
    index = np.stack(np.meshgrid(*map(np.arange, dicom.volume.grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    there = nifti.volume.grid.to_index(dicom.volume.grid.to_world(index.astype(float)))
    assert np.abs(there - np.rint(there)).max() < 0.02
    at = tuple(np.rint(there).astype(int).T)
    np.testing.assert_array_equal(nifti.volume.array[at].reshape(dicom.volume.grid.shape), dicom.volume.array)
