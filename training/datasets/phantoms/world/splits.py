"""The splits: how many cases of what, by name. A case is (domain, split, index); nothing is stored."""

from dataclasses import dataclass

from entrust.errors import NotFoundError


@dataclass(frozen=True)
class Split:
    """A set of cases.

    Attributes:
        name: Part of every case's random key.
        cases: How many.
        draws: Label draws of each.
        groups: Probability of 0, 1, 2, 3 groups of conflicts.
        unseen: ``conflict`` or ``anatomy`` where these are unlike any in training.
        artefact: Name in :data:`~training.datasets.phantoms.world.artefacts.ARTEFACTS`.
        noise: Factor on the noise.
        bias: Factor on the shading.
        shift_mm: Largest displacement of a modality; within a pixel elsewhere.
    """

    name: str
    cases: int
    draws: int = 1
    groups: tuple[float, ...] = (0.60, 0.12, 0.16, 0.12)
    unseen: str = ""
    artefact: str = ""
    noise: float = 1.0
    bias: float = 1.0
    shift_mm: float = 1.0


HARD = (0.10, 0.15, 0.40, 0.35)
"""Groups of conflicts in the test sets: two or more in most cases, or sampling could not show its worth."""

TRAIN, CALIBRATION, TEST = Split("train", 1000), Split("calibration", 200), Split("test", 200, 16, HARD)

SPLITS = {
    s.name: s
    for s in (
        TRAIN,
        CALIBRATION,
        TEST,
        Split("shift-noise", 100, 16, HARD, noise=2.5),
        Split("shift-bias", 100, 16, HARD, bias=3.0),
        Split("shift-registration", 100, 16, HARD, shift_mm=6.0),
        Split("shift-ghosting", 100, 16, HARD, artefact="ghosting"),
        Split("shift-missing", 100, 16, HARD, artefact="missing-modality"),
        Split("shift-swapped", 100, 16, HARD, artefact="swapped-series"),
        Split("shift-conflict", 100, 16, (0.0, 0.25, 0.40, 0.35), unseen="conflict"),
        Split("shift-anatomy", 100, 16, HARD, unseen="anatomy"),
    )
}


def get_split(name: str) -> Split:
    """Return a split by name.

    Raises:
        NotFoundError: No such split.
    """
    try:
        return SPLITS[name]
    except KeyError:
        raise NotFoundError(f"There is no split {name!r}.", fix=f"One of {', '.join(SPLITS)}.") from None
