"""What is sent: simulated studies of three sizes, and some that nobody can segment."""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.datasets.phantoms.dicom import write_study, zip_study
from training.datasets.phantoms.limb import LimbPhantom, make_phantom

SEEDS = (9005, 9021)
"""Phantoms that no weights have seen; the first gives the studies, the second a series that does not fit to them."""
SLICES: Mapping[str, int] = {"small": 8, "medium": 24, "large": 1000}
"""Slices about the tumour, as far as the phantom has them (48 to 70)."""


def write_archives(folder: Path) -> dict[str, Path]:
    """Write what the visits send, and return the archives by name.

    Args:
        folder: Where; archives that lie there are taken as they are.
    """
    paths = {name: folder / f"{name}.zip" for name in (*SLICES, "truncated", "no-images", "two-patients")}
    if all(path.is_file() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    phantom, other = (make_phantom(seed) for seed in SEEDS)
    for name in SLICES:
        _write(phantom, name, folder)
    stranger = folder / "stranger"
    write_study(about_the_tumour(other, SLICES["small"]), stranger)
    content = paths["small"].read_bytes()
    paths["truncated"].write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(paths["no-images"], "w") as packed:
        packed.writestr("letter.txt", "No image in here.")
    with zipfile.ZipFile(paths["two-patients"], "w") as packed:
        for root, slug in ((folder / "small", "ct"), (stranger, "pet")):
            for path in sorted((root / slug).iterdir()):
                packed.write(path, f"{slug}/{path.name}")
    return paths


def write_small_archive(folder: Path) -> Path:
    """Write the small study alone, and return its archive."""
    folder.mkdir(parents=True, exist_ok=True)
    return _write(make_phantom(SEEDS[0]), "small", folder)


def _write(phantom: LimbPhantom, name: str, folder: Path) -> Path:
    write_study(about_the_tumour(phantom, SLICES[name]), folder / name)
    zip_study(folder / name, folder / f"{name}.zip")
    return folder / f"{name}.zip"


def about_the_tumour(phantom: LimbPhantom, slices: int) -> LimbPhantom:
    """Return a phantom with no more than so many slices, the middle of its tumour in their middle."""
    depth = phantom.grid.shape[0]
    kept = min(slices, depth)
    middle = round(float(np.flatnonzero(phantom.gtv.any(axis=(1, 2))).mean()))
    first = min(max(middle - kept // 2, 0), depth - kept)
    span = slice(first, first + kept)
    return replace(
        phantom,
        grid=phantom.grid.crop((first, 0, 0), (kept, *phantom.grid.shape[1:])),
        **{
            name: getattr(phantom, name)[span]
            for name in ("ct", "pet", "t1", "mr_presence", "gtv", "certain", "conflict")
        },
    )
