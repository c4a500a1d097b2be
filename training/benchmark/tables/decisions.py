"""Which mask to make of a probability: the most probable class, or the mask of which most Dice can be expected."""

from collections.abc import Iterator
from itertools import product
from operator import ge, gt

import numpy as np
from jaxtyping import Bool, Float, UInt8

from training.benchmark.claims import Claim
from training.benchmark.evaluate import said
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, Together, gather, markdown
from training.benchmark.truth import world_truth
from training.scorecard import overlap

METHODS = {ENTRUST: "head", "ensemble": "temperature", "unet-ce": "temperature", "unet-dicece": "temperature"}
"""Method → how it is calibrated: the rule believes what it is told."""
RIVALS = tuple(method for method in METHODS if method != ENTRUST)
PROBABLE, EXPECTED = "most probable", "most Dice expected"
COLUMNS = {"dice": "Dice", "hd95_mm": "HD95, mm", "excess_ml": "volume minus the reader's, ml"}


def line(method: str, rule: str) -> str:
    """Return the name of a line."""
    return f"{method}: {rule}"


def most_dice_expected(probability: Float[np.ndarray, "*s"]) -> Bool[np.ndarray, "*s"]:
    """Return the mask of which most Dice can be expected: the most probable voxels, as many as are best.

    With n voxels in the mask M and independent voxels, E[Dice] ≈ 2 Σ_M p / (Σ p + n): the expectations of numerator and
    denominator apart, between which lies little where the volume is of many voxels. The last voxel taken has about half
    of that Dice, hence less than ½.

    Source: Dai and Li, arXiv 2206.13086 (ranking, then how many).
    """
    order = np.argsort(-probability, axis=None, kind="stable")
    sums = np.cumsum(probability.ravel()[order], dtype=np.float64)
    expected = 2.0 * sums / (sums[-1] + np.arange(1, len(sums) + 1))
    mask = np.zeros(probability.size, dtype=bool)
    if sums[-1] > 0.0:
        mask[order[: int(expected.argmax()) + 1]] = True
    return mask.reshape(probability.shape)


def label_map(probability: Float[np.ndarray, "c d h w"]) -> UInt8[np.ndarray, "d h w"]:
    """Return nested structures: each is :func:`most_dice_expected` of it, with what the structures inside it take."""
    found = np.zeros(probability.shape[1:], dtype=np.uint8)
    for level in range(1, len(probability)):
        found[most_dice_expected(probability[level:].sum(axis=0))] = level
    return found


def measure(bench: Bench) -> Numbers:
    """Decide both ways of every method's calibrated probability."""
    asked = bench.methods(tuple(METHODS))
    if not asked:
        return {}
    found = []
    for case in bench.tests():
        truth, lines = world_truth(case, 1), {}
        actual = truth.foreground(truth.labels[0]).sum()
        for method in asked:
            p = said(method, case, bench.task)[f"{method.name}+{METHODS[method.name]}"].probability
            for rule, mask in ((PROBABLE, p.argmax(axis=0)), (EXPECTED, label_map(p))):
                excess = float(truth.foreground(mask).sum() - actual) * truth.voxel_ml
                lines[line(method.name, rule)] = {**overlap(mask, truth), "excess_ml": excess}
        found.append(lines)
    return gather(found)


def claims(kept: Kept | Together) -> Iterator[Claim]:
    """More Dice by the rule than without it; and no less than the rivals', with it and without."""
    ours, plain = line(ENTRUST, EXPECTED), line(ENTRUST, PROBABLE)
    title = "decision: Dice of the mask of most expected Dice minus"
    found = kept.compared(ours, plain, "dice", "difference")
    yield kept.claim(f"{title} that of the most probable", found, "> 0", gt, 0.0, plain)
    for method, rule in product(RIVALS, (PROBABLE, EXPECTED)):
        theirs = line(method, rule)
        found = kept.compared(ours, theirs, "dice", "difference")
        yield kept.claim(f"{title} the rival's", found, "≥ 0", ge, 0.0, theirs)


def tell(kept: Kept) -> str:
    """Return the table in Markdown."""
    return f"**Decisions** ({kept.size}).\n\n" + markdown(kept, COLUMNS, "method: mask")
