"""Train everything on a machine with one GPU, no network, and torch, numpy, scipy and onnx alone.

``PYTHONPATH=out/training-pack.zip python -m training.gpu --minutes 9 --out OUT`` does as many pieces as fit into nine
minutes, and goes on when it is called again. OUT then holds weights and metrics of what this call finished.
``make train-gpu`` calls it.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from entrust.errors import NotFoundError
from training.baselines.rival import RIVALS
from training.benchmark import plan
from training.benchmark.ablations import ABLATIONS
from training.benchmark.fits import fit_piece
from training.config import FitConfig
from training.datasets.oncology import find_root
from training.datasets.phantoms.world.case import DOMAINS
from training.fit import Progress
from training.pack import DEFAULT_PACK
from training.piece import Piece, run_pieces
from training.runs import RELEASE, RUN_NAMES, STAGES, Run

log = logging.getLogger("training.gpu")


def losses_in(folder: Path) -> Progress:
    """Return what keeps the losses of a fit in its folder as it goes."""
    folder.mkdir(parents=True, exist_ok=True)

    def progress(iteration: int, losses: dict[str, float], seconds: float) -> None:
        rounded = {name: round(value, 5) for name, value in losses.items()}
        with (folder / "losses.jsonl").open("a") as file:
            file.write(json.dumps({"iteration": iteration, "seconds": round(seconds, 3), **rounded}) + "\n")
        log.info("%s: iteration %d, loss %.4f", folder.name, iteration, losses["total"])

    return progress


def fit_on_patients(model: str, run: str, config: FitConfig, patients: Path, folder: Path) -> None:
    """Fit one model in one split of the real patients: its checkpoint, and its losses as it went.

    The results are a ``--folder`` for ``python -m training``, which calibrates and evaluates.

    Args:
        model: As :meth:`training.runs.Run.fit` knows it.
        run: Name of the split.
        config: Numbers of the fit.
        patients: Folder or archive.
        folder: Of this model; those of the split's other models lie beside it.
    """
    Run(run, folder.parents[3], config, patients).fit(model, losses_in(folder))


def patient_pieces(
    patients: Path, config: FitConfig, runs: Sequence[str] = RUN_NAMES, models: Sequence[str] | None = None
) -> list[Piece]:
    """Return a piece for each fit on the real patients, seed by seed: EnTrust, and every rival on the folds.

    Args:
        patients: Folder or archive.
        config: Numbers of the fits but for the seed.
        runs: Splits.
        models: Only these.
    """
    needed = [
        (fit, model)
        for seed in plan.SEEDS
        for fit, model in [
            *((seed, m) for m in STAGES),
            *((f, m) for r in RIVALS for m, f in plan.rival_fits(r, seed)),
        ]
    ]
    fits = [
        (seed, model, run)
        for seed, model in dict.fromkeys(needed)
        if models is None or model in models
        for run in runs
        if model in STAGES or run != RELEASE
    ]
    return [
        Piece(
            f"seed{seed}/{config.task}/{run}/{model}",
            partial(fit_on_patients, model, run, replace(config, seed=seed), patients),
        )
        for seed, model, run in fits
    ]


def fit_in_world(fit: plan.Piece, budget: plan.Budget, folder: Path) -> None:
    """Fit one piece of the benchmark in ``<home>/<budget>/<domain>/<method>-<seed>``; phantoms are made in home."""
    fit_piece(fit, budget, folder.parents[2], losses_in(folder))


def world_pieces(seeds: Sequence[int] = plan.SEEDS, budget: plan.Budget = plan.FULL) -> list[Piece]:
    """Return a piece for each fit of the benchmark, both stages of EnTrust apart.

    The results' folder ``world`` is a ``--folder`` for ``python -m training.benchmark``, which scores and releases.
    """
    fits = []
    for fit in plan.pieces(tuple(DOMAINS), tuple(seeds)):
        staged = fit.method in (plan.ENTRUST, *ABLATIONS)
        fits += [replace(fit, method=plan.base_of(fit.method)), fit] if staged else [fit]
    return [Piece(f"world/{budget.name}/{fit.name}", partial(fit_in_world, fit, budget)) for fit in fits]


def pieces(patients: Path | None) -> list[Piece]:
    """Return everything there is to compute, what matters most first: the benchmark's first seed, then the patients.

    Args:
        patients: Folder or archive of the real patients; without one, what is simulated alone.
    """
    real = [] if patients is None else patient_pieces(patients, FitConfig())
    listed = [*world_pieces(plan.SEEDS[:1]), *real, *world_pieces()]
    return list({piece.name: piece for piece in listed}.values())


def find_patients() -> Path | None:
    """Return the archive of :mod:`training.pack`, else the folder beside the project, else nothing."""
    if DEFAULT_PACK.is_file():
        return DEFAULT_PACK
    try:
        return find_root()
    except NotFoundError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run pieces for some minutes and report; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m training.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0, help="of this call")
    parser.add_argument("--out", type=Path, required=True, help="gets the results that this call finishes")
    parser.add_argument("--folder", type=Path, default=Path("runs/gpu"), help="keeps checkpoints and results")
    parser.add_argument("--patients", type=Path, default=None, help="folder or archive of the real patients")
    parser.add_argument("--list", action="store_true", help="print the names of all pieces, and run none")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    everything = pieces(given.patients or find_patients())
    if given.list:
        print("\n".join(piece.name for piece in everything))
        return 0
    done = run_pieces(everything, given.folder, given.out, 60.0 * given.minutes)
    for name in done.finished:
        print(f"done         {name}")
    for name, reason in done.failed.items():
        print(f"failed       {name}: {reason}")
    if done.interrupted:
        print(f"interrupted  {done.interrupted}")
    print(f"{done.remaining} of {len(everything)} pieces remain")
    return 1 if done.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
