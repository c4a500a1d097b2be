"""Typed configurations of the training runs; every number that shapes a result is here."""

from dataclasses import dataclass, field, replace

from entrust.networks.enfuse import EnFuseConfig
from entrust.networks.segdiff import SegDiffConfig


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of a training slice.

    Attributes:
        size: Height and width of a training crop in pixels.
        tumour_share: Share of the samples centred near a labelled voxel's slice.
        rotation_degrees: Largest rotation to either side.
        zoom: Smallest and largest zoom.
        all_modalities: Probability that every modality is kept; else a uniform draw over the other subsets.
        truncate: Probability that a modality's field of view is cut.
        edit: Probability that one modality is edited to contradict the others.
        conflict_share: Share of the samples of a case with a known conflict that are drawn around it.
    """

    size: int = 96
    tumour_share: float = 0.7
    rotation_degrees: float = 45.0
    zoom: tuple[float, float] = (0.75, 1.4)
    all_modalities: float = 0.55
    truncate: float = 0.3
    edit: float = 0.3
    conflict_share: float = 0.0


@dataclass(frozen=True)
class LossWeights:
    """Weights of EnFuse's auxiliary losses; those marked * grow linearly from 0 over the warm-up."""

    unimodal: float = 0.4
    cross_covariance: float = 0.05  # *
    alignment: float = 0.1  # *
    domain: float = 0.02
    reconstruction: float = 0.1
    conflict: float = 0.3  # *


def conflict_stage(config: "FitConfig") -> "FitConfig":
    """Return the short second stage in which EnTrust learns to say where modalities contradict each other.

    More phantoms, all with a known conflict, and more of their slices that show it; the conflict loss counts more, and
    the pull of the shared codes towards each other, which hides disagreement, counts less.
    """
    return replace(
        config,
        iterations=600,
        learning_rate=2e-3,
        phantom_share=0.45,
        num_phantoms=96,
        phantom_conflict=True,
        warm_up=0.0,
        seed=config.seed + 7,
        augment=replace(config.augment, conflict_share=0.6),
        losses=replace(config.losses, conflict=1.0, alignment=0.02, unimodal=0.6),
    )


@dataclass(frozen=True)
class FitConfig:
    """One training run.

    Attributes:
        task: Task name.
        iterations: Optimiser steps.
        batch: Slices a step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: AdamW's.
        warm_up: Share of the iterations in which starred losses grow.
        ema: Final decay of the weights' running mean.
        terminal_share: Share of the batch at t = 1, where the answer is the pixelwise marginal.
        self_conditioning: Probability that the denoiser sees its own first answer.
        phantom_share: Share of the samples drawn from phantoms.
        num_phantoms: Phantoms in the training set.
        phantom_conflict: Whether PET and MR disagree somewhere in each of them; drawn by chance when ``None``.
        mask_edits: Whether the segmentation is not judged where an edit changed what is seen.
        seed: Seed of initialisation, order and augmentation.
        checkpoint_every: Iterations between checkpoints.
    """

    task: str = "oncology"
    iterations: int = 1000
    batch: int = 12
    learning_rate: float = 3e-3
    weight_decay: float = 3e-2
    warm_up: float = 0.2
    ema: float = 0.997
    terminal_share: float = 0.4
    self_conditioning: float = 0.5
    phantom_share: float = 0.15
    num_phantoms: int = 16
    phantom_conflict: bool | None = None
    mask_edits: bool = False
    seed: int = 0
    checkpoint_every: int = 200
    enfuse: EnFuseConfig = field(default_factory=EnFuseConfig)
    denoiser: SegDiffConfig = field(default_factory=SegDiffConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    losses: LossWeights = field(default_factory=LossWeights)
