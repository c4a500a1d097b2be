"""Normalised cases in one compressed file, small enough to carry to a machine with a GPU and nothing else.

The file is a zip archive: per case the images as 16-bit integers in steps of :data:`STEP`, differences along the rows,
presence and label; and, where asked for, pure Python packages, so that the archive can stand in PYTHONPATH itself.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16

from entrust.errors import InvalidInputError, NotFoundError
from training.datasets.case import TrainingCase

STEP = 1e-3
"""Of a packed intensity. Normalised intensities span about −1 to 1.5, and training adds noise of up to 0.08."""
INDEX = "cases.json"


def _encode(images: Float32[np.ndarray, "m d h w"]) -> Int16[np.ndarray, "m d h w"]:
    """Return the images in steps, each column less the one before it."""
    steps = np.rint(images / STEP)
    if np.abs(steps).max(initial=0.0) > np.iinfo(np.int16).max // 2:
        raise InvalidInputError("An intensity is too large to be packed.", fix="Normalise the case first.")
    return np.diff(steps.astype(np.int16), axis=-1, prepend=np.int16(0))


def _decode(differences: Int16[np.ndarray, "m d h w"]) -> Float32[np.ndarray, "m d h w"]:
    return np.cumsum(differences, axis=-1, dtype=np.int32).astype(np.float32) * np.float32(STEP)


def _put(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    archive.writestr(name, buffer.getvalue())


def _get(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.asarray(np.load(io.BytesIO(file.read()), allow_pickle=False))


def write_pack(path: Path, cases: Iterable[TrainingCase], packages: Iterable[str] = ()) -> int:
    """Write cases, and the files of installed pure Python packages at the archive's root.

    Args:
        path: The archive; a half-written one never has this name.
        cases: All on one grid.
        packages: Names of distributions.

    Returns:
        Its size in bytes.

    Raises:
        InvalidInputError: An intensity is out of range, or a package has compiled files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    index = []
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as archive:
        for case in cases:
            _put(archive, f"{case.name}/images.npy", _encode(case.images))
            _put(archive, f"{case.name}/presence.npy", np.packbits(case.presence, axis=-1))
            _put(archive, f"{case.name}/label.npy", case.label)
            index.append({"name": case.name, "spacing_mm": case.spacing_mm})
        archive.writestr(INDEX, json.dumps(index, indent=1))
        for package in packages:
            _put_package(archive, package)
    os.replace(partial, path)
    return path.stat().st_size


def _put_package(archive: zipfile.ZipFile, package: str) -> None:
    """Add the files of a pure package; deflated, the only compression that Python imports from."""
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        raise NotFoundError(f"The package {package} is not installed.", fix=f"pip install {package}") from None
    for file in files:
        if file.suffix in (".so", ".pyd", ".dll"):
            raise InvalidInputError(f"The package {package} is compiled.", fix="Only pure Python can be packed.")
        if file.suffix == ".py" or file.name in ("METADATA", "py.typed") or "licenses" in file.parts:
            archive.writestr(str(file), file.read_binary(), zipfile.ZIP_DEFLATED)


def packed_names(path: Path) -> tuple[str, ...]:
    """Return the cases' names in order.

    Raises:
        InvalidInputError: Not such an archive.
    """
    return tuple(str(entry["name"]) for entry in _index(path))


def _index(path: Path) -> list[dict[str, object]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return list(json.loads(archive.read(INDEX)))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidInputError("This is no archive of cases.", fix="python -m training.pack writes one.") from error


def read_packed(path: Path, name: str) -> TrainingCase:
    """Return one case; its intensities are within half a :data:`STEP` of what was packed.

    Raises:
        InvalidInputError: Not such an archive.
        NotFoundError: It holds no such case.
    """
    spacing = {entry["name"]: entry["spacing_mm"] for entry in _index(path)}.get(name)
    if not isinstance(spacing, list):
        raise NotFoundError("The archive holds no such case.", fix=f"It holds {', '.join(packed_names(path))}.")
    with zipfile.ZipFile(path) as archive:
        images = _decode(_get(archive, f"{name}/images.npy"))
        packed = _get(archive, f"{name}/presence.npy")
        label = _get(archive, f"{name}/label.npy")
    presence = np.unpackbits(packed, axis=-1, count=images.shape[-1]).astype(bool)
    depth, row, column = (float(s) for s in spacing)
    return TrainingCase(name, images, presence, label.astype(np.uint8), (depth, row, column))
