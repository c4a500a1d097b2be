"""Everything that is told about a method on one simulated case; the truth itself can be scored as a method.

A case's score is a handful of numbers and sums, by domain; ``training.cohort`` makes tables of them and never looks at
a voxel again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

from entrust import metrics
from entrust.metrics import DetectionCounts, Domain, Reliability
from entrust.metrics.domains import Spacing
from entrust.uncertainty import pairwise_dice
from training.baselines.nested import nested_hypotheses

LEVEL = 0.9
"""Of the volume intervals."""

BOUNDARY_MM = 4.0
"""Half the width of the undisputed boundary, where a conflict map gains nothing by lighting up."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a simulated case.

    Attributes:
        spacing_mm: Voxel spacing (depth, row, column).
        labels: J draws of the label; the first is the one that Dice, volume and label scores are judged with.
        draws: K further draws, for the oracle alone.
        probability: p*, the exact probability of each class.
        conflicts: One mask for each conflict; none where there is none.
        responsible: Which pairs of modalities are behind each conflict.
        states: Probability of each of the 2ⁿ joint states of the conflicts (on: labelled as foreground).
        judged: Voxels that any metric looks at; all without it.
        hard_negatives: What a conflict map should not take for a conflict, by kind: faint but undisputed tissue, what
            one modality alone can show, noise in one modality.
        lesion_level: First of the nested structures that is foreground: 1, or more where the outer ones are anatomy.
        levels: Of each conflict, the label from which it counts as on; ``lesion_level`` if not given.
    """

    spacing_mm: Spacing
    labels: UInt8[np.ndarray, "j d h w"]
    draws: UInt8[np.ndarray, "k d h w"]
    probability: Float[np.ndarray, "c d h w"]
    conflicts: Bool[np.ndarray, "n d h w"]
    responsible: Bool[np.ndarray, "n p"]
    states: Float[np.ndarray, "states"]
    judged: Bool[np.ndarray, "d h w"] | None = None
    hard_negatives: Mapping[str, Bool[np.ndarray, "d h w"]] = field(default_factory=dict)
    lesion_level: int = 1
    levels: Integer[np.ndarray, "n"] | None = None

    def foreground(self, labels: Integer[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Return where label maps show the lesion."""
        return np.asarray(labels >= self.lesion_level)

    def blob_fractions(self, labels: UInt8[np.ndarray, "k d h w"]) -> Float[np.ndarray, "k n"]:
        """Return the fraction of each conflict that each label map takes for on."""
        levels = [self.lesion_level] * len(self.conflicts) if self.levels is None else self.levels
        on = [(labels[:, blob] >= level).mean(axis=1) for blob, level in zip(self.conflicts, levels, strict=True)]
        return np.stack(on, axis=1) if on else np.zeros((len(labels), 0))

    @property
    def conflict(self) -> Bool[np.ndarray, "d h w"]:
        """Where any conflict is."""
        return np.asarray(self.conflicts.any(axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def diagonal_mm(self) -> float:
        """Largest distance in the volume: what a missed structure costs in HD95."""
        return float(np.linalg.norm(np.multiply(self.labels.shape[1:], self.spacing_mm)))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says about a case.

    Attributes:
        probability: Of each class.
        hypotheses: K label maps; of a method with a single answer, its mask.
        error_probability: How likely a voxel is wrong, or another score in [0, 1].
        confidence: In the case; higher is surer.
        interval_ml: 90 % interval of the foreground's volume; without one, None.
        conflict: G, or what the method has in its place (its entropy, say), in [0, 1]; without one, None.
        conflict_threshold: From which a voxel is in conflict, chosen on other cases.
        pair_evidence: Evidence for each pair of modalities to disagree; without it, None.
    """

    probability: Float[np.ndarray, "c d h w"]
    hypotheses: UInt8[np.ndarray, "k d h w"]
    error_probability: Float[np.ndarray, "d h w"]
    confidence: float
    interval_ml: tuple[float, float] | None = None
    conflict: Float[np.ndarray, "d h w"] | None = None
    conflict_threshold: float = 0.5
    pair_evidence: Float[np.ndarray, "p d h w"] | None = None


@dataclass(frozen=True, eq=False)
class CaseScore:
    """What one method scored on one case.

    Attributes:
        numbers: By name, with the domain behind a dot where there is one; absent or nan where it does not apply.
        diagrams: Class-wise reliability by domain.
        errors: Counts of the error probability in the foreground domain.
        confidence: In the case.
    """

    numbers: Mapping[str, float]
    diagrams: Mapping[Domain, Reliability]
    errors: DetectionCounts
    confidence: float


def oracle(truth: Truth) -> Answer:
    """Return what the truth itself would say: p*, draws from it, and who disagrees where."""
    evidence = np.zeros((truth.responsible.shape[1], *truth.conflict.shape))
    for right, conflict in zip(truth.responsible, truth.conflicts, strict=True):
        evidence[:, conflict] = right[:, None]
    volumes = truth.foreground(truth.draws).sum(axis=(1, 2, 3)) * truth.voxel_ml
    low, high = np.quantile(volumes, [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL])
    return Answer(
        probability=truth.probability,
        hypotheses=truth.draws,
        error_probability=1.0 - truth.probability.max(axis=0),
        confidence=pairwise_dice(truth.foreground(truth.draws)),
        interval_ml=(float(low), float(high)),
        conflict=truth.conflict.astype(np.float64),
        pair_evidence=evidence,
    )


def with_nested_thresholds(answer: Answer) -> Answer:
    """Return the answer with K nested masks of its own probability in place of its hypotheses.

    What hypotheses are worth is what they have over these, see :func:`training.baselines.nested.nested_hypotheses`.
    There is no interval: it would be another method's.
    """
    nested = nested_hypotheses(answer.probability, len(answer.hypotheses))
    return replace(
        answer,
        hypotheses=nested,
        confidence=pairwise_dice(nested > 0),
        interval_ml=None,
    )


def score(answer: Answer, truth: Truth, hypotheses: Mapping[str, float] | None = None) -> CaseScore:
    """Score an answer on a case; outside of what is judged, the label is background and so must the answer be.

    Args:
        answer: What a method says.
        truth: What is known.
        hypotheses: :func:`score_hypotheses` of the answer's hypotheses, where an answer with the same ones was scored
            before.
    """
    mask, label = answer.probability.argmax(axis=0), truth.labels[0]
    known = truth.conflict if len(truth.conflicts) else None
    places = metrics.domains(
        truth.foreground(mask),
        truth.foreground(truth.labels),
        spacing_mm=truth.spacing_mm,
        conflict=known,
        imaged=truth.judged,
    )
    fore = places[Domain.FOREGROUND]
    doubt, wrong = answer.error_probability[fore], (mask != label)[fore]
    numbers = {
        **overlap(mask, truth),
        "error_auroc": metrics.auroc(doubt, wrong),
        "error_aupr": metrics.aupr(doubt, wrong),
        "error_overlap": metrics.best_overlap(doubt, wrong)[0],
        **(score_hypotheses(answer.hypotheses, truth) if hypotheses is None else hypotheses),
        **_interval(answer, truth),
        **_conflict(answer, truth, fore),
    }
    diagrams = {}
    for name, place in places.items():
        numbers |= {f"{key}.{name}": value for key, value in _calibration(answer, truth, place).items()}
        diagrams[name] = metrics.classwise_reliability(answer.probability, label, place)
    return CaseScore(numbers, diagrams, metrics.binned_counts(doubt, wrong), answer.confidence)


def overlap(mask: Integer[np.ndarray, "d h w"], truth: Truth) -> dict[str, float]:
    """Return Dice and HD95 of a label map, of each of the nested structures, averaged."""
    pairs = [(mask >= r, truth.labels[0] >= r) for r in range(1, len(truth.probability))]
    far = truth.diagonal_mm
    return {
        "dice": float(np.mean([metrics.dice(a, b) for a, b in pairs])),
        "hd95_mm": float(np.mean([metrics.hausdorff95_mm(a, b, truth.spacing_mm, one_empty_mm=far) for a, b in pairs])),
    }


def _calibration(answer: Answer, truth: Truth, place: Bool[np.ndarray, "d h w"]) -> dict[str, float]:
    p, label = answer.probability, truth.labels[0]
    return {
        "ece": metrics.classwise_ece(p, label, place),
        "ace": metrics.ace(p, label, place),
        "brier": metrics.brier(p, label, place),
        "nll": metrics.nll(p, label, place),
        "ece_to_truth": metrics.ece_to_truth(p, truth.probability, place),
        "probability_error": metrics.probability_error(p, truth.probability, place),
        "kl": metrics.kl_divergence(p, truth.probability, place),
    }


def score_hypotheses(hypotheses: UInt8[np.ndarray, "k d h w"], truth: Truth) -> dict[str, float]:
    """Score label maps as draws of the truth."""
    masks, classes = truth.foreground(hypotheses), len(truth.probability)
    fractions = truth.blob_fractions(hypotheses)
    volumes = masks.sum(axis=(1, 2, 3)) * truth.voxel_ml
    actual = float(truth.foreground(truth.labels[0]).sum()) * truth.voxel_ml
    return {
        "ged": metrics.ged(hypotheses, truth.labels, classes),
        "mode_frequency_error": metrics.mode_frequency_error(fractions, metrics.state_marginals(truth.states)),
        "coherence": metrics.coherence(fractions),
        "slice_coherence": metrics.slice_coherence(masks, truth.conflicts),
        # one conflict alone has nothing joint
        "joint_state": metrics.joint_state_distance(fractions, truth.states) if len(truth.conflicts) > 1 else np.nan,
        "volume_crps_ml": metrics.crps(volumes, actual),
    }


def _interval(answer: Answer, truth: Truth) -> dict[str, float]:
    actual = float(truth.foreground(truth.labels[0]).sum()) * truth.voxel_ml
    low, high = answer.interval_ml or (np.nan, np.nan)
    penalty = metrics.interval_score(np.array([[low, high]]), np.array([actual]), LEVEL)
    return {
        "covered": float(low <= actual <= high) if answer.interval_ml else np.nan,
        "interval_score_ml": float(penalty[0]),
    }


def _conflict(answer: Answer, truth: Truth, fore: Bool[np.ndarray, "d h w"]) -> dict[str, float]:
    if not len(truth.conflicts):
        return {}
    scores = {}
    if answer.pair_evidence is not None:
        scores["attribution"] = metrics.attribution_accuracy(answer.pair_evidence, truth.conflicts, truth.responsible)
    if answer.conflict is None:
        return scores
    conflict = truth.conflict
    unanimous = truth.foreground(truth.labels).all(axis=0) & ~conflict
    boundary = metrics.boundary_band(unanimous, spacing_mm=truth.spacing_mm, width_mm=BOUNDARY_MM) & ~conflict
    places = {
        "image": np.ones_like(conflict),
        "foreground": fore,
        "off boundary": fore & ~boundary,
        "against boundary": boundary,
        **{f"against {kind}": negatives for kind, negatives in truth.hard_negatives.items()},
    }
    for name, place in places.items():
        judged = place | conflict
        inside, positive = answer.conflict[judged], conflict[judged]
        scores |= {
            f"conflict_auroc.{name}": metrics.auroc(inside, positive),
            f"conflict_aupr.{name}": metrics.aupr(inside, positive),
            f"conflict_best_dice.{name}": metrics.best_overlap(inside, positive)[0],
            f"prevalence.{name}": float(positive.mean()),
        }
    found = (answer.conflict >= answer.conflict_threshold) & (fore | conflict)
    scores["conflict_dice"] = metrics.dice(found, conflict)
    scores["pointing"] = metrics.pointing_game(answer.conflict, conflict)
    return scores
