"""Ask every method about every case of a domain, and keep the scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from entrust.contract import Task
from entrust.errors import InvalidInputError
from entrust.networks.release import ServedNetworks, load_release
from entrust.uncertainty import entropy
from training.baselines.rival import rivals
from training.benchmark.answers import NUM_HYPOTHESES, Calibration, Raw, answers, ask_entrust, ask_rival, calibrate
from training.benchmark.fits import finished, fit_piece
from training.benchmark.plan import ENTRUST, Budget, Piece, rival_fits
from training.benchmark.scores import MethodScores, gather, load, save
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
    domain: str,
    seed: int,
    budget: Budget,
    folder: Path,
    extent: Extent,
    names: Sequence[str] | None = None,
    weights: Path | None = None,
) -> list[Method]:
    """Return EnTrust and the rivals of a seed, each calibrated on the same cases.

    Args:
        domain: Name of a domain.
        seed: Of the fits.
        budget: Of the fits.
        folder: See :func:`training.benchmark.fits.fit_piece`.
        extent: How many calibration cases.
        names: Only these; all if not given. Those whose fits are not finished are left out.
        weights: Folder of released weights, to take EnTrust's networks from; its fit if not given.
    """
    wanted = names or (ENTRUST, *rivals(budget.widths))
    known = [(name, asker(name, domain, seed, budget, folder, weights)) for name in wanted]
    askers = [(name, ask) for name, ask in known if ask is not None]
    held = calibration_cases(domain, extent) if askers else []
    return [calibrated(name, ask, held, budget) for name, ask in askers]


def calibration_cases(domain: str, extent: Extent) -> list[WorldCase]:
    """Return the cases that every method of a domain is calibrated on."""
    return [make_case(get_domain(domain), CALIBRATION, i) for i in range(extent.calibration)]


def calibrated(name: str, ask: Callable[[WorldCase], Raw], held: Sequence[WorldCase], budget: Budget) -> Method:
    """Ask a method about the calibration cases, and fit on its answers what they are for."""
    world, raws = held[0].domain, [ask(case) for case in held]
    cases = [case.as_training_case() for case in held]
    calibration = calibrate(raws, cases, world_task(world.name), world.lesion_level, budget.head)
    return Method(name, ask, calibration, raws[0].samples is not None)


def asker(
    name: str, domain: str, seed: int, budget: Budget, folder: Path, weights: Path | None = None
) -> Callable[[WorldCase], Raw] | None:
    """Return how to ask a method; ``None`` where its fits are not finished. See :func:`methods`."""
    task, listed = world_task(domain), rivals(budget.widths)
    if name in listed:
        fits = [Piece(domain, *fit) for fit in rival_fits(name, seed)]
        if not all(finished(piece, budget, folder) for piece in fits):
            return None
        modules: list[nn.Module] = [fit_piece(piece, budget, folder) for piece in fits]
        return lambda case: ask_rival(listed[name], modules, task, case.as_training_case(), seed=case.index)
    networks = entrust_networks(Piece(domain, name, seed), budget, folder, weights)
    if networks is None:
        return None
    return lambda case: ask_entrust(networks, task, case.as_training_case(), seed=case.index)


def entrust_networks(
    piece: Piece, budget: Budget, folder: Path, weights: Path | None = None
) -> EnTrustNetworks | ServedNetworks | None:
    """Return the networks of EnTrust, of its first stage or of an ablation; ``None`` where the fit is not finished.

    Args:
        piece: The fit.
        budget: Of the fit.
        folder: See :func:`training.benchmark.fits.fit_piece`.
        weights: Folder of released weights, to take the released EnTrust from.
    """
    if weights is not None and piece.method == ENTRUST:
        return load_release(world_task(piece.domain), weights / f"{piece.domain}.safetensors")
    if not finished(piece, budget, folder):
        return None
    networks = fit_piece(piece, budget, folder)
    assert isinstance(networks, EnTrustNetworks)  # noqa: S101
    return networks


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
        lines = {"oracle": oracle(truth)}
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
    """Score a domain's methods of one seed on all splits, and write ``<domain>-<split>-<seed>.npz``.

    What is kept stays: methods whose fits are finished later are asked about the same cases, and added. After a change
    of the recipe the files are to be deleted.

    Raises:
        InvalidInputError: What is kept is of another number of cases.
    """
    paths = {split: out / f"{domain}-{split.name}-{seed}.npz" for split in TESTS}
    kept = {split: load(path) if path.exists() else {} for split, path in paths.items()}
    for split, lines in kept.items():
        if any(len(found.confidence) != extent.of(split) for found in lines.values()):
            raise InvalidInputError(
                f"{paths[split].name} does not hold {extent.of(split)} cases.",
                fix="Score as many, or delete the domain's files.",
            )
    names = [name for name in (ENTRUST, *rivals(budget.widths)) if any(f"{name}+raw" not in kept[s] for s in TESTS)]
    listed = methods(domain, seed, budget, folder, extent, names) if names else []
    for split, path in paths.items():
        new = [method for method in listed if f"{method.name}+raw" not in kept[split]]
        if new:
            save(path, {**kept[split], **score_split(new, domain, split, extent.of(split))})
