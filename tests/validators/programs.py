"""Validators and readers of DICOM by others, each run as a program.

dciodvfy and dcentvfy come from Debian's dicom3tools, DicomSRValidator from its libpixelmed-java, plastimatch from its
plastimatch, segimage2itkimage from dcmqi.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool

from entrust.resampling import from_sitk
from entrust.volume import Grid

TIMEOUT_SECONDS = 280.0
HOW = {
    "dciodvfy": "apt-get install dicom3tools",
    "dcentvfy": "apt-get install dicom3tools",
    "segimage2itkimage": "pip install dcmqi",
    "java": "apt-get install default-jre-headless",
    "plastimatch": "apt-get install plastimatch",
}
_JARS = Path("/usr/share/java")
_CLASS_PATH = ("pixelmed", "commons-codec", "javax.json", "jaxb-api", "javax.activation", "slf4j-api")
_NO_LIMITS = [f"-Djdk.xml.{name}=0" for name in ("xpathExprOpLimit", "xpathTotalOpLimit", "xpathExprGrpLimit")]
"""The validator's style sheet is larger than Java lets a style sheet be."""
_SHORT_LIVED = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
"""A program of some seconds does not earn back the second compiler."""
COMPLETE = "Root Template Validation Complete"


class NotInstalledError(Exception):
    """A program is not there; says how to install it."""


@dataclass(frozen=True)
class Geometry:
    """How a mask that was read compares with the one that was meant.

    Attributes:
        dice: Overlap; 1 where both are empty.
        distance_mm: Between their centroids; 0 where both are empty.
    """

    dice: float
    distance_mm: float


def find(name: str) -> str:
    """Return where a program lies.

    Raises:
        NotInstalledError: It does not.
    """
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
    if found is None:
        raise NotInstalledError(f"{name} is not installed: {HOW[name]}")
    return found


def object_errors(path: Path) -> list[str]:
    """Return what dciodvfy calls an error in one object."""
    return _errors([find("dciodvfy"), "-new", str(path)])


def entity_errors(paths: Sequence[Path]) -> list[str]:
    """Return what dcentvfy calls an error between objects of one study."""
    return _errors([find("dcentvfy"), *map(str, paths)])


def report_errors(path: Path) -> list[str]:
    """Return what PixelMed's DicomSRValidator calls an error; it has to say as well that it came to the end."""
    if not (_JARS / "pixelmed.jar").exists():
        raise NotInstalledError("DicomSRValidator is not installed: apt-get install libpixelmed-java")
    class_path = ":".join(str(_JARS / f"{name}.jar") for name in _CLASS_PATH)
    options = [*_SHORT_LIVED, *_NO_LIMITS, "-cp", class_path]
    lines = _run([find("java"), *options, "com.pixelmed.validate.DicomSRValidator", str(path)])
    found = [line for line in lines if line.startswith("Error")]
    return found if any(line.startswith(COMPLETE) for line in lines) else [*found, f"Error: no {COMPLETE}"]


def read_mask(segmentation: Path, number: int, grid: Grid, folder: Path) -> Bool[np.ndarray, "d h w"]:
    """Return a segment as dcmqi reads it, on the voxels of ``grid``.

    Args:
        segmentation: The file.
        number: Segment number.
        grid: Where the mask should be.
        folder: Holds what dcmqi writes.

    Raises:
        ValueError: A voxel of the mask lies on no voxel of the grid.
    """
    tool = find("segimage2itkimage")
    folder.mkdir(parents=True, exist_ok=True)
    _run([tool, "--inputDICOM", str(segmentation), "--outputDirectory", str(folder), "-t", "nii"])
    own = folder / f"{number}.nii.gz"  # of a binary segmentation; a label map gives one file for all
    return _on_grid(own if own.exists() else next(folder.glob("*.nii.gz")), number, grid)


def read_structure(structures: Path, name: str, images: Path, grid: Grid, folder: Path) -> Bool[np.ndarray, "d h w"]:
    """Return a structure as plastimatch fills its contours, on the voxels of ``grid``; nothing where it has none.

    Args:
        structures: The structure set.
        name: ROIName.
        images: Folder of the images that the contours cite.
        grid: Where the mask should be.
        folder: Holds what plastimatch writes.

    Raises:
        ValueError: A voxel of the mask lies on no voxel of the grid.
    """
    _run(
        [
            find("plastimatch"), "convert", "--input", str(structures), "--referenced-ct", str(images),
            "--output-prefix", str(folder), "--prefix-format", "nii",
        ]
    )  # fmt: skip
    path = folder / f"{name}.nii"
    return _on_grid(path, 1, grid) if path.exists() else np.zeros(grid.shape, dtype=bool)


def _on_grid(path: Path, value: int, grid: Grid) -> Bool[np.ndarray, "d h w"]:
    """Return where a NIfTI file has a value, on the voxels of ``grid``."""
    read = from_sitk(sitk.ReadImage(str(path)))
    if not np.allclose(sorted(read.grid.spacing_mm), sorted(grid.spacing_mm), atol=1e-4):
        raise ValueError("the spacing differs")
    index = grid.to_index(read.grid.to_world(np.argwhere(read.array == value).astype(float)))
    if index.size and np.abs(index - np.rint(index)).max() >= 0.01:
        raise ValueError("voxels lie between those of the source")
    mask = np.zeros(grid.shape, dtype=bool)
    mask[tuple(np.rint(index).astype(int).T)] = True
    return mask


def compare(seen: Bool[np.ndarray, "d h w"], meant: Bool[np.ndarray, "d h w"], grid: Grid) -> Geometry:
    """Compare two masks on one grid."""
    if not seen.any() and not meant.any():
        return Geometry(1.0, 0.0)
    dice = 2.0 * float((seen & meant).sum()) / float(seen.sum() + meant.sum())
    if not seen.any() or not meant.any():
        return Geometry(dice, float("inf"))
    a, b = (grid.to_world(np.argwhere(mask).astype(float)).mean(axis=0) for mask in (seen, meant))
    return Geometry(dice, float(np.linalg.norm(a - b)))


def _errors(command: list[str]) -> list[str]:
    return [line for line in _run(command) if line.startswith("Error")]


def _run(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    return (done.stdout + done.stderr).splitlines()
