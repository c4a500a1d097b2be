"""``python -m training.benchmark fit``, then ``score``, ``measure``, ``report`` and ``release``; each goes on where it
stopped.

Several ``fit`` may run side by side on one folder; they share the list. ``keep`` copies finished fits that several
tables share into the project, and whatever needs one takes it from there. ``--budget quick`` does everything in a
minute and learns nothing.
"""

import argparse
import fcntl
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from training.benchmark import plan, shelf
from training.benchmark.evaluate import Extent, evaluate
from training.benchmark.fits import finished, fit_piece
from training.benchmark.release import release_domain
from training.benchmark.report import write_report
from training.benchmark.shelf import SHARED
from training.benchmark.tables import registry
from training.benchmark.tables.bench import Bench
from training.datasets.phantoms.world.case import DOMAINS
from training.piece import DONE

PROJECT = Path(__file__).resolve().parents[2]
log = logging.getLogger("training.benchmark")


def fit(options: argparse.Namespace) -> None:
    """Fit what is not fitted, in the order of the plan."""
    budget = plan.BUDGETS[options.budget]
    for piece in plan.pieces(tuple(options.domain), tuple(options.seed)):
        if options.method and piece.method not in options.method:
            continue
        home = options.folder / budget.name / piece.name
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # another process fits it
            if not finished(piece, budget, options.folder):
                log.info("%s", piece.name)
                fit_piece(piece, budget, options.folder, partial(_tell, piece.name))
                (home / DONE).touch()


def keep(options: argparse.Namespace) -> None:
    """Keep what is fitted and shared."""
    budget = plan.BUDGETS[options.budget]
    for piece in plan.pieces(tuple(options.domain), tuple(options.seed)):
        staged = [replace(piece, method=m) for m in (plan.base_of(piece.method), piece.method) if m in SHARED]
        for fitted in staged:
            if finished(fitted, budget, options.folder):
                shelf.keep(fitted, budget, options.folder, options.shelf)


def _tell(name: str, iteration: int, losses: dict[str, float], seconds: float) -> None:
    if iteration % 200 == 0:
        log.info("%s %d: loss %.4f, %.2f s an iteration", name, iteration, losses["total"], seconds)


def score(options: argparse.Namespace) -> None:
    """Score every method whose fits are finished."""
    budget = plan.BUDGETS[options.budget]
    extent = Extent(options.calibration, options.test, options.shift)
    for seed in options.seed:
        for domain in options.domain:
            evaluate(domain, seed, budget, options.folder, extent, options.scores)


def measure(options: argparse.Namespace) -> None:
    """Measure the further tables on what is fitted."""
    budget, weights = plan.BUDGETS[options.budget], options.weights if options.released else None
    for seed in options.seed:
        for domain in options.domain:
            bench = Bench(domain, seed, budget, options.folder, options.cases, options.held, weights)
            for name in options.table:
                registry.keep(name, bench, options.scores)


def release(options: argparse.Namespace) -> None:
    """Write the weights of the domains' EnTrust."""
    for domain in options.domain:
        card = release_domain(
            domain, options.seed[0], plan.BUDGETS[options.budget], options.folder, options.weights, options.calibration
        )
        log.info("released %s %s, digest %s, %s", card.task, card.version, card.digest[:12], card.constants)


def report(options: argparse.Namespace) -> None:
    """Print all tables and write them into the documentation."""
    print(write_report(options.scores, options.docs))


PARTS = {"fit": fit, "keep": keep, "score": score, "measure": measure, "report": report, "release": release}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--domain", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0], help="training seeds")
    parser.add_argument("--method", nargs="+", help="only these fits")
    parser.add_argument("--budget", choices=plan.BUDGETS, default=plan.FULL.name)
    parser.add_argument("--calibration", type=int, default=Extent.calibration, help="calibration cases")
    parser.add_argument("--test", type=int, default=Extent.test, help="cases of the test split")
    parser.add_argument("--shift", type=int, default=Extent.shift, help="cases of each shift split")
    parser.add_argument("--table", nargs="+", choices=registry.NAMES, default=list(registry.NAMES), help="of measure")
    parser.add_argument("--cases", type=int, default=Bench.cases, help="test cases of measure")
    parser.add_argument("--held", type=int, default=Bench.calibration, help="calibration cases of measure")
    parser.add_argument("--released", action="store_true", help="measure EnTrust as released, not as fitted here")
    parser.add_argument("--folder", type=Path, default=PROJECT / "runs" / "world", help="cases and fits")
    parser.add_argument("--shelf", type=Path, default=PROJECT / "docs" / "benchmarks" / "fits", help="of kept fits")
    parser.add_argument("--scores", type=Path, default=PROJECT / "docs" / "benchmarks" / "science")
    parser.add_argument("--docs", type=Path, default=PROJECT / "docs", help="where the report goes")
    parser.add_argument("--weights", type=Path, default=PROJECT / "weights", help="where released weights are")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    if options.part not in ("keep", "report"):
        shelf.take(options.domain, plan.BUDGETS[options.budget], options.folder, options.shelf)
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
