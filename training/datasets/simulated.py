"""Limb phantoms as training cases."""

from entrust.contract import ONCOLOGY
from training.datasets.case import TrainingCase, normalised_case
from training.datasets.phantoms.limb import LimbPhantom, make_phantom

TRAINING_SEEDS = range(1000, 2000)
CALIBRATION_SEEDS = range(2000, 3000)
LOCALISATION_SEEDS = range(9100, 9124)


def load_phantom(seed: int, *, conflict: bool | None = None) -> TrainingCase:
    """Draw a phantom and normalise it as the gateway would.

    Args:
        seed: Decides everything.
        conflict: Whether PET and MR disagree somewhere; drawn when not given.
    """
    return simulated_case(make_phantom(seed, conflict=conflict))


def simulated_case(phantom: LimbPhantom) -> TrainingCase:
    """Normalise a phantom as the gateway would."""
    arrays = {"ct": phantom.ct, "pet": phantom.pet, "t1": phantom.t1}
    name, views = f"phantom-{phantom.seed}", {"t1": phantom.mr_presence}
    return normalised_case(ONCOLOGY, name, arrays, views, phantom.gtv, phantom.conflict)
