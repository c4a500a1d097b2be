"""Fit the calibration head on a few patients: the same way for EnTrust and for its rivals.

Six patients are few: the head's training length is chosen by cross-validation over whole patients, then it is fitted
on all of them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from entrust.contract import Task
from entrust.networks.calibration_head import CalibrationHead
from entrust.networks.losses import soft_binned_ace

MARGIN_MM = 5.0
"""Of the foreground domain, in which everything is calibrated and judged."""
BACKGROUND_WEIGHT = 0.1
"""Weight of the voxels outside the foreground domain: they are many, sure and right, and should stay so.

With a fifth of it and thrice the learning rate the head raised their mean probability of tumour from 1 % to 16 %; with
twice it and that rate no head beat the identity.
"""


@dataclass(frozen=True)
class HeadFit:
    """How the calibration head is fitted.

    Attributes:
        max_iterations: Longest fit tried.
        check_every: Grid of lengths that cross-validation chooses from.
        batch: Slices a step.
        crop: Height and width of the crops.
        folds: Groups of patients.
        learning_rate: AdamW's.
        ace_weight: Weight of the soft-binned calibration error beside the log-likelihoods.
    """

    max_iterations: int = 300
    check_every: int = 50
    batch: int = 8
    crop: int = 64
    folds: int = 3
    learning_rate: float = 1e-3
    ace_weight: float = 0.5


@dataclass(frozen=True, eq=False)
class CalibrationCase:
    """One patient, or one patient without a modality, ready for the head.

    Attributes:
        name: The patient; its variants stay together in cross-validation.
        features: [d, f, h, w].
        label: [d, h, w].
        weight: Weight of each voxel: 1 in the foreground domain.
    """

    name: str
    features: Float32[np.ndarray, "d f h w"]
    label: np.ndarray
    weight: Float32[np.ndarray, "d h w"]


def _batch(cases: list[CalibrationCase], rng: np.random.Generator, fit: HeadFit) -> tuple[Tensor, Tensor, Tensor]:
    """Draw crops of slices that hold some of the foreground domain: features, labels, weights."""
    drawn = []
    for _ in range(fit.batch):
        case = cases[rng.integers(len(cases))]
        depth = rng.choice(np.flatnonzero((case.weight == 1.0).any(axis=(1, 2))))
        rows, columns = np.nonzero(case.weight[depth] == 1.0)
        pick = rng.integers(rows.size)
        h, w = case.label.shape[1:]
        top = int(np.clip(rows[pick] - rng.integers(fit.crop), 0, max(h - fit.crop, 0)))
        left = int(np.clip(columns[pick] - rng.integers(fit.crop), 0, max(w - fit.crop, 0)))
        window = np.s_[..., top : top + fit.crop, left : left + fit.crop]
        pad = [(0, fit.crop - min(fit.crop, h)), (0, fit.crop - min(fit.crop, w))]
        drawn.append(
            (
                np.pad(case.features[depth][window], [(0, 0), *pad]),
                np.pad(case.label[depth][window], pad),
                np.pad(case.weight[depth][window], pad),
            )
        )
    features, labels, weights = (np.stack(part) for part in zip(*drawn, strict=True))
    return torch.from_numpy(features), torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(weights)


def head_loss(head: CalibrationHead, features: Tensor, labels: Tensor, weights: Tensor, ace_weight: float) -> Tensor:
    """Return Brier score of the classes, log-loss of the error, and the soft-binned calibration error, weighted.

    The Brier score is proper and bounded: with few patients, the log-loss would be that of the worst patient's surest
    mistakes, and would flatten everybody's probabilities for them.
    """
    probability, error_probability, _ = head(features)
    truth = F.one_hot(labels, head.num_classes).movedim(-1, 1).to(probability.dtype)
    brier = ((probability - truth) ** 2).sum(dim=1)
    wrong = (features[:, : head.num_classes].argmax(dim=1) != labels).float()
    error_loss = F.binary_cross_entropy(error_probability[:, 0].clamp(1e-6, 1.0 - 1e-6), wrong, reduction="none")
    loss: Tensor = ((brier + error_loss) * weights).sum() / weights.sum()
    if ace_weight:
        loss = loss + ace_weight * soft_binned_ace(probability, labels, domain=weights)
    return loss


def _fit_head(
    task: Task, cases: list[CalibrationCase], fit: HeadFit, iterations: int, validation: list[CalibrationCase]
) -> tuple[CalibrationHead, list[float]]:
    """Fit a head; return it with its loss on ``validation`` every ``check_every`` iterations, 0 included."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    head = CalibrationHead(task.num_features, task.num_classes)
    optimiser = torch.optim.AdamW(head.parameters(), lr=fit.learning_rate, weight_decay=1e-2)
    history = []
    for iteration in range(iterations + 1):
        if validation and iteration % fit.check_every == 0:
            history.append(_validate(head, validation))
        if iteration < iterations:
            loss = head_loss(head, *_batch(cases, rng, fit), fit.ace_weight)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return head.eval(), history


@torch.inference_mode()
def _validate(head: CalibrationHead, cases: list[CalibrationCase]) -> float:
    """Return the mean proper loss over patients."""
    return float(
        np.mean(
            [
                float(
                    head_loss(
                        head,
                        torch.from_numpy(case.features[::2]),
                        torch.from_numpy(case.label[::2].astype(np.int64)),
                        torch.from_numpy(case.weight[::2]),
                        0.0,
                    )
                )
                for case in cases
            ]
        )
    )


def fit_head(task: Task, cases: list[CalibrationCase], fit: HeadFit | None = None) -> tuple[CalibrationHead, int]:
    """Fit the calibration head; its number of iterations is chosen by cross-validation over whole patients.

    Returns:
        The head and the number of iterations chosen; 0 means that no head beats the identity.
    """
    fit = fit or HeadFit()
    names = sorted({case.name for case in cases})
    curves = []
    for fold in range(fit.folds):
        held = set(names[fold :: fit.folds])
        _, history = _fit_head(
            task,
            [case for case in cases if case.name not in held],
            fit,
            fit.max_iterations,
            [case for case in cases if case.name in held],
        )
        curves.append(history)
    best = int(np.argmin(np.mean(curves, axis=0))) * fit.check_every
    head, _ = _fit_head(task, cases, fit, best, [])
    return head, best
