"""Without some modalities: what every subset of them leaves of the mask, and whether the doubt grows as it should."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from operator import ge, le

import numpy as np
from jaxtyping import Bool

from entrust import metrics
from entrust.metrics import Statistic
from entrust.uncertainty import entropy
from training.benchmark.claims import Claim
from training.benchmark.evaluate import said
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, gather, markdown
from training.benchmark.truth import world_truth
from training.datasets.phantoms.world.case import WorldCase, get_domain
from training.fit_head import MARGIN_MM
from training.scorecard import Answer, Truth, score

METHODS = {ENTRUST: "head", "ensemble": "temperature", "unet-ce": "temperature"}
"""Method → how it is calibrated."""
INCOMPLETE = "mean of incomplete subsets"
DOUBTS = {"entropy": "entropy", "expected_error": "expected error", "width": "width of the volume interval"}
COLUMNS = {
    "dice": "Dice",
    "ece.foreground": "ECE",
    "entropy": "entropy, nats",
    "expected_error": "expected error",
    "error": "error",
    "width": "interval width / volume",
    "covered": "coverage",
}


def subsets(num_modalities: int) -> list[tuple[int, ...]]:
    """Return every non-empty subset of the modalities, the complete one first."""
    everything = range(num_modalities)
    return [s for size in range(num_modalities, 0, -1) for s in combinations(everything, size)]


def line(method: str, given: tuple[str, ...]) -> str:
    """Return the name of a line: a method, and the modalities it is given."""
    return f"{method}: {'+'.join(given)}"


def only(case: WorldCase, kept: tuple[int, ...]) -> WorldCase:
    """Return the case as if no other modality had been acquired."""
    given = np.isin(np.arange(len(case.images)), kept)[:, None, None, None]
    return replace(case, images=np.where(given, case.images, 0), presence=case.presence & given)


def measure(bench: Bench) -> Numbers:
    """Ask about every subset of the modalities of each test case.

    Doubt and error are averaged over one place, within 5 mm of what any reader calls foreground, so that they can be
    compared between subsets; ECE is in the foreground domain of each answer, as elsewhere.
    """
    asked, task, slugs = bench.methods(tuple(METHODS)), bench.task, get_domain(bench.domain).slugs
    found = []
    for case in bench.tests():
        truth, lines = world_truth(case, 1), {}
        anyone = np.asarray(truth.foreground(truth.labels).any(axis=0))
        place = metrics.foreground_domain(anyone, anyone, spacing_mm=truth.spacing_mm, margin_mm=MARGIN_MM)
        for kept in subsets(task.num_modalities):
            for method in asked:
                answer = said(method, only(case, kept), task)[f"{method.name}+{METHODS[method.name]}"]
                lines[line(method.name, tuple(slugs[i] for i in kept))] = _numbers(answer, truth, place)
        found.append(lines)
    numbers = dict(gather(found))
    for method in asked:
        parts = [numbers[line(method.name, tuple(slugs[i] for i in kept))] for kept in subsets(len(slugs))[1:]]
        numbers[f"{method.name}: {INCOMPLETE}"] = {
            name: np.mean([part[name] for part in parts], axis=0) for name in COLUMNS
        }
    return numbers


def _numbers(answer: Answer, truth: Truth, place: Bool[np.ndarray, "d h w"]) -> dict[str, float]:
    scored = score(answer, truth, {}).numbers
    low, high = answer.interval_ml or (np.nan, np.nan)
    volume = float(truth.foreground(truth.labels[0]).sum()) * truth.voxel_ml
    return {
        "dice": scored["dice"],
        "ece.foreground": scored["ece.foreground"],
        "covered": scored["covered"],
        "entropy": float(entropy(answer.probability, axis=0)[place].mean()),
        "expected_error": float(answer.error_probability[place].mean()),
        "error": float((answer.probability.argmax(axis=0) != truth.labels[0])[place].mean()),
        "width": (high - low) / volume if volume else np.nan,
    }


def in_order(numbers: Numbers, method: str, slugs: tuple[str, ...], name: str) -> Statistic | None:
    """Return the share of pairs (a subset, the same with one modality more) whose smaller one has the larger mean."""
    columns = {s: numbers.get(line(method, tuple(slugs[i] for i in s)), {}).get(name) for s in subsets(len(slugs))}
    if any(column is None or not np.isfinite(column).any() for column in columns.values()):
        return None
    values = np.array(list(columns.values()), dtype=np.float64)
    common = np.isfinite(values).all(axis=0)
    place = {s: i for i, s in enumerate(columns)}
    pairs = [(place[s], place[less]) for s in columns for less in combinations(s, len(s) - 1) if less]
    more, fewer = (list(side) for side in zip(*pairs, strict=True))

    def of(counts: np.ndarray) -> np.ndarray:
        sums = counts[:, common] @ values[:, common].T  # in the order of their means, for all are of the same cases
        return np.asarray((sums[:, fewer] >= sums[:, more]).mean(axis=1))

    return Statistic(values.shape[1], of)


def claims(kept: Kept) -> Iterator[Claim]:
    """Doubt grows as modalities vanish; masks and calibration suffer no more than the rivals'."""
    slugs = get_domain(kept.domain).slugs
    for name, title in DOUBTS.items():
        found = kept.estimated(lambda n, name=name: in_order(n, ENTRUST, slugs, name))  # type: ignore[misc]
        claim = f"missing: pairs of subsets in which the smaller one has more doubt ({title})"
        yield kept.claim(claim, found, "≥ .90", ge, 0.9)
    ours = f"{ENTRUST}: {INCOMPLETE}"
    for rival in METHODS:
        if rival != ENTRUST:
            theirs, against = f"{rival}: {INCOMPLETE}", f"{rival}+{METHODS[rival]}"
            found = kept.compared(ours, theirs, "dice", "difference")
            yield kept.claim(f"missing: Dice minus the rival's, {INCOMPLETE}", found, "≥ 0", ge, 0.0, against)
            found = kept.compared(ours, theirs, "ece.foreground", "ratio")
            yield kept.claim(f"missing: ECE over the rival's, {INCOMPLETE}", found, "≤ 1.00", le, 1.0, against)


def tell(kept: Kept) -> str:
    """Return the table in Markdown."""
    return (
        f"**Missing modalities** ({kept.size}). Entropy, expected error and error within 5 mm of what any reader calls "
        "foreground, the same voxels for all subsets.\n\n" + markdown(kept, COLUMNS, "method: modalities given")
    )
