"""Fit one piece of the benchmark, or go on where it stopped, or load it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from training.baselines.rival import rivals
from training.benchmark.batches import Changes, PairSource
from training.benchmark.plan import (
    BASE,
    ENTRUST,
    FEW_STEP_NOISE,
    NOISE,
    OFFSETS,
    SCHEDULE,
    Budget,
    Piece,
    fit_config,
    hypotheses_stage,
)
from training.benchmark.store import stored
from training.datasets.phantoms.world.case import get_domain
from training.datasets.phantoms.world.splits import TRAIN
from training.entrust_model import EnTrustNetworks, SegDiffLoss
from training.fit import LossFunction, Progress, fit
from training.hypotheses_loss import HypothesesLoss

DONE = "done"
"""Marks the folder of a finished fit."""


def finished(piece: Piece, budget: Budget, folder: Path) -> bool:
    """Return whether a piece need not be fitted any more."""
    return (folder / budget.name / piece.name / DONE).exists()


def fit_piece(piece: Piece, budget: Budget, folder: Path, progress: Progress | None = None) -> nn.Module:
    """Return the fitted module of a piece in evaluation mode.

    Args:
        piece: What to fit.
        budget: What it may spend.
        folder: Holds the training cases of the domains, and a folder for each budget.
        progress: Hears the losses.
    """
    config = fit_config(piece, budget)
    domain = get_domain(piece.domain)
    torch.manual_seed(piece.seed)
    module: nn.Module
    loss: LossFunction
    listed, changes = rivals(budget.widths), Changes()
    if piece.method in listed:
        rival = listed[piece.method]
        module = rival.build(len(domain.channels), len(domain.structures) + 1, len(OFFSETS))
        loss = rival.loss
        changes = replace(
            changes, edit=0.0
        )  # an edit teaches where modalities contradict each other, which no rival asks
    elif piece.method == ENTRUST:
        module = fit_piece(replace(piece, method=BASE), budget, folder, progress).train()
        config = hypotheses_stage(config)
        loss = HypothesesLoss(config.denoiser.num_classes, SCHEDULE, FEW_STEP_NOISE)
        changes = replace(changes, edit=0.0)
    else:
        module = EnTrustNetworks(config)
        loss = SegDiffLoss(config, SCHEDULE, NOISE)

    def source() -> PairSource:
        cases = stored(folder / "cases", piece.domain, TRAIN, budget.cases)
        return PairSource(cases, offsets=OFFSETS, changes=changes, batch=budget.batch, seed=piece.seed)

    return fit(module, loss, source, config, folder / budget.name / piece.name, progress)
