"""The metrics against other people's implementations: MONAI, torchmetrics, scikit-learn, netcal."""

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric, compute_dice, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage, special
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, precision_recall_curve, roc_auc_score
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, MulticlassCalibrationError
from torchmetrics.regression import ContinuousRankedProbabilityScore

from entrust.metrics import (
    ace,
    aupr,
    auroc,
    best_overlap,
    binned_counts,
    brier,
    classwise_ece,
    classwise_reliability,
    crps,
    dice,
    ece_toplabel,
    hausdorff95_mm,
    nll,
    normalised_surface_dice,
)

SPACING = (3.27, 2.0, 1.5)


def tensor(mask: np.ndarray) -> torch.Tensor:
    """[d, h, w] → [batch, channel, d, h, w]."""
    return torch.from_numpy(mask)[None, None]


@pytest.fixture(params=range(4))
def masks(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping structures with rough edges, away from the border: MONAI crops to them."""
    rng = np.random.default_rng(request.param)
    common, *own = (ndimage.gaussian_filter(rng.normal(size=(18, 30, 30)), 2.5) for _ in range(3))
    inside = np.zeros(common.shape, bool)
    inside[2:-2, 3:-3, 3:-3] = True
    first, second = ((common + 0.4 * noise > 0.04) & inside for noise in own)
    return first, second


@pytest.fixture(params=[2, 4])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities [c, h, w], labels that they are not calibrated for, and a domain."""
    rng = np.random.default_rng(request.param)
    logits = 2.0 * rng.normal(size=(request.param, 40, 50))
    p = special.softmax(logits, axis=0).astype(np.float32)
    labels = (0.5 * logits + rng.gumbel(size=logits.shape)).argmax(axis=0)
    return p, labels, rng.random(labels.shape) < 0.6


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")  # MONAI calls its own old argument
def test_overlap_and_surface_distances_are_those_of_monai(masks: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = masks
    assert 0.2 < dice(a, b) < 0.95
    assert dice(a, b) == pytest.approx(compute_dice(tensor(a), tensor(b)).item())
    theirs = compute_hausdorff_distance(tensor(a), tensor(b), include_background=True, percentile=95, spacing=SPACING)
    assert hausdorff95_mm(a, b, SPACING) == pytest.approx(theirs.item(), rel=1e-5)
    for tolerance in (1.0, 2.5, 5.0):
        nsd = compute_surface_dice(tensor(a), tensor(b), [tolerance], include_background=True, spacing=SPACING)
        assert normalised_surface_dice(a, b, SPACING, tolerance) == pytest.approx(nsd.item(), rel=1e-5)


@pytest.mark.parametrize("bins", [10, 20])
@pytest.mark.parametrize("include_background", [False, True])
def test_classwise_calibration_errors_are_those_of_monai(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], bins: int, include_background: bool
) -> None:
    p, labels, domain = case
    one_hot = np.moveaxis(np.eye(len(p), dtype=np.float32)[labels], -1, 0)

    def theirs(reduction: str) -> float:
        metric = CalibrationErrorMetric(bins, include_background, reduction)
        said, happened = (torch.from_numpy(np.ascontiguousarray(values[:, domain]))[None] for values in (p, one_hot))
        metric(said, happened)
        return float(metric.aggregate().item())

    diagrams = classwise_reliability(p, labels, domain, bins, include_background=include_background)
    ours = classwise_ece(p, labels, domain, bins, include_background=include_background)
    assert ours == pytest.approx(theirs("expected"), abs=1e-6)
    assert ours > 0.05
    ours = ace(p, labels, domain, bins, include_background=include_background)
    assert ours == pytest.approx(theirs("average"), abs=1e-6)
    assert diagrams.maximum_error.mean() == pytest.approx(theirs("maximum"), abs=1e-6)


def test_top_label_calibration_error_is_that_of_torchmetrics(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    p, labels, domain = case
    metric = MulticlassCalibrationError(num_classes=len(p), n_bins=20, norm="l1")
    theirs = metric(torch.from_numpy(p[:, domain].T), torch.from_numpy(labels[domain]))
    assert ece_toplabel(p, labels, domain, 20) == pytest.approx(theirs.item(), abs=1e-6)


def test_calibration_errors_are_those_of_netcal_class_by_class(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    from netcal.metrics import ACE, ECE, MCE  # here, since it imports for seconds

    p, labels, domain = case
    pairs = [(p[c][domain].astype(np.float64), (labels[domain] == c).astype(int)) for c in range(1, len(p))]
    theirs = [np.mean([error(20).measure(*pair) for pair in pairs]) for error in (ECE, ACE, MCE)]
    diagrams = classwise_reliability(p, labels, domain)
    assert classwise_ece(p, labels, domain) == pytest.approx(theirs[0], abs=1e-6)
    assert ace(p, labels, domain) == pytest.approx(theirs[1], abs=1e-6)
    assert diagrams.maximum_error.mean() == pytest.approx(theirs[2], abs=1e-6)


def test_proper_scores_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    p, labels, domain = case
    rows, y, classes = p[:, domain].T.astype(np.float64), labels[domain], list(range(len(p)))
    rows /= rows.sum(axis=1, keepdims=True)
    assert brier(p, labels, domain) == pytest.approx(brier_score_loss(y, rows, labels=classes, scale_by_half=False))
    assert nll(p, labels, domain) == pytest.approx(log_loss(y, rows, labels=classes), rel=1e-6)


def test_ranking_scores_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    positive = rng.random(3000) < 0.15
    score = np.round(rng.normal(size=3000) + positive, 1)  # with ties
    assert auroc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert aupr(score, positive) == pytest.approx(average_precision_score(positive, score))
    precision, recall, thresholds = precision_recall_curve(positive, score)
    overlap = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = overlap[:-1].argmax()
    assert best_overlap(score, positive) == pytest.approx((overlap[best], thresholds[best]))


def test_binned_ranking_scores_are_those_of_torchmetrics(rng: np.random.Generator) -> None:
    positive = rng.random(5000) < 0.2
    score = special.expit(rng.normal(size=5000) + positive - 1)
    edges = torch.linspace(0, 1, 101, dtype=torch.float64)
    counts = binned_counts(score, positive, bins=100)
    arguments = torch.from_numpy(score), torch.from_numpy(positive).long()
    assert float(counts.auroc) == pytest.approx(BinaryAUROC(thresholds=edges)(*arguments).item(), abs=1e-5)
    assert float(counts.aupr) == pytest.approx(BinaryAveragePrecision(thresholds=edges)(*arguments).item(), abs=1e-5)


def test_crps_is_that_of_torchmetrics(rng: np.random.Generator) -> None:
    draws, truths = rng.gamma(2.0, 30.0, size=(20, 8)), rng.gamma(2.0, 30.0, size=20)
    ours = np.mean([crps(d, t, fair=False) for d, t in zip(draws, truths, strict=True)])
    theirs = ContinuousRankedProbabilityScore()(torch.from_numpy(draws), torch.from_numpy(truths))
    assert ours == pytest.approx(theirs.item(), rel=1e-5)
