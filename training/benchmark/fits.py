"""Fit one piece of the benchmark, or go on where it stopped, or load it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from training.baselines.rival import rivals
from training.benchmark.ablations import ABLATIONS, Ablation
from training.benchmark.batches import Changes, PairSource
from training.benchmark.plan import (
    BASE_SUFFIX,
    ENTRUST,
    FEW_STEP_NOISE,
    NOISE,
    OFFSETS,
    SCHEDULE,
    Budget,
    Piece,
    base_of,
    fit_config,
    hypotheses_stage,
)
from training.benchmark.store import stored
from training.datasets.phantoms.world.case import get_domain
from training.datasets.phantoms.world.splits import TRAIN
from training.entrust_model import EnTrustNetworks, SegDiffLoss
from training.fit import LossFunction, Progress, fit
from training.hypotheses_loss import HypothesesLoss
from training.piece import DONE
from training.statistics import measure_statistics


def finished(piece: Piece, budget: Budget, folder: Path) -> bool:
    """Return whether a piece need not be fitted any more; a first stage is when what goes on from it is."""
    whole = replace(piece, method=piece.method.removesuffix(BASE_SUFFIX))
    return (folder / budget.name / whole.name / DONE).exists()


def fit_piece(piece: Piece, budget: Budget, folder: Path, progress: Progress | None = None) -> nn.Module:
    """Return the fitted module of a piece in evaluation mode.

    Args:
        piece: What to fit.
        budget: What it may spend.
        folder: Holds the training cases of the domains, and a folder for each budget.
        progress: Hears the losses.
    """
    ablation = ABLATIONS.get(piece.method.removesuffix(BASE_SUFFIX), Ablation("nothing is taken away"))
    config = ablation.config(fit_config(piece, budget))
    domain = get_domain(piece.domain)
    torch.manual_seed(piece.seed)
    module: nn.Module
    loss: LossFunction
    listed, changes, learns = rivals(budget.widths), Changes(edit=0.0), ""
    if piece.method in listed:
        rival = listed[piece.method]
        module = rival.build(len(domain.channels), len(domain.structures) + 1, len(OFFSETS))
        loss = rival.loss
    elif piece.method in (ENTRUST, *ABLATIONS):
        module = fit_piece(replace(piece, method=base_of(piece.method)), budget, folder, progress).train()
        config, learns = hypotheses_stage(config), "denoiser"
        loss = HypothesesLoss(config.denoiser.num_classes, SCHEDULE, FEW_STEP_NOISE)
    else:
        module = EnTrustNetworks(config)
        ablation.networks(module)
        loss = SegDiffLoss(config, SCHEDULE, NOISE)
        changes = Changes()  # edits teach EnFuse where modalities contradict each other; nobody else is asked

    def source(changes: Changes = changes) -> PairSource:
        cases = stored(folder / "cases", piece.domain, TRAIN, budget.cases)
        return PairSource(cases, offsets=OFFSETS, changes=changes, batch=budget.batch, seed=piece.seed)

    def finish(fitted: nn.Module) -> None:
        planes = source(Changes(whole=1.0, edit=0.0))
        measure_statistics(fitted.get_submodule(learns), fitted, loss, planes, budget.planes, piece.seed)

    return fit(module, loss, source, config, folder / budget.name / piece.name, progress, finish)
