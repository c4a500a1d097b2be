"""The summary of a study: volumes with intervals, reliability, conflict by modality pair, uncertain regions."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from entrust.calibration import volume_interval
from entrust.contract import Label, ModelCard
from entrust.metrics import foreground_domain
from entrust.structures import structure_mask
from entrust.trustmap import TrustMap
from entrust.uncertainty import pairwise_dice
from service.study import Case
from service.summary import (
    ErrorProbability,
    GridInfo,
    InputWarning,
    Interval,
    ModalityInfo,
    ModelInfo,
    PairConflict,
    Parameters,
    Provenance,
    RegistrationInfo,
    Reliability,
    SegmentInfo,
    Summary,
    TaskInfo,
)
from service.trust.regions import CauseMaps, find_regions, map_causes

LEVEL = 0.9
"""Probability with which the volume interval is meant to hold the true volume."""

REGISTRATION_DOUBTFUL = "registration-doubtful"
HIGH_AGREEMENT, LOW_AGREEMENT = 0.85, 0.6
"""Mean pairwise Dice of the hypotheses from which, and below which, a segment counts as highly or poorly reliable."""

HIGH_MEAN_ERROR, LOW_MEAN_ERROR = 0.25, 0.10
"""Mean error probability around the segment above which it is poorly, up to which it is highly reliable."""

WIDE_INTERVAL, NEGLIGIBLE_ML = 3.0, 1.0
"""A segment is poorly reliable when its interval's upper end exceeds this many times the lower one; both are raised by
a negligible volume first, or else every tiny structure would be."""


def summarise(
    case: Case,
    trust_map: TrustMap,
    card: ModelCard,
    provenance: Provenance,
    *,
    unimodal: Float[np.ndarray, "m d c h w"] | None = None,
    stages_seconds: Mapping[str, float] | None = None,
    step_seconds: Sequence[float] = (),
) -> Summary:
    """Say in words and numbers what was found, where it may be wrong, and why.

    Args:
        case: The prepared study; everything is measured on its grid.
        trust_map: The answer.
        card: The weights that gave it, with their fitted constants.
        provenance: How they were run.
        unimodal: p_m of the hypotheses, to name the modality that sees tumour in a conflict.
        stages_seconds: Duration of each stage so far.
        step_seconds: Duration of each sampling step.
    """
    domain = _domain(case, trust_map.label_map > 0, np.any(trust_map.hypothesis_label_maps > 0, axis=0))
    causes = map_causes(case, trust_map, card.constants.conflict_threshold)
    d, h, w = case.grid.shape
    depth, row, column = (round(s, 4) for s in case.grid.spacing_mm)
    summary = Summary(
        task=TaskInfo(name=case.task.name, title=case.task.title),
        model=ModelInfo(name=f"entrust-{card.task}", version=card.version, digest=card.digest, contract=card.contract),
        parameters=Parameters(
            seed=provenance.seed,
            num_hypotheses=provenance.num_hypotheses,
            num_steps=provenance.num_steps,
            sampler=provenance.sampler,
            eta=provenance.eta,
        ),
        modalities=tuple(_modality(case, slug) for slug in case.task.slugs if slug in case.used),
        missing=tuple(case.missing),
        grid=GridInfo(
            shape=(d, h, w), spacing_mm=(depth, row, column), voxel_volume_ml=round(case.grid.voxel_volume_ml, 6)
        ),
        agreement=round(trust_map.agreement, 4),
        segments=tuple(
            _segment(case, trust_map, label, card.constants.volume_interval_scale) for label in case.task.labels
        ),
        uncertain=find_regions(case, trust_map, card.constants.uncertain_threshold, domain, causes, unimodal),
        conflict_threshold=card.constants.conflict_threshold,
        conflict=_conflicts(case, trust_map, causes, domain),
        warnings=tuple(InputWarning(code=w.code, message=w.message) for w in case.warnings),
    )
    return summary.with_timings(stages_seconds or {}, step_seconds)


def rate(agreement: float, mean_error: float | None, interval: Interval) -> tuple[Reliability, tuple[str, ...]]:
    """Return a word for how far a segment can be relied on, and what keeps it from being ``high``.

    *low*: nothing was found (agreement on nothing is no evidence of absence), or the hypotheses agree less than 0.6,
    or the mean error probability exceeds 0.25, or the upper end of the volume interval is more than three times the
    lower one (1 ml added to both). *high*: agreement at least 0.85 and mean error at most 0.10. *moderate*: everything
    else.

    Args:
        agreement: Mean pairwise Dice of the hypotheses for the segment.
        mean_error: Mean error probability around the segment; None where nothing was found.
        interval: Volume interval in ml.
    """
    if mean_error is None:
        return "low", ("nothing-found",)
    error = mean_error
    wide = interval.high + NEGLIGIBLE_ML > WIDE_INTERVAL * (interval.low + NEGLIGIBLE_ML)
    reasons = tuple(
        slug
        for slug, holds in (
            ("hypotheses-disagree", agreement < HIGH_AGREEMENT),
            ("error-probable", error > LOW_MEAN_ERROR),
            ("volume-uncertain", wide),
        )
        if holds
    )
    if agreement < LOW_AGREEMENT or error > HIGH_MEAN_ERROR or wide:
        return "low", reasons
    return ("moderate" if reasons else "high"), reasons


def _domain(
    case: Case, mask: Bool[np.ndarray, "d h w"], hypotheses: Bool[np.ndarray, "d h w"]
) -> Bool[np.ndarray, "d h w"]:
    """Return everything near the mask or a hypothesis; nothing where both are empty."""
    return foreground_domain(mask, hypotheses, spacing_mm=case.grid.spacing_mm)


def _segment(case: Case, trust_map: TrustMap, label: Label, scale: float) -> SegmentInfo:
    voxel_ml = case.grid.voxel_volume_ml
    mask = structure_mask(case.task, trust_map.label_map, label)
    hypotheses = structure_mask(case.task, trust_map.hypothesis_label_maps, label)
    volumes_ml = hypotheses.sum(axis=(1, 2, 3)) * voxel_ml
    volume_ml = float(mask.sum()) * voxel_ml
    imaged_ml = float(case.presence.any(axis=0).sum()) * voxel_ml
    low, high = volume_interval(volumes_ml, scale, LEVEL, estimate_ml=volume_ml, limit_ml=imaged_ml)
    interval = Interval(low=round(low, 3), high=round(high, 3), level=LEVEL)
    error = trust_map.error_probability[_domain(case, mask, np.any(hypotheses, axis=0))]
    agreement = pairwise_dice(hypotheses)
    mean_error = round(float(error.mean()), 4) if error.size else None
    reliability, reasons = rate(agreement, mean_error, interval)
    if any(found.doubtful for found in case.registrations.values()):
        reliability, reasons = "low", (*reasons, REGISTRATION_DOUBTFUL)
    return SegmentInfo(
        label=label.value,
        slug=label.slug,
        title=label.title,
        volume_ml=round(volume_ml, 3),
        volume_interval_ml=interval,
        hypothesis_volumes_ml=tuple(round(float(v), 3) for v in volumes_ml),
        error_probability=None
        if mean_error is None
        else ErrorProbability(mean=mean_error, p95=round(float(np.percentile(error, 95)), 4)),
        agreement=round(agreement, 4),
        reliability=reliability,
        reasons=reasons,
    )


def _modality(case: Case, slug: str) -> ModalityInfo:
    series = case.used[slug]
    number = series.attributes.get("SeriesNumber")
    return ModalityInfo(
        slug=slug,
        title=case.task.modality(slug).title,
        dicom_modality=series.dicom_modality,
        series_number=None if number in (None, "") else int(number),
        reference=series is case.reference,
        coverage=round(float(case.presence[case.task.slugs.index(slug)].mean()), 4),
        registration=RegistrationInfo(**vars(case.registrations[slug])) if slug in case.registrations else None,
    )


def _conflicts(
    case: Case, trust_map: TrustMap, maps: CauseMaps, domain: Bool[np.ndarray, "d h w"]
) -> tuple[PairConflict, ...]:
    size = max(int(domain.sum()), 1)
    disputed, pair_map = maps.disputed[domain], maps.pair[domain]
    return tuple(
        PairConflict(
            modalities=pair,
            share=round(float((disputed & (pair_map == p)).sum()) / size, 4),
            mean=round(float(trust_map.pair_conflict[p][domain].sum()) / size, 4),
        )
        for p, pair in enumerate(case.task.pairs)
    )
