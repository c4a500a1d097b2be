"""Metrics, each a few lines; ``docs/metrics-science.md`` has the definitions, their pitfalls and who checks them.

The one room of the method that may use scipy (surface distances, optimal matching, the binomial law).
"""

from entrust.metrics.attribution import (
    attribution_accuracy,
    pointing_game,
    rater_correlation,
    voxel_attribution_accuracy,
)
from entrust.metrics.detection import (
    DetectionCounts,
    aupr,
    auroc,
    best_overlap,
    binned_counts,
    detection_counts,
    pavpu,
)
from entrust.metrics.domains import Domain, boundary_band, disagreement, domains, foreground_domain
from entrust.metrics.failure import augrc, aurc, excess_aurc, patient_augrc, patient_aurc, patient_excess_aurc
from entrust.metrics.hypotheses import best_dice, ged, hungarian_iou, iou_distances
from entrust.metrics.oracle import (
    brier_floor,
    crps_floor,
    ged_floor,
    joint_state_floor,
    mode_frequency_floor,
    nll_floor,
)
from entrust.metrics.overlap import dice, hausdorff95_mm, normalised_surface_dice
from entrust.metrics.patients import (
    Estimate,
    Statistic,
    bootstrap,
    holm,
    mean_of_groups,
    patient_mean,
    pooled_detection,
    pooled_mean,
    pooled_reliability,
)
from entrust.metrics.reliability import (
    Reliability,
    ace,
    classwise_ece,
    classwise_reliability,
    ece_to_truth,
    ece_toplabel,
    reliability,
    truth_reliability,
)
from entrust.metrics.scores import brier, kl_divergence, nll, probability_error
from entrust.metrics.states import (
    blob_fractions,
    coherence,
    joint_state_distance,
    joint_states,
    mode_frequency_error,
    slice_coherence,
    state_marginals,
)
from entrust.metrics.volumes import crps, interval_score

__all__ = [
    "DetectionCounts",
    "Domain",
    "Estimate",
    "Reliability",
    "Statistic",
    "ace",
    "attribution_accuracy",
    "augrc",
    "aupr",
    "aurc",
    "auroc",
    "best_dice",
    "best_overlap",
    "binned_counts",
    "blob_fractions",
    "bootstrap",
    "boundary_band",
    "brier",
    "brier_floor",
    "classwise_ece",
    "classwise_reliability",
    "coherence",
    "crps",
    "crps_floor",
    "detection_counts",
    "dice",
    "disagreement",
    "domains",
    "ece_to_truth",
    "ece_toplabel",
    "excess_aurc",
    "foreground_domain",
    "ged",
    "ged_floor",
    "hausdorff95_mm",
    "holm",
    "hungarian_iou",
    "interval_score",
    "iou_distances",
    "joint_state_distance",
    "joint_state_floor",
    "joint_states",
    "kl_divergence",
    "mean_of_groups",
    "mode_frequency_error",
    "mode_frequency_floor",
    "nll",
    "nll_floor",
    "normalised_surface_dice",
    "patient_augrc",
    "patient_aurc",
    "patient_excess_aurc",
    "patient_mean",
    "pavpu",
    "pointing_game",
    "pooled_detection",
    "pooled_mean",
    "pooled_reliability",
    "probability_error",
    "rater_correlation",
    "reliability",
    "slice_coherence",
    "state_marginals",
    "truth_reliability",
    "voxel_attribution_accuracy",
]
