"""The observable: everything that can be seen of a case, and the exact truth that follows from it.

A scene holds no state and no label. Images are rendered from the scene alone, labels are drawn from its
:class:`~training.datasets.phantoms.world.truth.Truth` alone, so given the scene they are independent: the images cannot
tell more about the label than the scene does, and p(y | scene) is what a perfect reader of the images would say.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from training.datasets.phantoms.world.domain import Anatomy, Domain, Finding, Lesion
from training.datasets.phantoms.world.space import Space, occupancy
from training.datasets.phantoms.world.truth import Blob, Truth, exclusive, independent, joint_table, stamp

RIM_MM = 2.5
"""Thickness of the shell of a hollow finding."""


@dataclass(frozen=True, eq=False)
class Patch:
    """One finding in its place.

    Attributes:
        finding: What it is.
        cue: Which of the cue's levels it shows.
        group: Number of the group of conflicts it belongs to; -1 for a hard negative.
        distance_mm: Signed distance to its surface.
        share: Visible share of each voxel, before the modality's visibility.
        mottle: The texture that it shows where its cue is the texture.
    """

    finding: Finding
    cue: int
    group: int
    distance_mm: Float[np.ndarray, "d h w"]
    share: Float[np.ndarray, "d h w"]
    mottle: Float[np.ndarray, "d h w"]

    @property
    def mask(self) -> Bool[np.ndarray, "d h w"]:
        """The voxels inside."""
        return self.distance_mm < 0

    @property
    def cue_share(self) -> Float[np.ndarray, "d h w"]:
        """The visible share with its cue: how the modality that sees the finding shows it."""
        cue = self.finding.cue
        if cue is None or cue.name == "shape":
            return self.share
        value = cue.levels[self.cue][0]
        if cue.name == "contrast":
            return self.share * value
        if cue.name == "texture":
            return self.share * np.clip(1 + value * np.tanh(1.5 * self.mottle), 0, 2)
        return self.share * (1 - value * occupancy(self.distance_mm + RIM_MM, 2.0))

    def shown(self, modality: str) -> Float[np.ndarray, "d h w"]:
        """Return how far each voxel looks like the finding's tissue in one modality."""
        if self.finding.kind == "noise":
            return 0.0 * self.share
        seeing = self.finding.pair is None or modality == self.finding.pair[0]
        return self.finding.visibility.get(modality, 0.0) * (self.cue_share if seeing else self.share)


@dataclass(frozen=True, eq=False)
class Scene:
    """A case before any scanner or reader.

    Attributes:
        space: Its lattice.
        anatomy: The healthy body part.
        lesion: The undisputed lesion.
        sensitivity: Visibility of the undisputed lesion by modality.
        patches: Findings; the conflicts first, in the order of the truth's blobs.
        truth: Distribution of the label.
    """

    space: Space
    anatomy: Anatomy
    lesion: Lesion
    sensitivity: tuple[float, ...]
    patches: tuple[Patch, ...]
    truth: Truth

    @property
    def conflicts(self) -> tuple[Patch, ...]:
        """The disputed patches, as the truth's blobs are ordered."""
        return tuple(p for p in self.patches if p.group >= 0)


def compose(domain: Domain, space: Space, rng: np.random.Generator, *, groups: int, unseen: str) -> Scene:
    """Draw a scene.

    Args:
        domain: The clinical question.
        space: The lattice.
        rng: Source of randomness.
        groups: Groups of conflicts aimed at; fewer where there is no room.
        unseen: ``conflict``: the first group is of the type that training lacks; ``anatomy``: the body is unlike any in
            training; empty otherwise.
    """
    anatomy = domain.anatomy(rng, space, unseen == "anatomy")
    lesion = domain.lesion(rng, space, anatomy)
    sensitivity = tuple(float(rng.uniform(*c.sensitivity)) for c in domain.channels)
    spread = np.array([0.6 + 0.3 * s for s in lesion.softness_mm])[:, None, None, None]
    # Nested: nobody counts a voxel into an inner structure who does not count it into the outer ones.
    thresholds = np.maximum.accumulate(lesion.distances_mm / spread, axis=0)
    layout = _Layout(domain, space, rng, anatomy, thresholds)

    order = [domain.conflicts[i] for i in rng.permutation(len(domain.conflicts))]
    if unseen == "conflict":
        order.insert(0, domain.unseen)
    tables: list[Float[np.ndarray, "states"]] = []
    for finding in order:
        if len(tables) == groups:
            break
        placed = layout.place(finding, group=len(tables))
        if placed:
            judged = [finding.judgements[p.cue][1] for p in placed]
            tables.append(exclusive(judged) if finding.count > 1 else independent(judged[0]))
    for finding in domain.negatives:
        if rng.random() < finding.prevalence:
            layout.place(finding, group=-1)

    for patch in layout.patches:
        if patch.group < 0 and patch.finding.levels[0] != patch.finding.levels[1]:
            thresholds = stamp(thresholds, patch.distance_mm / patch.finding.spread_mm, patch.finding.levels[1])
    blobs = tuple(
        Blob(p.distance_mm / p.finding.spread_mm, p.finding.levels[0], p.finding.levels[1])
        for p in layout.patches
        if p.group >= 0
    )
    truth = Truth(thresholds, blobs, joint_table(tables))
    return Scene(space, anatomy, lesion, sensitivity, tuple(layout.patches), truth)


class _Layout:
    """Finds places for findings, so that no two of them touch."""

    def __init__(
        self,
        domain: Domain,
        space: Space,
        rng: np.random.Generator,
        anatomy: Anatomy,
        thresholds: Float[np.ndarray, "r d h w"],
    ) -> None:
        self.domain, self.space, self.rng, self.anatomy = domain, space, rng, anatomy
        self.thresholds = thresholds
        self.patches: list[Patch] = []
        self._surface: dict[int, np.ndarray] = {}

    def place(self, finding: Finding, group: int) -> list[Patch]:
        """Place all blobs of a finding, or none; return them."""
        placed: list[Patch] = []
        for _ in range(finding.count):
            patch = self._place_one(finding, group, placed)
            if patch is None:
                return []
            placed.append(patch)
        self.patches.extend(placed)
        return placed

    def _distance(self, level: int) -> np.ndarray:
        """Return the signed distance in mm to a structure's middle surface."""
        if level not in self._surface:
            self._surface[level] = self.space.distance_mm(self.thresholds[level - 1] < 0)
        return self._surface[level]

    def _place_one(self, finding: Finding, group: int, siblings: list[Patch]) -> Patch | None:
        rng, space = self.rng, self.space
        radius = float(rng.uniform(*finding.radius_mm))
        zone = self.anatomy.zones[finding.zone]
        reach = self._distance(finding.level) / radius
        room = (reach > finding.reach[0]) & (reach < finding.reach[1]) & (zone < 0)
        for other in (*self.patches, *siblings):
            room &= other.distance_mm > 1.5 * radius + 4.0
        extent = 0.35 * space.shape[0] * space.spacing_mm[0]
        room &= np.abs(space.coordinates[0]) <= extent
        centre = space.pick(rng, room)
        if centre is None:
            return None

        level = int(rng.integers(len(finding.judgements)))
        ratio = float(rng.uniform(*finding.elongation))
        if finding.cue is not None and finding.cue.name == "shape":
            ratio = finding.cue.levels[level][0]
        through = max(radius, 1.25 * space.spacing_mm[0]) * rng.uniform(1.0, 1.4)
        radii = (through, radius * np.sqrt(ratio), radius / np.sqrt(ratio))
        ball = space.ellipsoid_mm(centre, radii, rng.uniform(0, np.pi)) + 0.10 * radius * space.field(rng, 8)
        distance = np.maximum(ball, zone)
        if not (distance < -0.5).any():
            return None
        share = occupancy(distance, 2.5)
        mottle = space.field(rng, (space.spacing_mm[0], 4.5, 4.5))
        return Patch(finding, level, group, distance, share, mottle)


def kind_map(scene: Scene, domain: Domain) -> UInt8[np.ndarray, "d h w"]:
    """Return 1 + the number of the finding, in the order of ``domain.findings``, in each patch; 0 elsewhere."""
    kinds = np.zeros(scene.space.shape, dtype=np.uint8)
    for patch in scene.patches:
        kinds[patch.mask] = 1 + domain.findings.index(patch.finding)
    return kinds
