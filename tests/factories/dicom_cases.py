"""DICOM studies read by the real reader, with a known answer on the model's grid."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from scipy import ndimage

from entrust.contract import ONCOLOGY, Code, Label, ModelCard, Task
from entrust.trustmap import TrustMap
from entrust.volume import Grid
from service.encode import Extra
from service.encode.encoding import encode_dicom
from service.encode.identity import Identity
from service.encode.montage import draw_montage
from service.encode.results import to_source_geometry
from service.ingest import IngestLimits, read_study
from service.study import Case, Series
from service.summary import Provenance, Summary
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


def read_case(folder: Path, model_grid: Grid = MODEL_GRID, task: Task = ONCOLOGY) -> Case:
    """Read a study written by :func:`write_study` and put it on a model grid."""
    slugs = {dicom: slug for slug, dicom in _MODALITIES.items()}
    study = read_study(folder, limits=IngestLimits())
    used: dict[str, Series] = {slugs[series.dicom_modality]: series for series in study.series}
    return case_of(model_grid, {slug: used[slug] for slug in task.slugs if slug in used}, task=task)


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


def two_structures() -> Task:
    """Return the oncology task with a second label, for what must hold of several segments."""
    (first,) = ONCOLOGY.labels
    second = Label(
        value=2,
        slug="oedema",
        title="Oedema",
        property_category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
        property_type=Code("79654002", "SCT", "Edema"),
        colour=(60, 120, 216),
    )
    return replace(ONCOLOGY, labels=(first, second))


def answer_of_two(case: Case, centre_mm: tuple[float, float, float] = CENTRE_MM) -> TrustMap:
    """Return the answer for :func:`two_structures`: a ball, and a shell around it with a hole in every plane."""
    inner, outer = ball(case.grid, centre_mm, 8.0), ball(case.grid, centre_mm, 14.0)
    shell = outer & ~inner
    one = answer(case, centre_mm, 8.0)
    probability = np.stack([np.where(outer, 0.05, 0.9), np.where(inner, 0.9, 0.05), np.where(shell, 0.9, 0.05)])
    label_map = np.where(inner, 1, np.where(shell, 2, 0)).astype(np.uint8)
    return replace(
        one,
        probability=probability.astype(np.float32),
        label_map=label_map,
        hypothesis_label_maps=np.stack([label_map] * PROVENANCE.num_hypotheses),
    )


def encode_case(
    case: Case,
    trust_map: TrustMap | None = None,
    *,
    card: ModelCard = CARD,
    provenance: Provenance = PROVENANCE,
    extras: Collection[Extra] = (),
) -> dict[str, bytes]:
    """Return the DICOM results of a case, by default of its :func:`answer`."""
    trust_map = trust_map or answer(case)
    summary = summarise(case, trust_map, card, provenance)
    montage = draw_montage(case, trust_map, summary) if Extra.CAPTURE in extras else b""
    results = to_source_geometry(case, trust_map)
    return encode_dicom(case, results, summary, Identity.of(case, card, provenance), montage, extras)


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
