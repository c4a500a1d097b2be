"""Cases and trust maps with known content, for the rooms that come after inference."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from entrust.contract import ONCOLOGY, ModelCard, Task
from entrust.trustmap import TrustMap
from entrust.uncertainty import pairwise_dice
from entrust.volume import Grid, Volume
from service.study import Case, Series, Warned
from service.summary import Provenance

CARD = ModelCard(task="oncology", version="1.2.3", digest="ab" * 32)
PROVENANCE = Provenance(seed=7, num_hypotheses=4, num_steps=3, sampler="ddim")


def ball(grid: Grid, centre_mm: tuple[float, float, float], radius_mm: float) -> Bool[np.ndarray, "d h w"]:
    """Return the voxels whose centres lie within ``radius_mm`` of an LPS point."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    distance_mm = np.linalg.norm(grid.to_world(index.astype(float)) - np.asarray(centre_mm), axis=1)
    return (distance_mm <= radius_mm).reshape(grid.shape)


def nifti_series(grid: Grid, slug: str, array: Float[np.ndarray, "d h w"] | None = None) -> Series:
    """Return a series that came without DICOM."""
    volume = Volume(np.zeros(grid.shape, dtype=np.float32) if array is None else array, grid)
    return Series("", "", "", "", volume, ONCOLOGY.modality(slug).units, role=slug)


def case_of(
    grid: Grid,
    used: Mapping[str, Series],
    *,
    reference: str | None = None,
    intensities: Float[np.ndarray, "m d h w"] | None = None,
    presence: Bool[np.ndarray, "m d h w"] | None = None,
    task: Task = ONCOLOGY,
    warnings: tuple[Warned, ...] = (),
) -> Case:
    """Return a case on ``grid`` with the given series; a modality is present everywhere or nowhere by default."""
    shape = (task.num_modalities, *grid.shape)
    if presence is None:
        presence = np.zeros(shape, dtype=bool)
        presence[[slug in used for slug in task.slugs]] = True
    if intensities is None:
        intensities = np.zeros(shape, dtype=np.float32)
    return Case(
        task=task,
        grid=grid,
        images=intensities,
        presence=presence,
        intensities=intensities,
        used=used,
        reference=used[reference or next(slug for slug in task.reference_order if slug in used)],
        missing=tuple(slug for slug in task.slugs if slug not in used),
        warnings=warnings,
    )


def trust_map_of(
    mask: Bool[np.ndarray, "d h w"],
    *,
    hypotheses: Bool[np.ndarray, "k d h w"] | None = None,
    foreground: Float[np.ndarray, "d h w"] | None = None,
    error_probability: Float[np.ndarray, "d h w"] | None = None,
    pair_conflict: Mapping[tuple[str, str], Float[np.ndarray, "d h w"]] | None = None,
    task: Task = ONCOLOGY,
) -> TrustMap:
    """Return the trust map of a one-label task whose mask, and what else is given, is as told."""
    if foreground is None:
        foreground = np.where(mask, 0.9, 0.1).astype(np.float32)
    if error_probability is None:
        error_probability = np.minimum(foreground, 1.0 - foreground)
    if hypotheses is None:
        hypotheses = np.stack([mask] * PROVENANCE.num_hypotheses)
    pairs = np.zeros((len(task.pairs), *mask.shape), dtype=np.float32)
    for pair, values in (pair_conflict or {}).items():
        pairs[task.pairs.index(pair)] = values
    zeros = np.zeros(mask.shape, dtype=np.float32)
    return TrustMap(
        probability=np.stack([1.0 - foreground, foreground]).astype(np.float32),
        label_map=mask.astype(np.uint8),
        error_probability=error_probability.astype(np.float32),
        predictive_entropy=zeros,
        expected_entropy=zeros,
        mutual_information=zeros,
        conflict=1.0 - np.prod(1.0 - pairs, axis=0),
        pair_conflict=pairs,
        attribution={slug: np.where(mask, 0.1 * (m + 1), 0.0).astype(np.float32) for m, slug in enumerate(task.slugs)},
        hypothesis_label_maps=hypotheses.astype(np.uint8),
        agreement=pairwise_dice(hypotheses),
    )


def soft_hypotheses(
    mask: Bool[np.ndarray, "d h w"], spacing_mm: tuple[float, float, float], offsets_mm: tuple[float, ...]
) -> Bool[np.ndarray, "k d h w"]:
    """Return the mask grown (or shrunk) by each offset."""
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    signed_mm = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) - inside
    return np.stack([signed_mm <= offset for offset in offsets_mm])
