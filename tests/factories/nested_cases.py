"""A brain study as DICOM and an answer with nested structures of known size, for whatever writes structures."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from pydicom.uid import generate_uid

from entrust.contract import BRAIN
from entrust.trustmap import TrustMap
from entrust.uncertainty import pairwise_dice
from entrust.volume import Grid
from service.ingest import IngestLimits, read_study
from service.study import Case
from tests.factories.dicom_series import build_series, plane_grid, write_series
from tests.factories.trust_maps import ball, case_of

CENTRE_MM = (12.0, -20.0, 35.0)
RADII_MM = (18.0, 12.0, 6.0)
SHIFTS_MM = (-1.5, 0.0, 1.5)
"""By how much each hypothesis draws every structure larger."""


def brain_case(folder: Path) -> Case:
    """Write and read one axial series per modality; the model's grid is that of the series, so nothing is resampled."""
    grid = plane_grid("axial", (10, 40, 40), BRAIN.spacing_mm, CENTRE_MM)
    study_uid, frame_uid = generate_uid(), generate_uid()
    for number, slug in enumerate(BRAIN.slugs, start=1):
        values = np.random.default_rng(number).integers(0, 1000, grid.shape).astype(np.float64)
        series = build_series(
            values, grid, "MR", study_uid=study_uid, frame_of_reference_uid=frame_uid, series_number=number
        )
        write_series(folder / slug, series)
    study = read_study(folder, limits=IngestLimits())
    by_number = {int(series.attributes["SeriesNumber"]): series for series in study.series}
    used = {slug: by_number[number] for number, slug in enumerate(BRAIN.slugs, start=1)}
    return case_of(used["t1"].volume.grid, used, task=BRAIN)


def label_map_of(grid: Grid, larger_mm: float = 0.0) -> UInt8[np.ndarray, "d h w"]:
    """Return concentric balls: at each voxel the number of structures it lies in."""
    inside = [ball(grid, CENTRE_MM, radius_mm + larger_mm) for radius_mm in RADII_MM]
    return np.sum(inside, axis=0).astype(np.uint8)


def nested_answer(case: Case) -> TrustMap:
    """Return the answer of :func:`label_map_of`, without any doubt but that of its hypotheses."""
    label_map = label_map_of(case.grid)
    hypotheses = np.stack([label_map_of(case.grid, shift_mm) for shift_mm in SHIFTS_MM])
    classes = np.arange(BRAIN.num_classes)[:, None, None, None]
    zeros = np.zeros(case.grid.shape, dtype=np.float32)
    return TrustMap(
        probability=np.where(label_map == classes, 0.85, 0.05).astype(np.float32),
        label_map=label_map,
        error_probability=zeros + np.float32(0.15),
        predictive_entropy=zeros,
        expected_entropy=zeros,
        mutual_information=zeros,
        conflict=zeros,
        pair_conflict=np.zeros((len(BRAIN.pairs), *case.grid.shape), dtype=np.float32),
        attribution=dict.fromkeys(BRAIN.slugs, zeros),
        hypothesis_label_maps=hypotheses,
        agreement=pairwise_dice(hypotheses > 0),
    )
