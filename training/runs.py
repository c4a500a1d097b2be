"""The runs of the oncology benchmark by name: five folds and the release, each with its split and its folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from entrust.contract import ONCOLOGY, Task
from training.augment import BatchSource
from training.baselines.rival import RIVALS, Rival
from training.config import FitConfig, conflict_stage
from training.datasets.case import TrainingCase
from training.datasets.oncology import DEMONSTRATION, find_root, list_patients, load_patient
from training.datasets.simulated import TRAINING_SEEDS, load_phantom
from training.entrust_model import EnTrustNetworks, SegDiffLoss
from training.fit import LossFunction, Progress, fit
from training.splits import NUM_FOLDS, Split, cross_validation, release

RELEASE = "release"
RUN_NAMES = (RELEASE, *(f"fold{i}" for i in range(NUM_FOLDS)))
STAGES = ("entrust", "entrust+conflict")
"""EnTrust's, in order; the first has as many iterations as a rival."""
COMPARED = ("unet-ce", "unet-dicece", "ensemble")
"""Rivals of the cross-validation."""


@dataclass(frozen=True)
class Run:
    """One split of the patients, the seed of its fits, and where its files lie.

    Attributes:
        name: ``release`` or ``fold0`` … ``fold4``.
        root: Holds all runs, ``seed<seed>/<task>/<name>``.
        config: Numbers of the fit.
        source: The patients: a folder or an archive of them; the folder beside the project when not given.
    """

    name: str
    root: Path
    config: FitConfig
    source: Path | None = None

    @property
    def folder(self) -> Path:
        """Checkpoints and intermediate results of this run."""
        return self.root / f"seed{self.config.seed}" / self.config.task / self.name

    @property
    def task(self) -> Task:
        """The task."""
        return ONCOLOGY

    @property
    def split(self) -> Split:
        """Patients of this run."""
        patients = list_patients(self.source or find_root())
        if self.name == RELEASE:
            return release(patients, DEMONSTRATION)
        return cross_validation(patients, int(self.name.removeprefix("fold")))

    def patients(self, names: tuple[str, ...]) -> list[TrainingCase]:
        """Read patients."""
        root = self.source or find_root()
        return [load_patient(root, name) for name in names]

    def fit(self, model: str, progress: Progress | None = None) -> nn.Module:
        """Fit a model on the training patients and phantoms, or resume, or just load.

        Args:
            model: One of :data:`STAGES`, the second of which goes on from the first, or a rival that has a fit of its
                own.
            progress: Hears the losses.

        Returns:
            The fitted module in evaluation mode.
        """
        torch.manual_seed(self.config.seed)
        if model in RIVALS:
            rival = RIVALS[model]
            module = rival.build(self.task.num_modalities, self.task.num_classes, len(self.task.context_offsets))
            return self._fit(model, module, rival.loss, self.config, progress)
        if model == STAGES[0]:
            networks = EnTrustNetworks(self.config)
            return self._fit(model, networks, SegDiffLoss(self.config, self.task.schedule), self.config, progress)
        base, config = self.fit(STAGES[0], progress), conflict_stage(self.config)
        return self._fit(model, base, SegDiffLoss(config, self.task.schedule), config, progress)

    def fit_rival(self, rival: Rival, progress: Progress | None = None) -> list[nn.Module]:
        """Return a rival's fitted modules, each from a seed of its own; seeds share members."""
        seeds = range(self.config.seed, self.config.seed + rival.num_modules)
        runs = [replace(self, config=replace(self.config, seed=seed)) for seed in seeds]
        return [run.fit(rival.fitted_as, progress) for run in runs]

    def _fit(
        self, model: str, module: nn.Module, loss: LossFunction, config: FitConfig, progress: Progress | None
    ) -> nn.Module:
        def make_source() -> BatchSource:
            return BatchSource(
                self.patients(self.split.train),
                [
                    load_phantom(seed, conflict=config.phantom_conflict)
                    for seed in TRAINING_SEEDS[: config.num_phantoms]
                ],
                phantom_share=config.phantom_share,
                offsets=self.task.context_offsets,
                config=config.augment,
                batch=config.batch,
                seed=config.seed,
            )

        return fit(module, loss, make_source, config, self.folder / model, progress)
