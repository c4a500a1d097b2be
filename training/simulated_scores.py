"""The released EnTrust on fresh phantoms, with everything that is known of them: a table with the oracle in it."""

from collections.abc import Iterable

import numpy as np

from entrust.contract import Task
from entrust.networks.release import ServedNetworks
from training.cohort import Method, table
from training.datasets.phantoms.limb import LimbPhantom, make_phantom
from training.datasets.simulated import simulated_case
from training.evaluate.answer import answer_of
from training.scorecard import Truth, oracle, score, with_nested_thresholds

NUM_LABELS = 16
"""Labels of a phantom: its own, and as many readers' as make sixteen."""


def limb_truth(phantom: LimbPhantom, task: Task, num_draws: int) -> Truth:
    """Return what is known of a limb: its readers agree on the tumour and count the conflict whole or not at all.

    Args:
        phantom: The limb; its own label comes first.
        task: Gives the order of the pairs of modalities.
        num_draws: K of the oracle, as of the methods beside it.
    """
    rng = np.random.default_rng([phantom.seed, 1])
    known = bool(phantom.conflict.any())
    on = rng.random(NUM_LABELS - 1 + num_draws) < phantom.label_probability
    drawn = np.where(on[:, None, None, None], phantom.certain | phantom.conflict, phantom.certain).astype(np.uint8)
    foreground = phantom.certain + phantom.label_probability * (phantom.conflict & ~phantom.certain)
    return Truth(
        spacing_mm=task.spacing_mm,
        labels=np.concatenate([phantom.gtv[None], drawn[: NUM_LABELS - 1]]),
        draws=drawn[NUM_LABELS - 1 :],
        probability=np.stack([1.0 - foreground, foreground]),
        conflicts=phantom.conflict[None] if known else np.zeros((0, *phantom.conflict.shape), bool),
        responsible=np.array([[pair == phantom.conflict_pair for pair in task.pairs]][: int(known)], bool).reshape(
            -1, len(task.pairs)
        ),
        states=np.array([1.0 - phantom.label_probability, phantom.label_probability]) if known else np.ones(1),
    )


def methods_on_phantoms(networks: ServedNetworks, task: Task, seeds: Iterable[int]) -> dict[str, Method]:
    """Score EnTrust, nested thresholds of its probability, and the oracle on phantoms, each with a conflict."""
    scores = []
    for seed in seeds:
        phantom = make_phantom(seed, conflict=True)
        truth = limb_truth(phantom, task, task.num_hypotheses)
        answer = answer_of(networks, task, simulated_case(phantom))
        nested, perfect = with_nested_thresholds(answer), oracle(truth)
        scores.append([score(said, truth) for said in (answer, nested, perfect)])
    titles = "EnTrust", "nested thresholds of its probability", "oracle"
    return {title: [list(run)] for title, run in zip(titles, zip(*scores, strict=True), strict=True)}


def scores_table(networks: ServedNetworks, task: Task, seeds: Iterable[int]) -> str:
    """Return every metric on phantoms in Markdown."""
    return table(methods_on_phantoms(networks, task, seeds))
