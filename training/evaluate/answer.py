"""What released networks say about a case, in the words of the scorecard."""

from entrust.calibration import volume_interval
from entrust.contract import Task
from entrust.networks.release import ServedNetworks
from training.datasets.case import TrainingCase
from training.evaluate.patients import trust_map_of
from training.hypotheses_cache import SEED
from training.predict import predict_hypotheses
from training.scorecard import Answer


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
