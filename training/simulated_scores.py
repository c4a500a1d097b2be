"""The released EnTrust on fresh phantoms, with everything that is known of them: a table with the oracle in it."""

from collections.abc import Iterable

import numpy as np

from entrust.calibration import volume_interval
from entrust.contract import Task
from entrust.networks.release import ServedNetworks
from training.cohort import Method, table
from training.datasets.case import TrainingCase
from training.datasets.phantoms.limb import LimbPhantom, make_phantom
from training.datasets.simulated import simulated_case
from training.evaluate import trust_map_of
from training.hypotheses_cache import SEED
from training.predict import predict_hypotheses
from training.scorecard import Answer, Truth, oracle, score, with_nested_thresholds

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
        responsible=np.array(
            [task.pairs.index((phantom.conflict_pair[0], phantom.conflict_pair[1]))] if known else [], int
        ),
        states=np.array([1.0 - phantom.label_probability, phantom.label_probability]) if known else np.ones(1),
    )


def answer_of(networks: ServedNetworks, task: Task, case: TrainingCase) -> Answer:
    """Return what the released networks say about a case, as the gateway would."""
    constants = networks.card.constants
    hypotheses = predict_hypotheses(
        networks.enfuse,
        networks.denoiser,
        task,
        case,
        num_hypotheses=task.num_hypotheses,
        num_steps=task.num_steps,
        seed=SEED,
    )
    trust = trust_map_of(task, hypotheses, networks.calibration_head, constants, case)
    volumes = (trust.hypothesis_label_maps > 0).sum(axis=(1, 2, 3)) * case.voxel_ml
    interval = volume_interval(
        volumes,
        constants.volume_interval_scale,
        estimate_ml=float((trust.label_map > 0).sum()) * case.voxel_ml,
        limit_ml=float(case.presence.any(axis=0).sum()) * case.voxel_ml,
    )
    return Answer(
        probability=trust.probability,
        hypotheses=trust.hypothesis_label_maps,
        error_probability=trust.error_probability,
        confidence=trust.agreement,
        interval_ml=interval,
        conflict=trust.conflict,
        conflict_threshold=constants.conflict_threshold,
        pair_evidence=trust.pair_conflict,
    )


def methods_on_phantoms(networks: ServedNetworks, task: Task, seeds: Iterable[int]) -> dict[str, Method]:
    """Score EnTrust, nested thresholds of its probability, and the oracle on phantoms, each with a conflict."""
    scores = []
    for seed in seeds:
        phantom = make_phantom(seed, conflict=True)
        truth = limb_truth(phantom, task, task.num_hypotheses)
        answer = answer_of(networks, task, simulated_case(phantom))
        nested, perfect = with_nested_thresholds(answer), oracle(truth, len(task.pairs))
        scores.append([score(said, truth) for said in (answer, nested, perfect)])
    titles = "EnTrust", "nested thresholds of its probability", "oracle"
    return {title: [list(run)] for title, run in zip(titles, zip(*scores, strict=True), strict=True)}


def scores_table(networks: ServedNetworks, task: Task, seeds: Iterable[int]) -> str:
    """Return every metric on phantoms in Markdown."""
    return table(methods_on_phantoms(networks, task, seeds))
