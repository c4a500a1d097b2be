"""Metrics, each a few lines; ``docs/metrics-science.md`` has the definitions and their pitfalls.

The one room of the method that may use scipy (surface distances, optimal matching).
"""

from entrust.metrics.detection import augrc, aupr, aurc, auroc, best_overlap, excess_aurc, pavpu
from entrust.metrics.hypotheses import (
    best_dice,
    blob_fractions,
    coherence,
    crps,
    ged,
    hungarian_iou,
    iou_distances,
    joint_state_distance,
    mode_frequency_error,
)
from entrust.metrics.overlap import dice, foreground_domain, hausdorff95_mm, normalised_surface_dice
from entrust.metrics.patients import Estimate, paired_bootstrap
from entrust.metrics.reliability import (
    Reliability,
    ace,
    brier,
    classwise_ece,
    ece_toplabel,
    nll,
    probability_error,
    reliability,
)

__all__ = [
    "Estimate",
    "Reliability",
    "ace",
    "augrc",
    "aupr",
    "aurc",
    "auroc",
    "best_dice",
    "best_overlap",
    "blob_fractions",
    "brier",
    "classwise_ece",
    "coherence",
    "crps",
    "dice",
    "ece_toplabel",
    "excess_aurc",
    "foreground_domain",
    "ged",
    "hausdorff95_mm",
    "hungarian_iou",
    "iou_distances",
    "joint_state_distance",
    "mode_frequency_error",
    "nll",
    "normalised_surface_dice",
    "paired_bootstrap",
    "pavpu",
    "probability_error",
    "reliability",
]
