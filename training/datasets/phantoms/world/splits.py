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
        shift_mm: Displacement of one modality; all others stay within half a millimetre.
        readable: Whether the images still show the scene. Where a modality is missing or misnamed, the exact
            probability given the whole scene is not that given these images: score labels there, not p*.
    """

    name: str
    cases: int
    draws: int = 1
    groups: tuple[float, ...] = (0.60, 0.12, 0.16, 0.12)
    unseen: str = ""
    artefact: str = ""
    noise: float = 1.0
    bias: float = 1.0
    shift_mm: float = 0.0
    readable: bool = True


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
        Split("shift-missing", 100, 16, HARD, artefact="missing-modality", readable=False),
        Split("shift-swapped", 100, 16, HARD, artefact="swapped-series", readable=False),
        Split("shift-conflict", 100, 16, (0.0, 0.25, 0.40, 0.35), unseen="conflict"),
        Split("shift-anatomy", 100, 16, HARD, unseen="anatomy"),
    )
}


REAL = Split("real-anatomy", 100, 16, HARD)
"""Needs data beside the project, so it is not frozen."""


def get_split(name: str) -> Split:
    """Return a split by name.

    Raises:
        NotFoundError: No such split.
    """
    try:
        return SPLITS[name]
    except KeyError:
        raise NotFoundError(f"There is no split {name!r}.", fix=f"One of {', '.join(SPLITS)}.") from None
