"""Real anatomies, where data are beside the project: heads from label maps, a heart from surfaces, limbs from CT.

They never enter the frozen splits, which must be the same on a machine without data; they show what a model
that has only seen procedural bodies does on real ones. Needs SimpleITK.

Source: label maps of Billot et al. 2023, SynthSeg (Apache-2.0); the MNI template of Fonov et al.
2011 in nilearn (BSD-3-Clause); surfaces of biv-me (Apache-2.0); CT of Vallières et al. 2015 (CC BY 3.0), without the
patients of the demonstration.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import Delaunay, cKDTree

from entrust.errors import NotFoundError
from training.datasets.oncology import DEMONSTRATION
from training.datasets.phantoms.world.anatomies import brain, heart, neck
from training.datasets.phantoms.world.domain import Anatomy, AnatomyMaker, Domain
from training.datasets.phantoms.world.space import Space

HEAD_LABELS = {
    brain.WHITE: (2, 41, 7, 46, 16, 28, 60, 85, 25, 57, 77),
    brain.GREY: (3, 42, 8, 47, 17, 18, 53, 54),
    brain.DEEP: (10, 11, 12, 13, 26, 49, 50, 51, 52, 58, 136, 137, 163, 164),
    brain.CSF: (4, 5, 14, 15, 24, 30, 43, 44, 62, 72),
    brain.BONE: (515, 516, 514, 530),
    brain.SKIN: (502, 506, 507, 508, 509, 511, 512),
}
"""FreeSurfer's numbers, and those from 500 on that the label maps use outside the brain."""


def data_root() -> Path:
    """Return the data folder beside the project.

    Raises:
        NotFoundError: It is not there.
    """
    root = Path(__file__).resolve().parents[5].parent / "shared" / "data"
    if not root.is_dir():
        raise NotFoundError("The data are not beside the project.", fix="Put them in ../shared/data.")
    return root


def real_anatomy(domain: str) -> AnatomyMaker:
    """Return a maker of real anatomies for a domain.

    Raises:
        NotFoundError: There are no data, or none for this domain.
    """
    makers: dict[str, Callable[[], AnatomyMaker]] = {
        "brain": lambda: partial(_head, heads(), False),
        "lesion": lambda: partial(_head, heads(), True),
        "cardiac": lambda: partial(_heart, data_root()),
        "oncology": lambda: partial(_limb, data_root()),
    }
    if domain not in makers:
        raise NotFoundError(f"There is no real anatomy for {domain!r}.", fix=f"One of {', '.join(makers)}.")
    return makers[domain]()


def with_real_anatomy(domain: Domain) -> Domain:
    """Return the domain with real bodies."""
    return replace(domain, anatomy=real_anatomy(domain.name))


def heads() -> tuple[Path, ...]:
    """Return the files that heads are drawn from: label maps, and the MNI template where ``nilearn`` is installed.

    Raises:
        NotFoundError: There is neither.
    """
    found: list[Path] = []
    package = find_spec("nilearn")
    if package is not None and package.origin is not None:
        # Its files are enough; importing it would load half a laboratory.
        found += sorted((Path(package.origin).parent / "datasets" / "data").glob("mni_icbm152_gm_*.nii.gz"))
    try:
        found += sorted((data_root() / "brain_labelmaps").glob("*.nii.gz"))
    except NotFoundError:
        if not found:
            raise
    return tuple(found)


def _read_lps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels and spacing (depth, row, column), in LPS."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    return sitk.GetArrayFromImage(image), np.array(tuple(reversed(image.GetSpacing())))


@lru_cache(maxsize=4)
def _head_tissues(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return tissues and spacing of a label map, or of the template's grey and white matter (which has no skull)."""
    labels, spacing = _read_lps(path)
    if "_gm_" in path.name:
        white, _ = _read_lps(path.with_name(path.name.replace("_gm_", "_wm_")))
        matter = np.maximum(labels, white) > 0.4 * 255
        enclosed = ndimage.binary_fill_holes(ndimage.binary_closing(matter, iterations=3))
        either = np.where(white > labels, brain.WHITE, brain.GREY)
        return np.where(matter, either, np.where(enclosed, brain.CSF, brain.AIR)).astype(np.uint8), spacing
    tissues = np.zeros(labels.shape, dtype=np.uint8)
    for tissue, values in HEAD_LABELS.items():
        tissues[np.isin(labels, values)] = tissue
    return tissues, spacing


def _head(paths: tuple[Path, ...], skull: bool, rng: np.random.Generator, space: Space, unseen: bool) -> Anatomy:
    """Draw a head: one of the files, turned, scaled, perhaps mirrored, at the ventricles' height or above."""
    del unseen
    tissues, spacing = _head_tissues(paths[int(rng.integers(len(paths)))])
    centre = np.argwhere(tissues >= brain.GREY).mean(axis=0) + np.array([rng.uniform(-5, 25) / spacing[0], 0, 0])
    drawn = _sample(rng, space, tissues, spacing, centre, scale=rng.uniform(0.93, 1.07), turn=rng.normal(0, 0.08))
    if not skull:
        # What is within a centimetre of cortex is brain or its fluid; the rest is cut away.
        near = ndimage.binary_closing(drawn >= brain.GREY, np.ones((1, 3, 3)), iterations=3)
        drawn = np.where(near & (drawn >= brain.CSF), drawn, brain.AIR).astype(np.uint8)
    return brain.anatomy_of_tissues(space, drawn, brain.TISSUES)


@lru_cache(maxsize=8)
def _surface_points(path: Path) -> np.ndarray:
    """Return the points [n, 3] of a surface in VTK's text format, in mm."""
    words = path.read_text().split()
    at = words.index("POINTS")
    return np.array(words[at + 3 : at + 3 + 3 * int(words[at + 1])], dtype=float).reshape(-1, 3)


def _short_axis(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the frame of short-axis slices: unit vectors z (to the apex), y, x (away from the right ventricle)."""
    z = np.linalg.svd(left - left.mean(axis=0), full_matrices=False)[2][0]
    along = (left - left.mean(axis=0)) @ z
    girth = np.linalg.norm(left - left.mean(axis=0) - along[:, None] * z, axis=1)
    if girth[along > 0].mean() > girth[along < 0].mean():  # the apex is the thin end
        z = -z
    x = left.mean(axis=0) - right.mean(axis=0)
    x = x - (x @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([z, np.cross(x, z), x])


def _heart(root: Path, rng: np.random.Generator, space: Space, unseen: bool) -> Anatomy:
    """Draw the one real heart, in one of its phases, turned and scaled; ventricles are taken for convex."""
    del unseen
    folder, phase = root / "cardiac_bivme" / "fitted_vtk", f"{5 * int(rng.integers(5)):03d}"
    left, right, epi = (
        _surface_points(folder / f"patient1_{name}_{phase}.vtk")
        for name in ("LV_ENDOCARDIAL", "RV_ENDOCARDIAL", "EPICARDIAL")
    )
    frame, middle = _short_axis(left, right), left.mean(axis=0)
    free = left[(left - middle) @ frame[2] > 0]  # the wall away from the septum
    thickness = float(np.median(cKDTree(epi).query(free)[0]))
    turn, scale = rng.normal(0, 0.2), rng.uniform(0.95, 1.15)
    z, y, x = np.broadcast_arrays(*space.coordinates)
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    world = middle + np.stack([z, v, u], axis=-1) / scale @ frame

    def signed_mm(points: np.ndarray) -> np.ndarray:
        return space.distance_mm(Delaunay(points).find_simplex(world) >= 0)

    endo_mm = signed_mm(left)
    epi_mm = endo_mm - scale * thickness
    right_mm = np.maximum(signed_mm(right), -epi_mm)  # the septum belongs to the left ventricle
    return heart.anatomy_of_surfaces(rng, space, endo_mm, epi_mm, right_mm, np.zeros(space.shape, dtype=bool))


@lru_cache(maxsize=4)
def _limb_tissues(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return tissues and spacing of a patient's CT, by windows of HU; the tumour becomes muscle."""
    image = sitk.ReadImage(str(folder / "ct.nii.gz"))
    hu = sitk.GetArrayFromImage(image).astype(float)
    tumour = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "gtv_ct.nii.gz"))) > 0
    body = ndimage.binary_fill_holes(ndimage.binary_opening(hu > -300, iterations=2))
    smooth = ndimage.gaussian_filter(hu, 0.6)
    tissues = np.select(
        [~body, tumour, smooth < -300, smooth < -30, smooth < 160, smooth < 320],
        [neck.AIR, neck.MUSCLE, neck.AIR, neck.FAT, neck.MUSCLE, neck.MARROW],
        neck.BONE,
    )
    return tissues.astype(np.uint8), np.array(tuple(reversed(image.GetSpacing())))


def _limb(root: Path, rng: np.random.Generator, space: Space, unseen: bool) -> Anatomy:
    """Draw a limb: around a random place in the soft tissue of a patient."""
    del unseen
    patients = sorted(p for p in (root / "oncology_sts").glob("STS_*") if p.name not in DEMONSTRATION)
    tissues, spacing = _limb_tissues(patients[int(rng.integers(len(patients)))])
    shape = (int(tissues.shape[0]), int(tissues.shape[1]), int(tissues.shape[2]))
    own = Space(shape, (float(spacing[0]), float(spacing[1]), float(spacing[2])))
    place = own.pick(rng, tissues == neck.MUSCLE) or (0.0, 0.0, 0.0)
    centre = (np.array(shape) - 1) / 2 + np.array(place) / spacing * np.array([0.8, 0.4, 0.4])
    drawn = _sample(rng, space, tissues, spacing, centre, scale=rng.uniform(0.95, 1.05), turn=rng.normal(0, 0.2))
    return neck.anatomy_of_tissues(space, drawn)


def _sample(
    rng: np.random.Generator,
    space: Space,
    tissues: np.ndarray,
    spacing_mm: np.ndarray,
    centre: np.ndarray,
    *,
    scale: float,
    turn: float,
) -> np.ndarray:
    """Return ``tissues`` on the lattice, around ``centre`` (index), turned in-plane, scaled, mirrored by chance."""
    z, y, x = np.broadcast_arrays(*space.coordinates)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    u, v = mirror * x, y
    offsets = np.stack([z, v * np.cos(turn) - u * np.sin(turn), u * np.cos(turn) + v * np.sin(turn)])
    index = centre[:, None, None, None] + offsets / (scale * spacing_mm[:, None, None, None])
    return np.asarray(ndimage.map_coordinates(tissues, index, order=0, mode="constant", cval=0))
