"""Patients small enough to be fitted on in a second, and the numbers of such a fit."""

import numpy as np

from entrust.contract import ONCOLOGY
from training.config import AugmentConfig, FitConfig
from training.datasets.case import TrainingCase

TINY = FitConfig(
    iterations=2, batch=2, checkpoint_every=1, num_phantoms=1, phantom_share=0.0, augment=AugmentConfig(size=32)
)


def patient(name: str, seed: int) -> TrainingCase:
    """Return a patient whose tumour, 2 × 14 × 14 voxels, every modality shows."""
    rng = np.random.default_rng(seed)
    shape = (3, 6, 40, 40)
    label = np.zeros(shape[1:], np.uint8)
    label[2:4, 12:26, 14:28] = 1
    images = (rng.normal(0.0, 0.1, shape) + label).astype(np.float32)
    return TrainingCase(name, images, np.ones(shape, bool), label, ONCOLOGY.spacing_mm)
