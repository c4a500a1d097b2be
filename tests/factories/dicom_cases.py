"""DICOM studies read by the real reader, with a known answer on the model's grid."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from scipy import ndimage

from entrust.contract import ONCOLOGY
from entrust.trustmap import TrustMap
from entrust.volume import Grid
from service.ingest import IngestLimits, read_study
from service.study import Case, Series
from service.summary import Summary
from service.trust import summarise
from tests.factories.dicom_series import build_series, plane_grid, write_series
from tests.factories.trust_maps import CARD, PROVENANCE, ball, case_of, soft_hypotheses, trust_map_of

CENTRE_MM = (15.0, -18.0, 33.0)
MODEL_GRID = Grid.axial((16, 34, 34), (3.27, 2.0, 2.0), (-18.0, -53.0, 10.0))
_MODALITIES = {"ct": "CT", "pet": "PT", "t1": "MR"}


def write_study(
    folder: Path,
    grids: Mapping[str, Grid],
    *,
    shuffle_seed: int | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> dict[str, list[Dataset]]:
    """Write one series per modality slug into ``folder``; return their datasets by slug."""
    study_uid, frame_uid = generate_uid(), generate_uid()
    written = {}
    for number, (slug, grid) in enumerate(grids.items(), start=1):
        values = np.random.default_rng(number).integers(0, 1000, grid.shape).astype(np.float64)
        datasets = build_series(
            values,
            grid,
            _MODALITIES[slug],
            study_uid=study_uid,
            frame_of_reference_uid=frame_uid,
            series_number=number,
            shuffle_seed=shuffle_seed,
            tags=tags,
        )
        write_series(folder / slug, datasets)
        written[slug] = datasets
    return written


def read_case(folder: Path, model_grid: Grid = MODEL_GRID) -> Case:
    """Read a study written by :func:`write_study` and put it on a model grid."""
    slugs = {dicom: slug for slug, dicom in _MODALITIES.items()}
    study = read_study(folder, limits=IngestLimits())
    used: dict[str, Series] = {slugs[series.dicom_modality]: series for series in study.series}
    return case_of(model_grid, {slug: used[slug] for slug in ONCOLOGY.slugs if slug in used})


def answer(case: Case, centre_mm: tuple[float, float, float] = CENTRE_MM, radius_mm: float = 11.0) -> TrustMap:
    """Return a trust map whose mask is a ball with a soft edge."""
    mask = ball(case.grid, centre_mm, radius_mm)
    spacing_mm = case.grid.spacing_mm
    inside_mm = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    signed_mm = inside_mm - ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    return trust_map_of(
        mask,
        foreground=(1.0 / (1.0 + np.exp(-signed_mm / 2.0))).astype(np.float32),
        hypotheses=soft_hypotheses(mask, spacing_mm, (-2.0, -1.0, 1.0, 2.0)),
        pair_conflict={("ct", "pet"): 0.8 * mask},
    )


def summary_of(case: Case, trust_map: TrustMap) -> Summary:
    """Return the summary of an answer."""
    return summarise(case, trust_map, CARD, PROVENANCE)


def usual_grids(plane: str = "axial") -> dict[str, Grid]:
    """Return a fine CT, a coarse PET of the same orientation and a sagittal MR."""
    return {
        "ct": plane_grid(plane, (10, 24, 20), (4.0, 2.0, 3.0)),
        "pet": plane_grid(plane, (8, 12, 12), (5.0, 5.0, 5.0)),
        "t1": plane_grid("sagittal", (12, 20, 16), (4.0, 2.5, 2.5)),
    }
