"""Everything that is told about methods on simulated cases, with the truth itself as a method among them.

A case's score is a handful of numbers and sums, by domain; a cohort's table recounts patients from them and never
looks at a voxel again. The oracle's row is the floor: what p* and draws from it get under the same scoring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

from entrust import metrics
from entrust.errors import InvalidInputError
from entrust.metrics import DetectionCounts, Domain, Estimate, Reliability, Statistic
from entrust.metrics.domains import Spacing
from entrust.uncertainty import pairwise_dice

LEVEL = 0.9
"""Of the volume intervals."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a simulated case.

    Attributes:
        spacing_mm: Voxel spacing (depth, row, column).
        labels: J draws of the label; the first is the one that Dice, volume and label scores are judged with.
        draws: K further draws, for the oracle alone.
        probability: p*, the exact probability of each class.
        conflicts: One mask for each conflict; none where there is none.
        responsible: Index of the pair of modalities behind each conflict.
        states: Probability of each of the 2ⁿ joint states of the conflicts (on: labelled as foreground).
    """

    spacing_mm: Spacing
    labels: UInt8[np.ndarray, "j d h w"]
    draws: UInt8[np.ndarray, "k d h w"]
    probability: Float[np.ndarray, "c d h w"]
    conflicts: Bool[np.ndarray, "n d h w"]
    responsible: Integer[np.ndarray, "n"]
    states: Float[np.ndarray, "states"]

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
        conflict: G, or what the method has in its place, in [0, 1]; without one, None.
        pair_evidence: Evidence for each pair of modalities to disagree; without it, None.
    """

    probability: Float[np.ndarray, "c d h w"]
    hypotheses: UInt8[np.ndarray, "k d h w"]
    error_probability: Float[np.ndarray, "d h w"]
    confidence: float
    interval_ml: tuple[float, float] | None = None
    conflict: Float[np.ndarray, "d h w"] | None = None
    pair_evidence: Float[np.ndarray, "p d h w"] | None = None


@dataclass(frozen=True, eq=False)
class CaseScore:
    """What one method scored on one case.

    Attributes:
        numbers: By name, with the domain behind a dot where there is one; nan where it does not apply.
        diagrams: Class-wise reliability by domain.
        errors: Counts of the error probability in the foreground domain.
        confidence: In the case.
    """

    numbers: Mapping[str, float]
    diagrams: Mapping[Domain, Reliability]
    errors: DetectionCounts
    confidence: float


def oracle(truth: Truth, num_pairs: int) -> Answer:
    """Return what the truth itself would say: p*, draws from it, and who disagrees where."""
    evidence = np.zeros((num_pairs, *truth.conflict.shape))
    for pair, conflict in zip(truth.responsible, truth.conflicts, strict=True):
        evidence[pair][conflict] = 1.0
    volumes = (truth.draws > 0).sum(axis=(1, 2, 3)) * truth.voxel_ml
    low, high = np.quantile(volumes, [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL])
    return Answer(
        probability=truth.probability,
        hypotheses=truth.draws,
        error_probability=1.0 - truth.probability.max(axis=0),
        confidence=pairwise_dice(truth.draws > 0),
        interval_ml=(float(low), float(high)),
        conflict=truth.conflict.astype(np.float64),
        pair_evidence=evidence,
    )


def score(answer: Answer, truth: Truth) -> CaseScore:
    """Score an answer on a case."""
    mask, label = answer.probability.argmax(axis=0), truth.labels[0]
    places = metrics.domains(
        mask > 0,
        truth.labels > 0,
        spacing_mm=truth.spacing_mm,
        conflict=truth.conflict if len(truth.conflicts) else None,
    )
    fore = places[Domain.FOREGROUND]
    numbers = {
        "dice": metrics.dice(mask > 0, label > 0),
        "hd95_mm": metrics.hausdorff95_mm(mask > 0, label > 0, truth.spacing_mm, one_empty_mm=truth.diagonal_mm),
        "error_auroc": metrics.auroc(answer.error_probability[fore], (mask != label)[fore]),
        **_hypotheses(answer, truth),
        **_conflict(answer, truth, fore),
    }
    diagrams = {}
    for name, place in places.items():
        numbers |= {f"{key}.{name}": value for key, value in _calibration(answer, truth, place).items()}
        diagrams[name] = metrics.classwise_reliability(answer.probability, label, place)
    errors = metrics.binned_counts(answer.error_probability[fore], (mask != label)[fore])
    return CaseScore(numbers, diagrams, errors, answer.confidence)


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


def _hypotheses(answer: Answer, truth: Truth) -> dict[str, float]:
    masks, classes = answer.hypotheses > 0, len(answer.probability)
    fractions = metrics.blob_fractions(masks, truth.conflicts)
    volumes = masks.sum(axis=(1, 2, 3)) * truth.voxel_ml
    actual = float((truth.labels[0] > 0).sum()) * truth.voxel_ml
    low, high = answer.interval_ml or (np.nan, np.nan)
    penalty = metrics.interval_score(np.array([[low, high]]), np.array([actual]), LEVEL)
    return {
        "ged": metrics.ged(answer.hypotheses, truth.labels, classes),
        "mode_frequency_error": metrics.mode_frequency_error(fractions, metrics.state_marginals(truth.states)),
        "coherence": metrics.coherence(fractions),
        "slice_coherence": metrics.slice_coherence(masks, truth.conflicts),
        # one conflict alone has nothing joint
        "joint_state": metrics.joint_state_distance(fractions, truth.states) if len(truth.conflicts) > 1 else np.nan,
        "volume_crps_ml": metrics.crps(volumes, actual),
        "covered": float(low <= actual <= high) if answer.interval_ml else np.nan,
        "interval_score_ml": float(penalty[0]),
    }


def _conflict(answer: Answer, truth: Truth, fore: Bool[np.ndarray, "d h w"]) -> dict[str, float]:
    place = fore | truth.conflict
    scores = dict.fromkeys(("conflict_aupr", "conflict_dice", "prevalence", "attribution"), float("nan"))
    if not len(truth.conflicts):
        return scores
    scores["prevalence"] = float(truth.conflict[place].mean())
    if answer.conflict is not None:
        inside = answer.conflict[place], truth.conflict[place]
        scores["conflict_aupr"] = metrics.aupr(*inside)
        scores["conflict_dice"], _ = metrics.best_overlap(*inside)
    if answer.pair_evidence is not None:
        scores["attribution"] = metrics.attribution_accuracy(answer.pair_evidence, truth.conflicts, truth.responsible)
    return scores


# ---- cohorts -----------------------------------------------------------------------------------------------------

COLUMNS: Mapping[str, str] = {
    "dice": "Dice",
    "hd95_mm": "HD95, mm",
    **{
        f"{key}.{name}": f"{title}, {name}"
        for name in Domain
        for key, title in {
            "ece": "ECE",
            "ace": "ACE",
            "brier": "Brier",
            "nll": "NLL",
            "ece_to_truth": "ECE to p*",
            "probability_error": "error of p",
            "kl": "KL to p*",
        }.items()
    },
    "ged": "GED",
    "mode_frequency_error": "mode frequency error",
    "coherence": "coherence",
    "slice_coherence": "coherence, slices",
    "joint_state": "joint state",
    "volume_crps_ml": "volume CRPS, ml",
    "covered": "coverage",
    "interval_score_ml": "interval score, ml",
    "error_auroc": "error AUROC",
    "conflict_aupr": "conflict AUPR",
    "conflict_dice": "conflict Dice",
    "prevalence": "conflict prevalence",
    "attribution": "attribution",
    "micro_ece": "ECE, foreground, micro",
    "micro_error_auroc": "error AUROC, micro",
    "aurc": "AURC",
    "excess_aurc": "excess AURC",
    "augrc": "AUGRC",
}
"""Name → title, in the order of the table's rows: there are more metrics than methods."""

Kind = Literal["difference", "ratio"]


POOLED = ("micro_ece", "micro_error_auroc", "aurc", "excess_aurc", "augrc")
"""Those that are no mean of a number per patient."""


def statistic(scores: Sequence[CaseScore], name: str) -> Statistic | None:
    """Return a metric of a cohort; None where it applies to no case.

    Args:
        scores: One per patient.
        name: A key of :data:`COLUMNS`.
    """
    if name in POOLED:
        return _pooled(scores, name)
    values = _column(scores, name)
    applies = np.isfinite(values)
    return metrics.patient_mean(values, applies) if applies.any() else None


def _pooled(scores: Sequence[CaseScore], name: str) -> Statistic:
    if name == "micro_ece":
        return metrics.pooled_reliability([s.diagrams[Domain.FOREGROUND] for s in scores], lambda d: d.expected_error)
    if name == "micro_error_auroc":
        return metrics.pooled_detection([s.errors for s in scores], lambda c: c.auroc)
    area = {
        "aurc": metrics.patient_aurc,
        "excess_aurc": metrics.patient_excess_aurc,
        "augrc": metrics.patient_augrc,
    }[name]
    return area(np.array([s.confidence for s in scores]), 1.0 - _column(scores, "dice"))


def _column(scores: Sequence[CaseScore], name: str) -> Float[np.ndarray, "n"]:
    return np.array([s.numbers[name] for s in scores])


def comparison(
    ours: Sequence[CaseScore], theirs: Sequence[CaseScore], name: str, kind: Kind = "difference", num: int = 10_000
) -> Estimate | None:
    """Return our metric minus, or divided by, theirs, over the patients that have it on both sides; None if none has.

    Args:
        ours: One per patient.
        theirs: Of the same patients in the same order.
        name: A key of :data:`COLUMNS`.
        kind: ``difference`` (null 0) or ``ratio`` (null 1).
        num: Resamples.
    """
    if name in POOLED:
        a, b = _pooled(ours, name), _pooled(theirs, name)
    else:
        values = _column(ours, name), _column(theirs, name)
        both = np.isfinite(values[0]) & np.isfinite(values[1])
        if not both.any():
            return None
        a, b = (metrics.patient_mean(v, both) for v in values)
    paired, null = (a - b, 0.0) if kind == "difference" else (a / b, 1.0)
    return metrics.bootstrap(paired, null=null, num=num)


def table(methods: Mapping[str, Sequence[CaseScore]], num: int = 10_000) -> str:
    """Return every metric of every method with its 95 % interval, in Markdown; the oracle is one of the methods.

    Args:
        methods: Title → one score per patient, the same patients in the same order.
        num: Resamples.
    """
    lines = ["| metric | " + " | ".join(methods) + " |", "|" + "---|" * (len(methods) + 1)]
    for name, title in COLUMNS.items():
        cells = [_show(statistic(scores, name), num) for scores in methods.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _show(found: Statistic | None, num: int) -> str:
    """Write value and interval; the value alone where too few patients have it for an interval."""
    if found is None or not np.isfinite(found.value):
        return "–"
    try:
        estimate = metrics.bootstrap(found, num=num)
    except InvalidInputError:
        return f"{found.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
