"""Results seen by programs that are not ours: dicom3tools and PixelMed for the objects, dcmqi for the geometry."""

from pathlib import Path

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.volume import Grid
from service.encode import Extra
from service.encode.objects import UNPAIRED
from service.encode.results import to_source_geometry
from service.ingest import IngestLimits, read_study
from service.study import Case
from tests.factories.dicom_cases import answer, encode_case, read_case, usual_grids, write_study
from tests.factories.selections import prepare
from tests.factories.trust_maps import case_of
from tests.validators.programs import (
    Geometry,
    NotInstalledError,
    compare,
    entity_errors,
    find,
    object_errors,
    read_mask,
    report_errors,
)
from tests.validators.studies import STUDIES, PhantomStudy
from tests.validators.verdict import UNKNOWN_TO_VALIDATORS, judge

LABEL = ONCOLOGY.labels[0].value


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Skip where nobody but us could look at the results."""
    for name in ("dciodvfy", "dcentvfy", "segimage2itkimage"):
        try:
            find(name)
        except NotInstalledError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_nobody_finds_a_fault(study: PhantomStudy, tmp_path: Path) -> None:
    verdict = judge(study, tmp_path, thorough=False)
    assert verdict.objects >= 8
    assert verdict.good, verdict


@pytest.mark.parametrize("study", [s for s in STUDIES if s.name == "two segments, oblique, without MR"], ids=str)
def test_the_report_follows_its_template_for_pixelmed(study: PhantomStudy, tmp_path: Path) -> None:
    case = study.write(tmp_path / "study")
    path = tmp_path / "report.dcm"
    path.write_bytes(encode_case(case, study.answered(case))["report.dcm"])
    try:
        assert report_errors(path) == []
    except NotInstalledError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("laterality", [None, "L"])
@pytest.mark.parametrize("body_part", [None, "EXTREMITY", "NOT A TERM", *sorted(UNPAIRED)[:2]])
def test_body_part_and_side_stay_valid(body_part: str | None, laterality: str | None, tmp_path: Path) -> None:
    tags = {"BodyPartExamined": body_part, "Laterality": laterality}
    write_study(tmp_path / "study", {"ct": usual_grids()["ct"]}, tags=tags)
    _save(read_case(tmp_path / "study"), tmp_path)


def test_an_enhanced_multi_frame_object_passes_all(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "awkward_dicom" / "dcm_qa_enh" / "XA10" / "6_1.dcm"
    (series,) = read_study(source, limits=IngestLimits()).series
    grid = series.volume.grid
    middle_mm = grid.to_world((np.asarray([grid.shape]) - 1) / 2)[0]
    x, y, z = middle_mm - (34.0, 34.0, 26.0)
    case = case_of(Grid.axial((16, 34, 34), (3.27, 2.0, 2.0), (x, y, z)), {"t1": series})
    _save(case, tmp_path, tuple(middle_mm), 15.0)


def test_a_real_study_passes_all(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dicom_oncology" / "STS_001"
    case = prepare(read_study(folder, limits=IngestLimits()), ONCOLOGY)
    middle_mm = case.grid.to_world((np.asarray([case.grid.shape]) - 1) / 2)[0]
    paths = _save(case, tmp_path, tuple(middle_mm), 30.0)
    # against the reference alone: the three source series contradict each other in StudyTime and StudyDescription
    assert entity_errors([*(folder / "CT" / "image").glob("*.dcm"), *paths]) == []


def _save(
    case: Case, folder: Path, centre_mm: tuple[float, ...] = (15.0, -18.0, 33.0), radius_mm: float = 11.0
) -> list[Path]:
    """Write every result of a case, see that it is valid, and that the mask lies where it should."""
    x, y, z = centre_mm
    trust_map = answer(case, (x, y, z), radius_mm)
    paths = []
    for name, content in encode_case(case, trust_map, extras=tuple(Extra)).items():
        paths.append(folder / name)
        paths[-1].write_bytes(content)
        assert name in UNKNOWN_TO_VALIDATORS or object_errors(paths[-1]) == [], name
    meant = to_source_geometry(case, trust_map).label_map == LABEL
    grid = case.reference.volume.grid
    seen = read_mask(folder / "segmentation.dcm", LABEL, grid, folder / "dcmqi")
    assert meant.any()
    assert compare(seen, meant, grid) == Geometry(1.0, pytest.approx(0.0, abs=1e-3))
    return paths
