"""Uncertain regions: connected sets of voxels that are likely to be wrong, each with the causes that apply to it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from entrust.contract import Task
from entrust.structures import structure_mask, structures_seen
from entrust.trustmap import TrustMap
from entrust.volume import Grid
from service.study import Case
from service.summary import CauseShare, ErrorProbability, Region, Uncertain

MIN_REGION_ML = 0.1
"""Smaller components are counted, not listed: 8 voxels of 2 × 2 × 3.27 mm, less than a reader would look for."""

MAX_REGIONS = 20
"""Listed at most, largest first; the count tells of the others."""

BOUNDARY_MM = 4.0
"""Half width of the band around a mask's surface: two voxels in the plane, one slice across."""

_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class CauseMaps:
    """Where each cause applies.

    Attributes:
        disputed: Two modalities contradict each other.
        pair: Index into ``task.pairs`` of the strongest contradiction.
        absent: Where each modality has no data.
        boundary: Within :data:`BOUNDARY_MM` of the surface of a segment.
    """

    disputed: Bool[np.ndarray, "d h w"]
    pair: Int[np.ndarray, "d h w"]
    absent: Bool[np.ndarray, "m d h w"]
    boundary: Bool[np.ndarray, "d h w"]


def map_causes(case: Case, trust_map: TrustMap, conflict_threshold: float) -> CauseMaps:
    """Tell for every voxel which causes of doubt apply.

    Args:
        case: Gives presence and the task.
        trust_map: Its conflict and mask are used.
        conflict_threshold: G from which a voxel counts as contradicted, see
            :class:`entrust.contract.FittedConstants`.
    """
    contradicted = trust_map.pair_conflict.max(axis=0) > 0 if len(trust_map.pair_conflict) else False
    return CauseMaps(
        disputed=(trust_map.conflict >= conflict_threshold) & contradicted,
        pair=trust_map.pair_conflict.argmax(axis=0)
        if len(trust_map.pair_conflict)
        else np.zeros(trust_map.conflict.shape, dtype=np.int64),
        absent=~case.presence,
        boundary=_surface_band(case.task, trust_map, case.grid),
    )


def find_regions(
    case: Case,
    trust_map: TrustMap,
    threshold: float,
    domain: Bool[np.ndarray, "d h w"],
    causes: CauseMaps,
    unimodal: Float[np.ndarray, "m d c h w"] | None,
) -> Uncertain:
    """Find the connected sets (26 neighbours) of voxels whose error probability reaches ``threshold``.

    Args:
        case: Gives the grid, the presence of the modalities and the reference series.
        trust_map: Error probability and its reasons.
        threshold: Error probability from which a voxel is uncertain.
        domain: Foreground domain, the denominator of the share.
        causes: Where each cause applies.
        unimodal: p_m, what each modality says alone; without it no modality is named as the one that sees tumour.
    """
    uncertain = trust_map.error_probability >= threshold
    labels, count = ndimage.label(uncertain, structure=_NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    voxel_ml = case.grid.voxel_volume_ml
    large = sizes * voxel_ml >= MIN_REGION_ML
    order = [int(i) for i in np.argsort(-sizes, kind="stable") if large[i]]
    boxes = ndimage.find_objects(labels)
    regions = tuple(
        _describe(number, labels, i + 1, boxes[i], int(sizes.sum()), case, trust_map, causes, unimodal)
        for number, i in enumerate(order[:MAX_REGIONS], start=1)
    )
    return Uncertain(
        threshold=round(threshold, 4),
        volume_ml=round(float(sizes.sum()) * voxel_ml, 3),
        share=round(float(uncertain[domain].mean()), 4) if domain.any() else 0.0,
        num_regions=len(order),
        dropped_regions=int((~large).sum()),
        dropped_volume_ml=round(float(sizes[~large].sum()) * voxel_ml, 3),
        min_region_ml=MIN_REGION_ML,
        regions=regions,
    )


def _describe(
    number: int,
    labels: Int[np.ndarray, "d h w"],
    label: int,
    box: tuple[slice, slice, slice],
    total_voxels: int,
    case: Case,
    trust_map: TrustMap,
    causes: CauseMaps,
    unimodal: Float[np.ndarray, "m d c h w"] | None,
) -> Region:
    voxels = tuple(np.nonzero(labels[box] == label)[axis] + box[axis].start for axis in range(3))
    index = np.stack(voxels, axis=1).astype(float)  # [n, 3]
    world_mm = case.grid.to_world(index)
    error = trust_map.error_probability[voxels]
    return Region(
        number=number,
        volume_ml=round(len(index) * case.grid.voxel_volume_ml, 3),
        share=round(len(index) / total_voxels, 4),
        centroid_mm=_point(world_mm.mean(axis=0)),
        box_mm=_extent_mm(case.grid, world_mm),
        slices=_slice_range(case.reference.volume.grid, world_mm),
        error_probability=ErrorProbability(
            mean=round(float(error.mean()), 4), p95=round(float(np.percentile(error, 95)), 4)
        ),
        max_error_probability=round(float(error.max()), 4),
        causes=_causes(voxels, case.task, causes, unimodal),
        attribution_nats={slug: round(float(shift[voxels].mean()), 4) for slug, shift in trust_map.attribution.items()},
    )


def _causes(
    voxels: tuple[Int[np.ndarray, "n"], ...],
    task: Task,
    maps: CauseMaps,
    unimodal: Float[np.ndarray, "m d c h w"] | None,
) -> tuple[CauseShare, ...]:
    disputed, boundary = maps.disputed[voxels], maps.boundary[voxels]
    absent = maps.absent.transpose(1, 2, 3, 0)[voxels]  # [n, m]
    lacking = np.asarray(absent.any(axis=1))
    found: list[CauseShare] = []
    for p, pair in enumerate(task.pairs):
        of_pair = disputed & (maps.pair[voxels] == p)
        if of_pair.any():
            here = tuple(axis[of_pair] for axis in voxels)
            found.append(
                CauseShare(
                    cause="conflict",
                    share=_share(of_pair),
                    modalities=pair,
                    says_foreground=_sees_foreground(task, pair, here, unimodal),
                )
            )
    if lacking.any():
        missing = tuple(slug for slug, gone in zip(task.slugs, absent.any(axis=0), strict=True) if gone)
        found.append(CauseShare(cause="missing-modality", share=_share(lacking), modalities=missing))
    if boundary.any():
        found.append(CauseShare(cause="boundary", share=_share(boundary), modalities=()))
    rest = ~(disputed | lacking | boundary)
    if rest.any():
        found.append(CauseShare(cause="low-evidence", share=_share(rest), modalities=()))
    return tuple(sorted(found, key=lambda cause: -cause.share))  # stable: ties keep the order above


def _sees_foreground(
    task: Task,
    pair: tuple[str, str],
    voxels: tuple[Int[np.ndarray, "n"], ...],
    unimodal: Float[np.ndarray, "m d c h w"] | None,
) -> str | None:
    """Return the modality of the pair that alone sees more of the structures."""
    if unimodal is None:
        return None
    d, h, w = voxels

    def seen(slug: str) -> float:
        alone = unimodal[task.slugs.index(slug)][d, :, h, w].T  # [c, n]
        return float(structures_seen(task, alone).mean())

    return max(pair, key=seen)


def _share(mask: Bool[np.ndarray, "n"]) -> float:
    return round(float(mask.mean()), 4)


def _surface_band(task: Task, trust_map: TrustMap, grid: Grid) -> Bool[np.ndarray, "d h w"]:
    band = np.zeros(grid.shape, dtype=bool)
    for label in task.labels:
        mask = structure_mask(task, trust_map.label_map, label)
        if mask.any() and not mask.all():
            for side in (mask, ~mask):
                distance_mm = ndimage.distance_transform_edt(side, sampling=grid.spacing_mm)
                band |= side & (distance_mm <= BOUNDARY_MM)
    return band


def _point(position_mm: Float[np.ndarray, "3"]) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 1) + 0.0 for v in position_mm)  # + 0.0: no negative zero
    return x, y, z


def _extent_mm(
    grid: Grid, world_mm: Float[np.ndarray, "n 3"]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    half_mm = np.abs(grid.affine[:3, :3]).sum(axis=1) / 2
    return _point(world_mm.min(axis=0) - half_mm), _point(world_mm.max(axis=0) + half_mm)


def _slice_range(reference: Grid, world_mm: Float[np.ndarray, "n 3"]) -> tuple[int, int]:
    depth = np.clip(np.rint(reference.to_index(world_mm)[:, 0]), 0, reference.shape[0] - 1)
    return int(depth.min()), int(depth.max())
