"""Real studies by the shipped rules: what is taken, what is refused and why; headers alone say what reading says."""

from pathlib import Path

import pytest

from entrust.contract import TASKS
from entrust.errors import EnTrustError
from service.ingest import inspect_study, read_study
from service.selection import default_rules, select
from tests.factories.selections import cast


def chosen(folder: Path) -> dict[str, str]:
    series = inspect_study(folder)
    found = select(series, default_rules(), TASKS)
    return {slug: series[index].description for slug, index in found.chosen.items()}


@pytest.mark.parametrize("patient", ["STS_001", "STS_010"])
def test_an_oncology_study(patient: str, shared_data: Path) -> None:
    found = select(inspect_study(shared_data / "dicom_oncology" / patient), default_rules(), TASKS)
    assert found.task == "oncology"
    assert list(found.chosen) == ["ct", "pet", "t1"]
    states = [(series.dicom_modality, series.state) for series in found.explanation.series]
    assert sorted(states) == [("CT", "taken"), ("MR", "taken"), ("PT", "taken")] + [("RTSTRUCT", "refused")] * 3
    assert not found.explanation.warnings


def test_a_raw_study(shared_data: Path) -> None:
    folder = shared_data / "dicom_oncology_raw" / "STS_001"
    assert chosen(folder) == {"pet": "PET AC", "t1": "AXIAL SE T1 - RESEARCH"}
    found = select(inspect_study(folder), default_rules(), TASKS)
    assert [warning.code for warning in found.explanation.warnings] == ["frames-of-reference-differ"]
    (t2,) = [s for s in found.explanation.series if s.state == "unmatched"]
    (rule,) = [rule for rule in t2.rules if rule.rule == "oncology: t1"]
    assert rule.checks[2].parts[0].saw == "t2, by its description"


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("gantrytilting", "geometry-conflict", "gantry tilt"),
        ("sliceincrement", "geometry-conflict", "Slices are missing"),
        ("sliceorientation", "geometry-conflict", "different orientations"),
        ("notavolume", "geometry-conflict", "different pixels lie at one position"),
    ],
)
def test_awkward_series_are_refused_with_a_reason(path: str, kind: str, words: str, shared_data: Path) -> None:
    found = select(
        inspect_study(shared_data / "awkward_dicom" / "dicom2nifti" / "failing" / path), default_rules(), TASKS
    )
    refusals = [series.refusal for series in found.explanation.series if series.refusal]
    assert found.task is None
    assert any(refusal.kind == kind and words in refusal.reason and refusal.fix for refusal in refusals)


def test_headers_alone_choose_what_reading_chooses(shared_data: Path) -> None:
    root = shared_data / "awkward_dicom"
    folders = sorted({path.parent for path in root.rglob("*") if path.is_file()} | {root / "dcm_qa_enh"})
    compared = 0
    for folder in folders:
        try:
            read = {slug: one.uid for slug, one in cast(read_study(folder)).series.items()}
        except EnTrustError:
            continue
        series = inspect_study(folder)
        found = select(series, default_rules(), TASKS, task="oncology")
        assert {slug: series[index].uid for slug, index in found.chosen.items()} == read, folder.name
        compared += 1
    assert compared >= 3
