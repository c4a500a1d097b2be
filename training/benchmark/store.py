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


def stored(folder: Path, domain: str, split: Split, num: int) -> Stored:
    """Return the first ``num`` cases of a split, from disk where they were made before.

    Args:
        folder: Where arrays are kept; a few hundred megabytes a domain.
        domain: Name of a domain.
        split: A split whose images are complete.
        num: How many cases; they may go on behind the split's own number.
    """
    home = folder / domain
    paths = {part: home / f"{split.name}-{num}-{part}.npy" for part in ("images", "label", "conflict")}
    if not all(path.exists() for path in paths.values()):
        home.mkdir(parents=True, exist_ok=True)
        world = get_domain(domain)
        shape, kinds = (num, *world.shape), {"images": np.float16, "label": np.uint8, "conflict": np.bool_}
        shapes = dict.fromkeys(paths, shape) | {"images": (num, len(world.channels), *world.shape)}
        partial = {part: path.with_suffix(".part") for part, path in paths.items()}
        arrays = {p: np.lib.format.open_memmap(partial[p], "w+", np.dtype(kinds[p]), shapes[p]) for p in paths}
        for i in range(num):
            case = make_case(world, split, i).as_training_case()
            arrays["images"][i], arrays["label"][i], arrays["conflict"][i] = case.images, case.label, case.conflict
        for part, path in paths.items():
            arrays[part].flush()
            os.replace(partial[part], path)
    return Stored(**{part: np.load(path, mmap_mode="r") for part, path in paths.items()})
