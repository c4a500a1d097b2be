"""Intensities → network input; one code for training and serving.

CT keeps its soft-tissue window, PET its logarithm of SUV, and MR, whose units are arbitrary, is divided by a robust
statistic of its own tissue, so that any scale of the scanner gives the same input.
"""

import numpy as np
from jaxtyping import Bool, Float

from entrust.contract import Modality

CT_WINDOW_HU = (-160.0, 240.0)
SUV_CLIP = 30.0
ARBITRARY_CLIP = 4.0


def normalise(
    modality: Modality, array: Float[np.ndarray, "d h w"], present: Bool[np.ndarray, "d h w"]
) -> Float[np.ndarray, "d h w"]:
    """Return the network's view of one modality.

    Args:
        modality: Decides the rule by its units.
        array: HU, SUV or arbitrary intensities on the task's grid.
        present: Where the modality was acquired.

    Returns:
        float32, about −1..1.5, zero where absent. Non-finite input counts as absent.
    """
    present = present & np.isfinite(array)
    values = np.where(present, array, 0.0).astype(np.float32)
    if modality.units == "HU":
        low, high = CT_WINDOW_HU
        scaled = (np.clip(values, low, high) - low) * (2.0 / (high - low)) - 1.0
    elif modality.units == "SUV":
        scaled = np.log1p(np.clip(values, 0.0, SUV_CLIP)) / np.float32(np.log1p(8.0))
    else:
        scaled = np.clip(values / tissue_scale(values[present]), 0.0, ARBITRARY_CLIP) * 0.5 - 0.5
    return np.where(present, scaled, 0.0).astype(np.float32)


def darkest(modality: Modality) -> float:
    """Return the smallest value that :func:`normalise` gives to an acquired voxel: air."""
    return {"HU": -1.0, "SUV": 0.0, "arbitrary": -0.5}[modality.units]


def tissue_scale(values: Float[np.ndarray, "n"]) -> float:
    """Return a robust scale of MR tissue: the mean intensity above the air, in the input's own units.

    Air is what lies under a tenth of the 98th percentile. Scaling the input scales the result alike, whence the
    invariance of :func:`normalise`.
    """
    if values.size == 0:
        return 1.0
    high = float(np.percentile(values, 98.0))
    tissue = values[values > 0.1 * high]
    scale = float(np.mean(np.minimum(tissue, high))) if tissue.size else 0.0
    return scale if scale > 0.0 else 1.0
