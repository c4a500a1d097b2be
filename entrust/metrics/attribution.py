"""Is the *why* right: who disagrees, where a conflict map peaks, and whether uncertainty follows the raters."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from entrust.errors import InvalidInputError


def attribution_accuracy(
    evidence: Float[np.ndarray, "p *s"], blobs: Bool[np.ndarray, "n *s"], responsible: Bool[np.ndarray, "n p"]
) -> float:
    """Return the share of conflicts whose strongest evidence is for who is responsible; nan without conflicts.

    The evidence of a candidate is its mean over the conflict. Candidates that tie share the point, so that evidence
    without content has chance: the responsible share of the p candidates.

    Args:
        evidence: Per candidate: C_mn of each pair of modalities, or the leave-one-out shift D_m of each modality.
        blobs: One mask per conflict.
        responsible: Which candidates are right, per conflict: several where two modalities deny alike.
    """
    _require_conflicts(evidence, blobs, responsible)
    points = []
    for blob, right in zip(blobs, responsible, strict=True):
        strength = np.asarray([candidate[blob].mean(dtype=np.float64) for candidate in evidence])
        points.append(float(right[strength == strength.max()].mean()))
    return float(np.mean(points)) if points else float("nan")


def voxel_attribution_accuracy(
    evidence: Float[np.ndarray, "p *s"], blobs: Bool[np.ndarray, "n *s"], responsible: Bool[np.ndarray, "n p"]
) -> float:
    """Return the mean over conflicts of the share of voxels whose strongest evidence is for who is responsible.

    Ties share the voxel; nan without conflicts. Arguments as in :func:`attribution_accuracy`.
    """
    _require_conflicts(evidence, blobs, responsible)
    shares = []
    for blob, right in zip(blobs, responsible, strict=True):
        inside = evidence[:, blob]  # [p, voxels]
        best = inside == inside.max(axis=0)
        shares.append(float((best[right].sum(axis=0) / best.sum(axis=0)).mean()))
    return float(np.mean(shares)) if shares else float("nan")


def _require_conflicts(
    evidence: Float[np.ndarray, "p *s"], blobs: Bool[np.ndarray, "n *s"], responsible: Bool[np.ndarray, "n p"]
) -> None:
    known = responsible.shape[1] == len(evidence) and responsible.any(axis=1).all()
    if not known or not all(blob.any() for blob in blobs):
        raise InvalidInputError("Every conflict needs at least one voxel, and a candidate that there is evidence for.")


def pointing_game(score: Float[np.ndarray, "*s"], target: Bool[np.ndarray, "*s"]) -> float:
    """Return 1 if the map's maximum lies in the target and 0 if not; several equal maxima share the point.

    nan without a target.

    Source: Zhang et al., arXiv 1608.00507.
    """
    return float(target[score == score.max()].mean()) if target.any() else float("nan")


def rater_correlation(
    uncertainty: Float[np.ndarray, "*s"], truths: UInt8[np.ndarray, "j *s"], domain: Bool[np.ndarray, "*s"]
) -> float:
    """Return Pearson's correlation over the domain of the uncertainty with the raters' variance 1 − Σ_c f_c².

    f_c is the share of the raters that say class c. nan where either is constant.

    Source: Kahl et al., arXiv 2401.08501 (normalised cross-correlation).
    """
    labels = truths[:, domain]
    variance = 1.0 - sum(((labels == c).mean(axis=0) ** 2 for c in np.unique(labels)), np.zeros(labels.shape[1]))
    u, v = (x - x.mean() if x.size else x for x in (uncertainty[domain].astype(np.float64), variance))
    scale = np.sqrt((u @ u) * (v @ v))
    return float(u @ v / scale) if scale > 0.0 else float("nan")
