"""Cases as files: the layouts of public data sets, and DICOM studies.

File names, channel names and label values are those of the data sets, so that their readers can be tested on cases
whose truth is known; the grids are the phantoms' own. NIfTI is RAS on disk; SimpleITK turns our LPS into it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from entrust.errors import NotFoundError
from training.datasets.phantoms.world.case import WorldCase
from training.datasets.phantoms.world.dicom import write_case


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps what.

    Attributes:
        domain: Whose cases it can hold.
        images: Path of each modality's file, by slug, with ``{i}`` for the case's number.
        label: Path of the label map.
        values: Value in the file of each of our labels, background first.
    """

    domain: str
    images: Mapping[str, str]
    label: str
    values: tuple[int, ...]


def _brats(folder: str, names: Mapping[str, str], separator: str, values: tuple[int, ...]) -> Layout:
    path = folder + "/" + folder + separator + "{}.nii.gz"
    return Layout(
        "brain", {slug: path.replace("{}", name) for slug, name in names.items()}, path.replace("{}", "seg"), values
    )


LAYOUTS = {
    "brats20": _brats(
        "BraTS20_Training_{i:03d}", {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}, "_", (0, 2, 1, 4)
    ),
    "brats21": _brats(
        "BraTS2021_{i:05d}", {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}, "_", (0, 2, 1, 4)
    ),
    "brats23": _brats(
        "BraTS-GLI-{i:05d}-000", {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}, "-", (0, 2, 1, 3)
    ),
    "myops20": Layout(
        "cardiac",
        {
            slug: f"imagesTr/myops_training_{{i:03d}}_{name}.nii.gz"
            for slug, name in (("bssfp", "C0"), ("lge", "DE"), ("t2", "T2"))
        },
        "labelsTr/myops_training_{i:03d}_gd.nii.gz",
        (0, 200, 1220, 2221),
    ),
    "isles22": Layout(
        "lesion",
        {
            "dwi": "ISLES-2022/sub-strokecase{i:04d}/ses-0001/dwi/sub-strokecase{i:04d}_ses-0001_dwi.nii.gz",
            "adc": "ISLES-2022/sub-strokecase{i:04d}/ses-0001/dwi/sub-strokecase{i:04d}_ses-0001_adc.nii.gz",
            "flair": "ISLES-2022/sub-strokecase{i:04d}/ses-0001/anat/sub-strokecase{i:04d}_ses-0001_FLAIR.nii.gz",
        },
        "ISLES-2022/derivatives/sub-strokecase{i:04d}/ses-0001/sub-strokecase{i:04d}_ses-0001_msk.nii.gz",
        (0, 1),
    ),
    "isles22-rawdata": Layout(
        "lesion",
        {
            slug: "rawdata/sub-strokecase{i:04d}/ses-0001/sub-strokecase{i:04d}_ses-0001_" + slug + ".nii.gz"
            for slug in ("dwi", "adc", "flair")
        },
        "derivatives/sub-strokecase{i:04d}/ses-0001/sub-strokecase{i:04d}_ses-0001_msk.nii.gz",
        (0, 1),
    ),
    "hecktor22": Layout(
        "oncology",
        {
            "ct": "imagesTr/CHUM-{i:03d}__CT.nii.gz",
            "pet": "imagesTr/CHUM-{i:03d}__PT.nii.gz",
            "t1": "imagesTr/CHUM-{i:03d}__T1.nii.gz",  # ours: the data set has no MR
        },
        "labelsTr/CHUM-{i:03d}.nii.gz",
        (0, 1),
    ),
}


def export_case(case: WorldCase, layout: str, folder: Path) -> tuple[Path, ...]:
    """Write a case.

    Args:
        case: What to write; absent modalities are left out.
        layout: ``dicom`` or one of :data:`LAYOUTS`.
        folder: Root of the data set.

    Returns:
        The files.

    Raises:
        NotFoundError: The layout is unknown, or holds another domain.
    """
    if layout == "dicom":
        return write_case(case, folder / case.name)
    rule = LAYOUTS.get(layout)
    if rule is None or rule.domain != case.domain.name:
        fitting = [name for name, rule in LAYOUTS.items() if rule.domain == case.domain.name]
        raise NotFoundError(
            f"Layout {layout!r} cannot hold the domain {case.domain.name!r}.",
            fix=f"One of {', '.join(['dicom', *fitting])}.",
        )
    written = []
    for index, channel in enumerate(case.domain.channels):
        if case.presence[index].any():
            path = folder / rule.images[channel.role.slug].format(i=case.index + 1)
            written.append(_write(case, case.images[index], path))
    values = np.asarray(rule.values, dtype=np.int16)
    return (*written, _write(case, values[case.label], folder / rule.label.format(i=case.index + 1)))


def _write(case: WorldCase, array: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    grid = case.grid
    image.SetSpacing(tuple(reversed(grid.spacing_mm)))
    image.SetOrigin(grid.origin_mm)
    sitk.WriteImage(image, str(path))
    return path
