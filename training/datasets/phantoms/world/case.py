"""A case: images, one label to train on, and, for tests, everything that is true of it."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, UInt8

from entrust.errors import NotFoundError
from entrust.normalisation import normalise
from entrust.volume import Grid
from training.datasets.case import TrainingCase
from training.datasets.phantoms.world.artefacts import ARTEFACTS
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.domains.brain import BRAIN
from training.datasets.phantoms.world.domains.cardiac import CARDIAC
from training.datasets.phantoms.world.domains.lesion import LESION
from training.datasets.phantoms.world.domains.oncology import ONCOLOGY
from training.datasets.phantoms.world.render import ideal_signal, scan
from training.datasets.phantoms.world.scene import Scene, compose, kind_map
from training.datasets.phantoms.world.space import Space
from training.datasets.phantoms.world.splits import Split
from training.datasets.phantoms.world.streams import stream

DOMAINS = {d.name: d for d in (BRAIN, CARDIAC, LESION, ONCOLOGY)}


def get_domain(name: str) -> Domain:
    """Return a domain by name.

    Raises:
        NotFoundError: No such domain.
    """
    try:
        return DOMAINS[name]
    except KeyError:
        raise NotFoundError(f"There is no domain {name!r}.", fix=f"One of {', '.join(DOMAINS)}.") from None


@dataclass(frozen=True, eq=False)
class WorldCase:
    """One simulated patient.

    Attributes:
        domain: The clinical question.
        split: The split it belongs to.
        index: Its number in the split.
        images: Intensities in the scanners' units and steps, zero where absent.
        presence: Where each modality was acquired.
        scene: What can be seen, and with it the exact truth.
        labels: One label map per reader.
        states: The blobs' joint state in each reader's mind.
        shifts_mm: Displacement (row, column) of each modality.
    """

    domain: Domain
    split: Split
    index: int
    images: Float32[np.ndarray, "m d h w"]
    presence: Bool[np.ndarray, "m d h w"]
    scene: Scene
    labels: UInt8[np.ndarray, "j d h w"]
    states: Int[np.ndarray, "j"]
    shifts_mm: Float64[np.ndarray, "m 2"]

    @property
    def name(self) -> str:
        """Name that is the same on every machine."""
        return f"{self.domain.name}-{self.split.name}-{self.index:04d}"

    @property
    def grid(self) -> Grid:
        """The lattice in patient space: axial, around the origin."""
        space = self.scene.space
        z, y, x = (float(axis.min()) for axis in space.coordinates)
        return Grid.axial(space.shape, space.spacing_mm, (x, y, z))

    @property
    def label(self) -> UInt8[np.ndarray, "d h w"]:
        """The first reader's label map: the one to train on."""
        return np.asarray(self.labels[0])

    @property
    def probability(self) -> Float64[np.ndarray, "c d h w"]:
        """Exact p(y = c | what can be seen), background first."""
        return self.scene.truth.probability

    @property
    def table(self) -> Float64[np.ndarray, "states"]:
        """Exact joint table of the blobs; state = Σᵢ onᵢ · 2ⁱ."""
        return self.scene.truth.table

    @property
    def blobs(self) -> Bool[np.ndarray, "n d h w"]:
        """Mask of each disputed blob, in the order of the table's bits."""
        masks = [p.mask for p in self.scene.conflicts]
        return np.stack(masks) if masks else np.zeros((0, *self.scene.space.shape), dtype=bool)

    @property
    def conflict(self) -> Bool[np.ndarray, "d h w"]:
        """Where modalities disagree."""
        return np.asarray(self.blobs.any(axis=0))

    @property
    def contradictions(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The modalities responsible for each blob: (sees a lesion, denies it), several where two deny alike."""
        return tuple(p.finding.contradictions for p in self.scene.conflicts)

    @property
    def responsible(self) -> Bool[np.ndarray, "n p"]:
        """Which pairs of modalities are behind each blob, in the order of ``combinations``."""
        pairs = list(combinations(self.domain.slugs, 2))
        found = [[(a, b) in said or (b, a) in said for a, b in pairs] for said in self.contradictions]
        return np.array(found, dtype=bool).reshape(-1, len(pairs))

    def blob_fractions(self, labels: UInt8[np.ndarray, "k d h w"]) -> Float64[np.ndarray, "k n"]:
        """Return the fraction of each blob that each label map takes for lesion.

        What :func:`entrust.metrics.joint_state_distance` compares with :attr:`table`.
        """
        fractions = np.zeros((len(labels), len(self.blobs)))
        for i, patch in enumerate(self.scene.conflicts):
            fractions[:, i] = (labels[:, patch.mask] >= patch.finding.levels[1]).mean(axis=1)
        return fractions

    @property
    def kinds(self) -> UInt8[np.ndarray, "d h w"]:
        """1 + number of the finding in ``domain.findings`` at each voxel: conflicts and hard negatives."""
        return kind_map(self.scene, self.domain)

    def as_training_case(self) -> TrainingCase:
        """Return the case as the networks see it, normalised as the gateway would."""
        images = np.stack(
            [normalise(c.role, self.images[i], self.presence[i]) for i, c in enumerate(self.domain.channels)]
        )
        spacing = self.scene.space.spacing_mm
        return TrainingCase(self.name, images, self.presence, self.label, spacing, self.conflict)


def make_scene(domain: Domain, split: Split, index: int, depth: int | None = None) -> Scene:
    """Draw what can be seen of a case; see :func:`make_case`."""
    shape = (depth or domain.shape[0], *domain.shape[1:])
    rng = stream(domain.name, split.name, index, shape[0], "scene")
    groups = int(np.searchsorted(np.cumsum(split.groups), rng.random(), side="right"))
    space = Space(shape, domain.spacing_mm)
    return compose(domain, space, rng, groups=min(groups, len(split.groups) - 1), unseen=split.unseen)


def make_case(domain: Domain, split: Split, index: int, depth: int | None = None) -> WorldCase:
    """Draw a case; the same arguments give the same bits on any machine.

    Args:
        domain: One of :data:`DOMAINS`.
        split: One of :data:`~training.datasets.phantoms.world.splits.SPLITS`.
        index: 0 … ``split.cases`` - 1.
        depth: Slices; the domain's own number when not given. 1 makes it a 2-D case.
    """
    scene = make_scene(domain, split, index, depth)
    key = (domain.name, split.name, index, scene.space.shape[0])
    readers = list(scene.truth.draw(stream(*key, "readers"), split.draws))
    images, presence, shifts = _acquire(domain, split, scene, stream(*key, "scanners"))
    return WorldCase(
        domain=domain,
        split=split,
        index=index,
        images=images,
        presence=presence,
        scene=scene,
        labels=np.stack([label for _, label in readers]),
        states=np.array([state for state, _ in readers]),
        shifts_mm=shifts,
    )


def _acquire(
    domain: Domain, split: Split, scene: Scene, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "m d h w"], Bool[np.ndarray, "m d h w"], Float64[np.ndarray, "m 2"]]:
    """Let all scanners see the scene."""
    shifts = rng.uniform(-0.5, 0.5, (len(domain.channels), 2))
    angle, victim = rng.uniform(0, 2 * np.pi), int(rng.integers(len(shifts)))
    if split.shift_mm:  # one modality is badly registered
        shifts[victim] = split.shift_mm * np.array([np.sin(angle), np.cos(angle)])
    images = np.stack(
        [
            scan(ideal_signal(scene, domain, i), scene, c, rng, noise=split.noise, bias=split.bias, shift_mm=tuple(s))
            for i, (c, s) in enumerate(zip(domain.channels, shifts, strict=True))
        ]
    )
    presence = np.ones(images.shape, dtype=bool)
    if split.artefact:
        images, presence = ARTEFACTS[split.artefact](images, presence, rng)
        quanta = np.array([c.quantum for c in domain.channels])[:, None, None, None]
        images = np.rint(images / quanta) * quanta
    return images.astype(np.float32), presence, shifts
