"""Finished fits that are kept with the project: whoever doubts a score asks the same networks again, and fits nothing.

A fit is kept as its checkpoint, convolutions in half precision; loading it makes full precision of them. Only what
several tables or seeds share is kept: both stages of EnTrust, the ensembles' members, and the U-Net with Dice loss.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import torch

from training.baselines.rival import RIVALS
from training.benchmark.plan import BASE_SUFFIX, ENTRUST, Budget, Piece, base_of
from training.fit import CHECKPOINT, save_state
from training.piece import DONE

SHARED = (ENTRUST, base_of(ENTRUST), RIVALS["ensemble"].fitted_as, "unet-dicece")


def keep(piece: Piece, budget: Budget, folder: Path, shelf: Path) -> None:
    """Keep a finished fit.

    Args:
        piece: The fit.
        budget: Of the fit.
        folder: See :func:`training.benchmark.fits.fit_piece`.
        shelf: Where fits are kept, ``<budget>/<domain>/<method>-<seed>.pt``.
    """
    state = torch.load(folder / budget.name / piece.name / CHECKPOINT, map_location="cpu", weights_only=True)
    state["mean"] = {name: value.half() if value.ndim == 4 else value for name, value in state["mean"].items()}
    path = shelf / budget.name / f"{piece.name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_state(path, state)


def take(domains: Iterable[str], budget: Budget, folder: Path, shelf: Path) -> None:
    """Put kept fits of some domains where they would lie had they been fitted here; what was fitted here stays."""
    for path in (path for domain in domains for path in (shelf / budget.name / domain).glob("*.pt")):
        home = folder / budget.name / path.parent.name / path.stem
        if not (home / CHECKPOINT).exists():
            home.mkdir(parents=True, exist_ok=True)
            partial = home / "kept.part"
            partial.write_bytes(path.read_bytes())
            os.replace(partial, home / CHECKPOINT)
            if not path.stem.rpartition("-")[0].endswith(BASE_SUFFIX):
                (home / DONE).touch()
