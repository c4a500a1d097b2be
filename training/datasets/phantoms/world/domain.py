"""The words in which a domain is declared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from entrust.contract import Modality
from entrust.errors import InvalidInputError
from training.datasets.phantoms.world.physics import Signal, Tissue
from training.datasets.phantoms.world.space import Space

Kind = Literal["conflict", "complementary", "low-contrast", "noise"]
"""A conflict, or one of the hard negatives: certain though only one modality shows it, uncertain though all modalities
agree, and a patch of noise in one modality."""

CueName = Literal["contrast", "texture", "rim", "shape"]


@dataclass(frozen=True)
class Cue:
    """What an attentive reader looks at to judge a finding, and how they judge it.

    Attributes:
        name: ``contrast`` scales the seeing modality's contrast, ``texture`` is the depth of its mottling, ``rim`` the
            hollowness, ``shape`` the elongation.
        levels: (value of the cue, probability of "lesion"); for exclusive blobs the second is a weight.
    """

    name: CueName
    levels: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Finding:
    """Something in the image beside the undisputed lesion.

    Attributes:
        name: Unique within the domain.
        kind: Conflict or hard negative.
        tissue: Whose signal is shown where it is visible.
        visibility: By modality, 0 (looks like healthy tissue) … 1 (looks like ``tissue``).
        levels: Label inside when off and when on.
        zone: Zone of the anatomy that it keeps to.
        level: Structure whose surface ``reach`` is measured from.
        reach: Distance of its centre from that surface, in its radii; negative inside.
        radius_mm: Smallest and largest radius.
        cue: What decides the readers' judgement; ``None``: the label is certain, ``levels[1]``.
        pair: (the modality that sees a lesion, the one that denies it).
        count: Blobs; of two or more exactly one is lesion.
        elongation: Ratio of the in-plane axes where the cue is not the shape.
        spread_mm: How far readers differ about its surface, to either side.
        prevalence: Probability in a case, for hard negatives.
    """

    name: str
    kind: Kind
    tissue: str
    visibility: Mapping[str, float]
    levels: tuple[int, int]
    zone: str
    level: int
    reach: tuple[float, float]
    radius_mm: tuple[float, float]
    cue: Cue | None = None
    pair: tuple[str, str] | None = None
    count: int = 1
    elongation: tuple[float, float] = (1.0, 1.5)
    spread_mm: float = 1.0
    prevalence: float = 0.3

    def __post_init__(self) -> None:
        if self.kind == "conflict" and (self.cue is None or self.pair is None or self.levels[0] == self.levels[1]):
            raise InvalidInputError(f"The conflict {self.name!r} needs a cue, a pair and two labels.")
        if self.kind != "conflict" and self.cue is not None:
            raise InvalidInputError(f"The label of {self.name!r} is certain: it can have no cue.")

    @property
    def contradictions(self) -> tuple[tuple[str, str], ...]:
        """``pair``, and the modality that sees a lesion with each other one that denies it as fully; none without."""
        if self.pair is None:
            return ()
        sees, denies = self.pair
        alike = self.visibility.get(denies, 0.0)
        return tuple((sees, m) for m, seen in self.visibility.items() if m != sees and seen == alike)

    @property
    def judgements(self) -> tuple[tuple[float, float], ...]:
        """Levels of the cue with their probabilities; one, of probability 1, where the label is certain."""
        return self.cue.levels if self.cue else ((1.0, 1.0),)


@dataclass(frozen=True)
class Channel:
    """A modality and its scanner.

    Attributes:
        role: Slug, title, DICOM modality and units.
        signal: Tissue → signal.
        fwhm_mm: Point spread in-plane.
        noise: Smallest and largest standard deviation of the noise, in signal units.
        texture: Natural variation of tissue, relative.
        bias: Largest strength of the coil's shading, relative; 0 for CT and PET.
        sensitivity: Smallest and largest visibility of the undisputed lesion: how blind this modality can be.
        quantum: Step of the stored intensities.
    """

    role: Modality
    signal: Signal
    fwhm_mm: float
    noise: tuple[float, float]
    texture: float = 0.04
    bias: float = 0.15
    sensitivity: tuple[float, float] = (0.7, 1.0)
    quantum: float = 1.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A healthy body part.

    Attributes:
        tissues: Index into ``names`` of every voxel.
        names: Tissues of the domain that occur.
        zones: Signed distances in mm, negative inside, of the places that lesions keep to.
    """

    tissues: UInt8[np.ndarray, "d h w"]
    names: tuple[str, ...]
    zones: Mapping[str, Float[np.ndarray, "d h w"]]


@dataclass(frozen=True, eq=False)
class Lesion:
    """The undisputed lesion.

    Attributes:
        distances_mm: Signed distances of the nested structures, outermost first, negative inside.
        softness_mm: Thickness of each structure's surface in the images.
    """

    distances_mm: Float[np.ndarray, "r d h w"]
    softness_mm: tuple[float, ...]


AnatomyMaker = Callable[[np.random.Generator, Space, bool], Anatomy]
"""(random numbers, lattice, whether it shall be unlike every training case) → a healthy body part."""
LesionMaker = Callable[[np.random.Generator, Space, Anatomy], Lesion]


@dataclass(frozen=True)
class Domain:
    """A simulated clinical question.

    Attributes:
        name: In file names and on the command line.
        title: Words for people.
        channels: Modalities in tensor order.
        structures: Nested structures, outermost first; label r holds structures 1 … r.
        painted: Tissue shown inside each structure, ``None`` where the anatomy already shows it.
        tissues: By name.
        anatomy: Draws a healthy body part.
        lesion: Draws the undisputed lesion.
        lesion_level: First structure that is a lesion (the myocardium is not).
        conflicts: What modalities disagree about, in training and everywhere else.
        unseen: A conflict of a type and a modality pair that no training case shows.
        negatives: What must not be taken for a conflict.
        shape: Voxels (depth, row, column).
        spacing_mm: Voxel size (depth, row, column).
    """

    name: str
    title: str
    channels: tuple[Channel, ...]
    structures: tuple[str, ...]
    painted: tuple[str | None, ...]
    tissues: Mapping[str, Tissue]
    anatomy: AnatomyMaker
    lesion: LesionMaker
    conflicts: tuple[Finding, ...]
    unseen: Finding
    negatives: tuple[Finding, ...]
    lesion_level: int = 1
    shape: tuple[int, int, int] = (5, 96, 96)
    spacing_mm: tuple[float, float, float] = (4.0, 2.0, 2.0)
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", (*self.conflicts, self.unseen, *self.negatives))

    @property
    def slugs(self) -> tuple[str, ...]:
        """Modality slugs in tensor order."""
        return tuple(c.role.slug for c in self.channels)
