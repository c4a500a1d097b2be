"""What the benchmark fits: one budget for every method, and the list of fits that a table needs."""

from dataclasses import dataclass, field, replace
from functools import partial

from entrust.networks.enfuse import EnFuseConfig
from entrust.networks.segdiff import SegDiffConfig
from entrust.noise import NoiseModel
from entrust.schedule import Schedule
from training.baselines.rival import RIVALS
from training.baselines.unet import WIDTHS
from training.benchmark.ablations import ABLATIONS
from training.config import FitConfig
from training.datasets.phantoms.world.case import get_domain
from training.fit_head import HeadFit

OFFSETS = (-1, 0, 1)
"""Context slices of every method."""

ABLATED = ("lesion",)
"""Domains in which EnTrust's ideas are taken away one by one."""

SEEDS = (0, 1, 2)
"""Training seeds. The members of seed s's ensemble are fitted with seeds s … s + 4: seeds share members."""

NOISE = NoiseModel(smooth_share=0.5)
FEW_STEP_NOISE = NoiseModel(smooth_share=1.0)
SCHEDULE = Schedule(input_scale=0.1)


@dataclass(frozen=True)
class Budget:
    """What every method may spend.

    Attributes:
        name: Of the folder.
        iterations: Optimiser steps.
        batch: Slices a step.
        planes: Batches of whole planes that the statistics of normalisation are measured on in the end.
        cases: Training cases: the published split, and how the generator goes on behind it.
        widths: U-Net widths of the rivals.
        trunk: EnFuse's.
        denoiser: SegDiff's.
        head: How calibration heads are fitted: by proper scores alone. The soft-binned calibration error of a batch of
            eight crops is mostly chance, and flattens probabilities to be rid of it.
    """

    name: str = "full"
    iterations: int = 2400
    batch: int = 16
    planes: int = 40
    cases: int = 6000
    widths: tuple[int, ...] = WIDTHS
    trunk: tuple[int, ...] = (16, 32, 48, 64)
    denoiser: tuple[int, ...] = (24, 40, 56)
    head: HeadFit = field(default_factory=partial(HeadFit, max_iterations=200, folds=2, ace_weight=0.0))


FULL = Budget()
QUICK = Budget(
    "quick",
    iterations=8,
    batch=4,
    planes=2,
    cases=6,
    widths=(8, 12),
    trunk=(8, 12, 16),
    denoiser=(8, 12),
    head=HeadFit(max_iterations=4, check_every=2, folds=2),
)
"""For tests: everything runs, nothing is learned."""
BUDGETS = {b.name: b for b in (FULL, QUICK)}


@dataclass(frozen=True)
class Piece:
    """One fit.

    Attributes:
        domain: Name of a domain.
        method: ``entrust``, one of its ablations, or a rival that is fitted.
        seed: Of initialisation, batches and noise.
    """

    domain: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Folder of the fit."""
        return f"{self.domain}/{self.method}-{self.seed}"


ENTRUST = "entrust"
BASE_SUFFIX = "-base"
"""Of the first stage of EnTrust and of its ablations: the diffusion model."""


def base_of(method: str) -> str:
    """Return the name of a method's first stage."""
    return method + BASE_SUFFIX


def hypotheses_stage(config: FitConfig) -> FitConfig:
    """Return the second stage: the denoiser alone learns to draw whole hypotheses in two steps."""
    return replace(
        config,
        iterations=config.iterations * 5 // 8,
        learning_rate=2e-3,
        seed=config.seed + 101,
    )


def rival_fits(name: str, seed: int) -> list[tuple[str, int]]:
    """Return (rival that is fitted, seed) of all modules that a rival needs."""
    rival = RIVALS[name]
    return [(rival.fitted_as, seed + i) for i in range(rival.num_modules)]


def pieces(domains: tuple[str, ...], seeds: tuple[int, ...] = SEEDS) -> list[Piece]:
    """Return every fit of the tables once, in the order in which they fill: seed, domain, method; ablations last."""
    ablated = [Piece(d, m, s) for s in seeds for d in domains if d in ABLATED for m in ABLATIONS]
    listed = [
        Piece(domain, method, fit)
        for seed in seeds
        for domain in domains
        for method, fit in [(ENTRUST, seed), *(pair for name in RIVALS for pair in rival_fits(name, seed))]
    ]
    return list(dict.fromkeys(listed + ablated))


def fit_config(piece: Piece, budget: Budget) -> FitConfig:
    """Return the numbers of a fit."""
    domain = get_domain(piece.domain)
    m, c = len(domain.channels), len(domain.structures) + 1
    return FitConfig(
        task=piece.domain,
        iterations=budget.iterations,
        batch=budget.batch,
        seed=piece.seed,
        phantom_share=0.0,
        mask_edits=True,
        enfuse=EnFuseConfig(m, c, len(OFFSETS), trunk=budget.trunk),
        denoiser=SegDiffConfig(c, widths=budget.denoiser),
        checkpoint_every=250,
    )
