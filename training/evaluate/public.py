"""Released weights on a public data set: every case as the gateway would prepare it, scored against its raters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from entrust import metrics
from entrust.contract import Task
from entrust.errors import EnTrustError, NotFoundError
from entrust.metrics import Domain
from entrust.networks.release import ServedNetworks
from entrust.preparation import prepare
from training.datasets.case import TrainingCase
from training.datasets.public.adapter import REFERENCE, CaseFiles, PublicSet
from training.datasets.public.questions import question
from training.evaluate.answer import answer_of
from training.scorecard import Answer, CaseScore, Truth, score

_OF_A_KNOWN_TRUTH = ("ece_to_truth", "probability_error", "kl")
"""Metrics that compare with p*, which nobody knows of a patient."""

FURTHER = {
    "hungarian_iou": "IoU of matched hypotheses and raters",
    "best_dice": "Dice of each rater's closest hypothesis",
    "rater_correlation": "correlation of error probability with raters' variance, foreground",
}
"""Metrics of cases with several raters, beside the scorecard's."""


@dataclass(frozen=True, eq=False)
class PublicScore:
    """What the weights scored on one case.

    Attributes:
        given: Modalities that the case has.
        raters: How many label maps.
        score: The numbers.
    """

    given: tuple[str, ...]
    raters: int
    score: CaseScore


@dataclass(frozen=True, eq=False)
class SetScores:
    """What the weights scored on a data set.

    Attributes:
        public: The data set.
        scores: By case.
        refused: Why a case could not be scored, by case.
        unlabelled: Cases whose labels are kept back.
    """

    public: PublicSet
    scores: Mapping[str, PublicScore]
    refused: Mapping[str, str]
    unlabelled: tuple[str, ...]


Hear = Callable[[str, PublicScore | str], None]
"""Told each case with its score, or why it has none."""


def evaluate_set(
    public: PublicSet, root: Path, networks: ServedNetworks, task: Task, *, limit: int | None = None, hear: Hear
) -> SetScores:
    """Score released networks on the cases of a data set that have labels, one after another.

    Args:
        public: The data set.
        root: Where it lies.
        networks: Of the set's task.
        task: The task.
        limit: How many labelled cases, by name; all by default.
        hear: Told each case as it is done; a case that cannot be read or prepared does not end the others.

    Raises:
        NotFoundError: There is no case with labels.
    """
    cases = public.cases(root)
    labelled = [files for files in cases if REFERENCE in files.labels]
    if not labelled:
        raise NotFoundError(
            f"None of the {len(cases)} cases has labels.", fix="Give the root of the part with labels, and the labels."
        )
    scores: dict[str, PublicScore] = {}
    refused: dict[str, str] = {}
    for files in labelled[:limit]:
        try:
            scores[files.name] = score_case(public, files, networks, task)
            hear(files.name, scores[files.name])
        except EnTrustError as error:
            refused[files.name] = str(error)
            hear(files.name, refused[files.name])
    return SetScores(public, scores, refused, tuple(f.name for f in cases if REFERENCE not in f.labels))


def score_case(public: PublicSet, files: CaseFiles, networks: ServedNetworks, task: Task) -> PublicScore:
    """Prepare a case as the gateway does, run the networks, and score them on the task's grid."""
    case = public.load(files)
    prepared = prepare(task, case.volumes)
    labels, judged = case.labels_on(prepared.grid)
    labels = labels * judged
    training_case = TrainingCase(case.name, prepared.images, prepared.presence, labels[0], prepared.grid.spacing_mm)
    answer = _background_outside(answer_of(networks, task, training_case), judged)
    given = tuple(slug for slug in task.slugs if slug in case.volumes)
    return PublicScore(given, len(labels), score_patient(answer, labels, judged, prepared.grid.spacing_mm))


def score_patient(
    answer: Answer,
    labels: UInt8[np.ndarray, "j d h w"],
    judged: Bool[np.ndarray, "d h w"],
    spacing_mm: tuple[float, float, float],
) -> CaseScore:
    """Score an answer against the raters of a patient, of whom nobody knows p*, or where modalities truly disagree.

    Args:
        answer: What the networks say.
        labels: Of each rater, the reference first.
        judged: Voxels that count.
        spacing_mm: Voxel spacing (depth, row, column).
    """
    classes, none = len(answer.probability), np.zeros(0, int)
    frequency = np.stack([(labels == c).mean(axis=0) for c in range(classes)])
    nowhere = np.zeros((0, *judged.shape), bool)
    truth = Truth(spacing_mm, labels, labels, frequency, nowhere, none, np.ones(1), judged=judged)
    scored = score(answer, truth)
    known = {name: v for name, v in scored.numbers.items() if name.partition(".")[0] not in _OF_A_KNOWN_TRUTH}
    return replace(scored, numbers=known | _structures(answer, truth) | _raters(answer, truth))


def structure_titles(task: str) -> dict[str, str]:
    """Return name → title of the metrics of each nested structure; none of a task that has one alone."""
    structures = question(task).structures
    if len(structures) == 1:
        return {}
    dices = {f"structure_dice.{r}": f"Dice, {title}" for r, title in enumerate(structures, start=1)}
    return dices | {f"structure_hd95_mm.{r}": f"HD95, mm, {title}" for r, title in enumerate(structures, start=1)}


def _structures(answer: Answer, truth: Truth) -> dict[str, float]:
    """Score structure r, label r and all within it, against the reference."""
    numbers, mask, far = {}, answer.probability.argmax(axis=0), truth.diagonal_mm
    for r in range(1, len(answer.probability)):
        ours, theirs = mask >= r, truth.labels[0] >= r
        numbers[f"structure_dice.{r}"] = metrics.dice(ours, theirs)
        distance_mm = metrics.hausdorff95_mm(ours, theirs, truth.spacing_mm, one_empty_mm=far)
        numbers[f"structure_hd95_mm.{r}"] = distance_mm
    return numbers


def _raters(answer: Answer, truth: Truth) -> dict[str, float]:
    """Judge the hypotheses and the doubt by several raters; nothing where there is one."""
    if len(truth.labels) == 1:
        return {}
    mask = answer.probability.argmax(axis=0)
    places = metrics.domains(mask > 0, truth.labels > 0, spacing_mm=truth.spacing_mm, imaged=truth.judged)
    return {
        "hungarian_iou": metrics.hungarian_iou(answer.hypotheses, truth.labels, len(answer.probability)),
        "best_dice": metrics.best_dice(answer.hypotheses > 0, truth.labels > 0),
        "rater_correlation": metrics.rater_correlation(
            answer.error_probability, truth.labels, places[Domain.FOREGROUND]
        ),
    }


def _background_outside(answer: Answer, judged: Bool[np.ndarray, "d h w"]) -> Answer:
    """Return the answer as certain background wherever nothing is judged, as the labels are there."""
    if judged.all():
        return answer
    probability = answer.probability * judged
    probability[0] += ~judged
    return replace(
        answer,
        probability=probability,
        hypotheses=answer.hypotheses * judged,
        error_probability=answer.error_probability * judged,
    )
