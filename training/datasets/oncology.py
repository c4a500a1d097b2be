"""Soft-tissue sarcoma: CT, FDG PET and T1 MR of 40 patients with the gross tumour volume.

Source: Vallières et al. 2015, doi:10.7937/K9/TCIA.2015.7GO2GSKS (CC BY 3.0), by way of the IBSI validation set.
"""

from pathlib import Path

import numpy as np

from entrust.contract import ONCOLOGY
from entrust.errors import InvalidInputError, NotFoundError
from entrust.presence import acquired
from training.datasets.case import TrainingCase, normalised_case
from training.datasets.packed import packed_names, read_packed

DEMONSTRATION = ("STS_001", "STS_010")
"""Patients whose DICOM serves as demonstration: never trained on, never calibrated on by the released weights."""

SUV_PER_UNIT = 1.0 / 500.0

ATTRIBUTION = (
    "Vallières M, Freeman CR, Skamene SR, El Naqa I. A radiomics model from joint FDG-PET and MRI texture features "
    "for the prediction of lung metastases in soft-tissue sarcomas of the extremities. The Cancer Imaging Archive, "
    "2015. doi:10.7937/K9/TCIA.2015.7GO2GSKS. Licence CC BY 3.0. Prepared by the Image Biomarker Standardisation "
    "Initiative (resampled, cropped 5 cm around the contour, MR bias-corrected)."
)


def find_root() -> Path:
    """Return the data folder beside the project, ``../shared/data/oncology_sts``.

    Raises:
        NotFoundError: The folder is not there.
    """
    root = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "oncology_sts"
    if not root.is_dir():
        raise NotFoundError(
            "The sarcoma data are not beside the project.", fix="Put them in ../shared/data/oncology_sts."
        )
    return root


def list_patients(root: Path) -> tuple[str, ...]:
    """Return the patients' names in order; ``root`` is the data folder, or an archive of it."""
    if root.is_file():
        return packed_names(root)
    return tuple(sorted(p.name for p in root.iterdir() if (p / "ct.nii.gz").is_file()))


def load_patient(root: Path, name: str) -> TrainingCase:
    """Read one patient and normalise it as the gateway would; ``root`` is the data folder, or an archive of it.

    Raises:
        InvalidInputError: A file is missing, or is not on the task's grid.
    """
    if root.is_file():
        return read_packed(root, name)
    import SimpleITK as sitk  # an archive is read where there is nothing but torch, numpy, scipy and onnx

    folder = root / name
    try:
        read = {
            key: sitk.ReadImage(str(folder / f"{stem}.nii.gz"))
            for key, stem in {
                "ct": "ct",
                "pet": "pet_suvx500",
                "t1": "mr_t1_norm4000",
                "fov": "mr_fov",
                "gtv": "gtv_ct",
            }.items()
        }
    except RuntimeError as error:
        raise InvalidInputError("A patient's files cannot be read.", fix="Check the data folder.") from error
    spacing = tuple(float(s) for s in reversed(read["ct"].GetSpacing()))
    if not np.allclose(spacing, ONCOLOGY.spacing_mm, atol=0.02):
        raise InvalidInputError("A patient is not on the task's grid.", fix="Resample to 2 × 2 × 3.27 mm first.")
    arrays = {key: sitk.GetArrayFromImage(image).astype(np.float32) for key, image in read.items()}
    arrays["pet"] *= SUV_PER_UNIT
    seen = (arrays["fov"] > 0.5) & acquired(arrays["t1"])
    return normalised_case(ONCOLOGY, name, arrays, {"t1": seen}, arrays["gtv"] > 0.5)
