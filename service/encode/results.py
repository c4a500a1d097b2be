"""The answer in the source's geometry: model-grid values sampled on the reference series' grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from entrust.resampling import resample
from entrust.structures import structure_probability
from entrust.trustmap import TrustMap
from entrust.volume import Grid, Volume
from service.study import Case


@dataclass(frozen=True, eq=False)
class Results:
    """What is written out, on the grid of the reference series.

    Attributes:
        grid: The reference series' grid.
        label_map: Most probable class; background where the model did not look.
        probability: Calibrated probability of every structure, in the order of ``task.labels``.
        error_probability: *Where*: probability that ``label_map`` is wrong; 0 where the model did not look.
        conflict: *Why*: contradiction of the modalities, in [0, 1].
        attribution: *Why*: shift of the answer without a modality, nats, by slug of the modalities that are present.
    """

    grid: Grid
    label_map: UInt8[np.ndarray, "d h w"]
    probability: Float32[np.ndarray, "l d h w"]
    error_probability: Float32[np.ndarray, "d h w"]
    conflict: Float32[np.ndarray, "d h w"]
    attribution: Mapping[str, Float32[np.ndarray, "d h w"]]


def to_source_geometry(case: Case, trust_map: TrustMap) -> Results:
    """Sample a trust map on the reference series' grid.

    Probabilities are interpolated linearly and the mask is their argmax at the source's resolution, so that its
    outline is as smooth as the probability is.
    """
    grid = case.reference.volume.grid
    box, window = _overlap(case.grid, grid)

    def at_source(values: Float[np.ndarray, "d h w"], upper: float) -> Float32[np.ndarray, "d h w"]:
        full = np.zeros(grid.shape, dtype=np.float32)
        if window is not None:
            sampled = resample(Volume(values.astype(np.float32), case.grid), window, linear=True, outside=0.0)
            full[box] = np.clip(sampled.array, 0.0, upper)
        return full

    task = case.task
    classes = np.stack([at_source(trust_map.probability[label.value], 1.0) for label in task.labels])
    background = 1.0 - classes.sum(axis=0)
    every = np.concatenate([background[None], classes])
    return Results(
        grid=grid,
        label_map=_label_map(classes, background, np.asarray([label.value for label in task.labels], dtype=np.uint8)),
        probability=np.stack([np.minimum(structure_probability(task, every, label), 1.0) for label in task.labels]),
        error_probability=at_source(trust_map.error_probability, 1.0),
        conflict=at_source(trust_map.conflict, 1.0),
        attribution={
            slug: at_source(shift, np.inf) for slug, shift in trust_map.attribution.items() if slug in case.used
        },
    )


def _label_map(
    probability: Float32[np.ndarray, "l d h w"],
    background: Float32[np.ndarray, "d h w"],
    values: UInt8[np.ndarray, "l"],
) -> UInt8[np.ndarray, "d h w"]:
    """Return the most probable class; the background has what the labels leave of 1, and wins ties."""
    best = probability.argmax(axis=0)
    chosen = np.take_along_axis(probability, best[None], axis=0)[0]
    return np.where(chosen > background, values[best], np.uint8(0))


def _overlap(model: Grid, source: Grid) -> tuple[tuple[slice, slice, slice], Grid | None]:
    """Return the part of the source grid that the model grid reaches, as slices and as a grid; None where nothing."""
    # one model voxel beyond the outermost centres on every side, as far as interpolation reaches
    ends: Shaped[np.ndarray, "8 3"] = np.stack(
        np.meshgrid(*[(-1.0, float(n)) for n in model.shape], indexing="ij"), axis=-1
    ).reshape(8, 3)
    index = source.to_index(model.to_world(ends))
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, source.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, source.shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    if (high <= low).any():
        return box, None
    d, h, w = (int(n) for n in high - low)
    return box, source.crop((int(low[0]), int(low[1]), int(low[2])), (d, h, w))
