"""Training cases of a domain as arrays on disk: made once from their names, then read without a copy."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, UInt8

from training.datasets.phantoms.world.case import get_domain, make_case
from training.datasets.phantoms.world.splits import Split


@dataclass(frozen=True, eq=False)
class Stored:
    """The cases of a split that a network is fitted on.

    Attributes:
        images: Normalised intensities; every modality is present.
        label: One reader's label map.
        conflict: Where modalities disagree: never shown to a network, it says which slices are worth drawing.
    """

    images: Float16[np.ndarray, "n m d h w"]
    label: UInt8[np.ndarray, "n d h w"]
    conflict: Bool[np.ndarray, "n d h w"]


def stored(folder: Path, domain: str, split: Split, num: int | None = None) -> Stored:
    """Return the first ``num`` cases of a split, from disk where they were made before.

    Args:
        folder: Where arrays are kept; a few hundred megabytes a domain.
        domain: Name of a domain.
        split: A split whose images are complete.
        num: How many cases; all if not given.
    """
    num = num or split.cases
    home = folder / domain
    paths = {part: home / f"{split.name}-{num}-{part}.npy" for part in ("images", "label", "conflict")}
    if not all(path.exists() for path in paths.values()):
        home.mkdir(parents=True, exist_ok=True)
        cases = [make_case(get_domain(domain), split, i).as_training_case() for i in range(num)]
        parts = {
            "images": np.stack([c.images for c in cases]).astype(np.float16),
            "label": np.stack([c.label for c in cases]),
            "conflict": np.stack([c.conflict for c in cases if c.conflict is not None]),
        }
        for part, path in paths.items():
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                np.save(file, parts[part])
            os.replace(partial, path)
    return Stored(**{part: np.load(path, mmap_mode="r") for part, path in paths.items()})
