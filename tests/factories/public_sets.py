"""Tiny cases in the layouts of public data sets: paths and values spelled out here, apart from the adapters'.

Every image shows the same ball at the same place in the patient, on a grid of its own where the data set's files have
grids of their own; the labels are its nested shells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from entrust.contract import ONCOLOGY, TASKS, Code, Label, Task
from entrust.resampling import to_sitk
from entrust.volume import Grid, Volume
from tests.factories.dicom_series import plane_grid
from training.datasets.phantoms.world.case import DOMAINS
from training.datasets.public.questions import question
from training.datasets.public.registry import SETS

CENTRE_MM = (14.0, -18.0, 33.0)
RADII_MM = (12.0, 8.0, 5.0)
"""Of the shells; the images show the outermost."""

LABEL_GRID = Grid.axial((16, 32, 30), (2.5, 1.5, 1.5), (-9.0, -41.0, 13.0))
OWN_GRID = plane_grid("oblique", shape=(18, 52, 50), spacing_mm=(3.0, 1.0, 1.0), centre_mm=(12.0, -19.0, 34.0))
COARSE_GRID = Grid.axial((20, 30, 30), (2.0, 2.5, 2.5), (-24.0, -56.0, 14.0))

INSIDE, OUTSIDE = 900.0, 100.0


@dataclass(frozen=True)
class Tiny:
    """How a case lies on the disk.

    Attributes:
        images: Path by slug, with ``{i}`` for the number of the case; of the decathlon the one file, under ``""``.
        label: Path of the reference.
        values: Value of each of our labels in the file, background first.
        grids: Of images that do not share the label's.
        raters: Paths of further raters.
        names: What the cases are called.
        order: Of the decathlon's volumes.
    """

    images: Mapping[str, str]
    label: str
    values: tuple[int, ...]
    names: str
    grids: Mapping[str, Grid] = field(default_factory=dict)
    raters: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()


def _brats(stem: str, names: tuple[str, str, str, str], separator: str, values: tuple[int, ...]) -> Tiny:
    path = f"{stem}/{stem}{separator}"
    files = {slug: f"{path}{name}.nii.gz" for slug, name in zip(("t1", "t1c", "t2", "flair"), names, strict=True)}
    return Tiny(files, f"{path}seg.nii.gz", values, stem)


_STUDY = "FDG-PET-CT-Lesions/PETCT_0a1{i}/07-17-2005-NA-PET-CT Ganzkoerper  nativ u. mit KM-3352{i}"
_STROKE = "sub-strokecase000{i}/ses-0001"
_STROKE_FILE = "/sub-strokecase000{i}_ses-0001_"

TINY: Mapping[str, Tiny] = {
    "brats20": _brats("BraTS20_Training_00{i}", ("t1", "t1ce", "t2", "flair"), "_", (0, 2, 1, 4)),
    "brats21": _brats("BraTS2021_0000{i}", ("t1", "t1ce", "t2", "flair"), "_", (0, 2, 1, 4)),
    "brats23": _brats("BraTS-GLI-0000{i}-000", ("t1n", "t1c", "t2w", "t2f"), "-", (0, 2, 1, 3)),
    "brats24": _brats("BraTS-GLI-0200{i}-101", ("t1n", "t1c", "t2w", "t2f"), "-", (0, 2, 1, 3)),
    "msd01": Tiny(
        {"": "Task01_BrainTumour/imagesTr/BRATS_00{i}.nii.gz"},
        "Task01_BrainTumour/labelsTr/BRATS_00{i}.nii.gz",
        (0, 1, 2, 3),
        "BRATS_00{i}",
        order=("flair", "t1", "t1c", "t2"),
    ),
    "myops20": Tiny(
        {
            slug: f"train25/myops_training_10{{i}}_{n}.nii.gz"
            for slug, n in (("bssfp", "C0"), ("lge", "DE"), ("t2", "T2"))
        },
        "train25_myops_gd/myops_training_10{i}_gd.nii.gz",
        (0, 200, 1220, 2221),
        "myops_training_10{i}",
    ),
    "isles22": Tiny(
        {
            "dwi": f"ISLES-2022/{_STROKE}/dwi{_STROKE_FILE}dwi.nii.gz",
            "adc": f"ISLES-2022/{_STROKE}/dwi{_STROKE_FILE}adc.nii.gz",
            "flair": f"ISLES-2022/{_STROKE}/anat{_STROKE_FILE}FLAIR.nii.gz",
        },
        f"ISLES-2022/derivatives/{_STROKE}{_STROKE_FILE}msk.nii.gz",
        (0, 1),
        "sub-strokecase000{i}",
        grids={"flair": OWN_GRID},
    ),
    "isles22-rawdata": Tiny(
        {slug: f"rawdata/{_STROKE}{_STROKE_FILE}{slug}.nii.gz" for slug in ("dwi", "adc", "flair")},
        f"derivatives/{_STROKE}{_STROKE_FILE}msk.nii.gz",
        (0, 1),
        "sub-strokecase000{i}",
        grids={"flair": OWN_GRID},
    ),
    "wmh17": Tiny(
        {"flair": "training/Amsterdam/GE3T/10{i}/pre/FLAIR.nii.gz"},
        "training/Amsterdam/GE3T/10{i}/wmh.nii.gz",
        (0, 1),
        "Amsterdam_GE3T_10{i}",
        raters={
            rater: f"additional_annotations/observer_{rater}/training/Amsterdam/GE3T/10{{i}}/result.nii.gz"
            for rater in ("o3", "o4")
        },
    ),
    "hecktor22": Tiny(
        {"ct": "imagesTr/CHUM-00{i}__CT.nii.gz", "pet": "imagesTr/CHUM-00{i}__PT.nii.gz"},
        "labelsTr/CHUM-00{i}.nii.gz",
        (0, 1),
        "CHUM-00{i}",
        grids={"pet": COARSE_GRID},
    ),
    "hecktor25": Tiny(
        {"ct": "Task 1/MDA-00{i}/MDA-00{i}__CT.nii.gz", "pet": "Task 1/MDA-00{i}/MDA-00{i}__PT.nii.gz"},
        "Task 1/MDA-00{i}/MDA-00{i}.nii.gz",
        (0, 1),
        "MDA-00{i}",
        grids={"pet": COARSE_GRID},
    ),
    "autopet": Tiny(
        {
            "ct": f"{_STUDY}/CTres.nii.gz",
            "pet": f"{_STUDY}/SUV.nii.gz",
        },
        f"{_STUDY}/SEG.nii.gz",
        (0, 1),
        "PETCT_0a1{i}_3352{i}",
    ),
}


def task_of(layout: str) -> Task:
    """The task of a data set; for one that is not served, what its contract would say, small."""
    name = SETS[set_name(layout)].task
    if name in TASKS:
        return TASKS[name]
    asked, nothing = question(name), Code("", "", "")
    labels = (Label(r, title, title, nothing, nothing, (0, 0, 0)) for r, title in enumerate(asked.structures, start=1))
    return replace(
        ONCOLOGY,
        name=name,
        modalities=asked.modalities,
        labels=tuple(labels),
        reference_order=asked.slugs,
        spacing_mm=DOMAINS[name].spacing_mm,
        context_offsets=(-1, 0, 1),
    )


def set_name(layout: str) -> str:
    """The data set of a layout; one has two."""
    return layout.partition("-")[0]


def distance_mm(grid: Grid) -> np.ndarray:
    """Distance of each voxel's centre from the ball's."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    return np.linalg.norm(grid.to_world(index) - np.asarray(CENTRE_MM), axis=1).reshape(grid.shape)


def shells(grid: Grid, structures: int) -> np.ndarray:
    """Nested labels: 1 in the outermost shell."""
    return sum((distance_mm(grid) < radius).astype(np.uint8) for radius in RADII_MM[:structures])


def brightness(slugs: tuple[str, ...], slug: str) -> float:
    """Of the ball in the image of one modality: all differ."""
    return INSIDE + 10.0 * slugs.index(slug)


def write(path: Path, array: np.ndarray, grid: Grid) -> Path:
    """Write one volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(to_sitk(Volume(array, grid)), str(path))
    return path


def write_case(root: Path, layout: str, i: int, slugs: tuple[str, ...]) -> None:
    """Write case number ``i``; ``slugs`` are the task's modalities."""
    tiny = TINY[layout]

    def image(slug: str) -> tuple[np.ndarray, Grid]:
        grid = tiny.grids.get(slug, LABEL_GRID)
        ball = distance_mm(grid) < RADII_MM[0]
        return np.where(ball, brightness(slugs, slug), OUTSIDE).astype(np.int16), grid

    if tiny.order:
        volumes = [to_sitk(Volume(*image(slug))) for slug in tiny.order]
        path = root / tiny.images[""].format(i=i)
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.JoinSeries(volumes), str(path))
    else:
        for slug, name in tiny.images.items():
            write(root / name.format(i=i), *image(slug))
    labels = np.asarray(tiny.values, np.int16)[shells(LABEL_GRID, len(tiny.values) - 1)]
    write(root / tiny.label.format(i=i), labels, LABEL_GRID)
    for k, name in enumerate(tiny.raters.values()):
        write(root / name.format(i=i), (distance_mm(LABEL_GRID) < RADII_MM[1 + k]).astype(np.uint8), LABEL_GRID)


def write_set(root: Path, layout: str, slugs: tuple[str, ...], count: int = 3) -> Path:
    """Write some cases and return the root."""
    for i in range(1, count + 1):
        write_case(root, layout, i, slugs)
    return root
