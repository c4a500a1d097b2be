"""Ask every method about every case of a domain, and keep the scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from entrust.contract import Task
from entrust.uncertainty import entropy
from training.baselines.rival import rivals
from training.benchmark.answers import NUM_HYPOTHESES, Calibration, Raw, answers, ask_entrust, ask_rival, calibrate
from training.benchmark.fits import finished, fit_piece
from training.benchmark.plan import ENTRUST, Budget, Piece, rival_fits
from training.benchmark.scores import MethodScores, gather, save
from training.benchmark.task import world_task
from training.benchmark.truth import world_truth
from training.datasets.phantoms.world.case import WorldCase, get_domain, make_case
from training.datasets.phantoms.world.splits import CALIBRATION, SPLITS, TEST, Split
from training.entrust_model import EnTrustNetworks
from training.scorecard import Answer, CaseScore, oracle, score, score_hypotheses, with_nested_thresholds

TESTS = tuple(s for s in SPLITS.values() if s.draws > 1)
"""The splits that are scored."""


@dataclass(frozen=True)
class Extent:
    """How many cases are scored.

    Attributes:
        calibration: Calibration cases.
        test: Cases of the test split.
        shift: Cases of each shift split.
    """

    calibration: int = 60
    test: int = 120
    shift: int = 24

    def of(self, split: Split) -> int:
        """Return how many cases of a split are scored."""
        return min(self.test if split is TEST else self.shift, split.cases)


@dataclass(frozen=True, eq=False)
class Method:
    """A fitted method.

    Attributes:
        name: In tables.
        ask: Case → what its networks say.
        calibration: What was fitted on the calibration cases.
        spread: Whether its hypotheses differ, so that their agreement is a confidence.
    """

    name: str
    ask: Callable[[WorldCase], Raw]
    calibration: Calibration
    spread: bool


def methods(
    domain: str, seed: int, budget: Budget, folder: Path, extent: Extent, names: Sequence[str] | None = None
) -> list[Method]:
    """Return EnTrust and the rivals of a seed, each calibrated on the same cases.

    Args:
        domain: Name of a domain.
        seed: Of the fits.
        budget: Of the fits.
        folder: See :func:`training.benchmark.fits.fit_piece`.
        extent: How many calibration cases.
        names: Only these; all if not given. Those whose fits are not finished are left out.
    """
    task, listed = world_task(domain), rivals(budget.widths)
    world = get_domain(domain)
    held = [make_case(world, CALIBRATION, i) for i in range(extent.calibration)]
    found = []
    for name in names or (ENTRUST, *listed):
        fits = rival_fits(name, seed) if name in listed else [(name, seed)]
        if not all(finished(Piece(domain, *fit), budget, folder) for fit in fits):
            continue
        ask = _asker(name, domain, seed, budget, folder, task)
        raws = [ask(case) for case in held]
        calibration = calibrate(raws, [case.as_training_case() for case in held], task, world.lesion_level, budget.head)
        found.append(Method(name, ask, calibration, raws[0].samples is not None))
    return found


def _asker(name: str, domain: str, seed: int, budget: Budget, folder: Path, task: Task) -> Callable[[WorldCase], Raw]:
    """Load or fit a method's networks and return how to ask them."""
    listed = rivals(budget.widths)
    if name in listed:
        modules: list[nn.Module] = [
            fit_piece(Piece(domain, method, fit), budget, folder) for method, fit in rival_fits(name, seed)
        ]
        return lambda case: ask_rival(listed[name], modules, task, case.as_training_case(), seed=case.index)
    networks = fit_piece(Piece(domain, name, seed), budget, folder)
    assert isinstance(networks, EnTrustNetworks)  # noqa: S101
    return lambda case: ask_entrust(networks, task, case.as_training_case(), seed=case.index)


def said(method: Method, case: WorldCase, task: Task) -> dict[str, Answer]:
    """Return all answers of a method about a case, by name of the line in a table."""
    level = case.domain.lesion_level
    found = answers(method.ask(case), method.calibration, task, case.as_training_case(), level, method.spread)
    lines = {f"{method.name}+{variant}": answer for variant, answer in found.items()}
    padded = replace(found["raw"], hypotheses=np.zeros((NUM_HYPOTHESES, *case.label.shape), np.uint8))
    if method.name in ("unet-ce", ENTRUST):
        lines[f"{method.name}+nested"] = with_nested_thresholds(padded)
    if method.name == ENTRUST:
        h = entropy(found["head"].probability, axis=0) / np.log(task.num_classes)
        lines[f"{method.name}+entropy"] = replace(found["head"], conflict=h, pair_evidence=None)
    return lines


def score_split(listed: Sequence[Method], domain: str, split: Split, num: int) -> dict[str, MethodScores]:
    """Score methods, and the truth itself, on the first cases of a split."""
    task, world = world_task(domain), get_domain(domain)
    scores: dict[str, list[CaseScore]] = {}
    for index in range(num):
        case = make_case(world, split, index)
        truth = world_truth(case, NUM_HYPOTHESES)
        lines = {"oracle": oracle(truth, len(task.pairs))}
        for method in listed:
            lines |= said(method, case, task)
        known: dict[int, dict[str, float]] = {}  # raw and calibrated answers share their hypotheses
        for name, answer in lines.items():
            key = id(answer.hypotheses)
            if key not in known:
                known[key] = score_hypotheses(answer.hypotheses, truth)
            scores.setdefault(name, []).append(score(answer, truth, known[key]))
    return {name: gather(found) for name, found in scores.items()}


def evaluate(domain: str, seed: int, budget: Budget, folder: Path, extent: Extent, out: Path) -> None:
    """Score a domain's methods of one seed on all splits, and write ``<domain>-<split>-<seed>.npz``; goes on."""
    wanted = {split: out / f"{domain}-{split.name}-{seed}.npz" for split in TESTS}
    if all(path.exists() for path in wanted.values()):
        return
    listed = methods(domain, seed, budget, folder, extent)
    for split, path in wanted.items():
        if not path.exists():
            save(path, score_split(listed, domain, split, extent.of(split)))
