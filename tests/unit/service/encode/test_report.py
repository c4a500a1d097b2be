"""The report, read back by highdicom's parser of TID 1500."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from highdicom.sr import Comprehensive3DSR, VolumetricROIMeasurementsAndQualitativeEvaluations
from highdicom.sr.sop import srread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from entrust.trustmap import TrustMap
from service.encode.codes import (
    CAUSE,
    ERROR_PROBABILITY,
    MISSING,
    REASON,
    RELIABILITY,
    VOLUME_HIGH,
    VOLUME_LOW,
    cause,
    reason,
)
from service.study import Case
from service.summary import Cause, Interval
from service.trust.summary import rate
from tests.factories.dicom_cases import (
    MODEL_GRID,
    answer,
    answer_of_two,
    encode_case,
    read_case,
    summary_of,
    two_structures,
    usual_grids,
    write_study,
)
from tests.factories.trust_maps import CARD, trust_map_of

Group = VolumetricROIMeasurementsAndQualitativeEvaluations


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, usual_grids())
    return folder


def report_of(case: Case, trust_map: TrustMap) -> tuple[Comprehensive3DSR, dict[str, Dataset]]:
    contents = encode_case(case, trust_map)
    return srread(BytesIO(contents["report.dcm"])), {n: dcmread(BytesIO(c)) for n, c in contents.items()}


def values(group: Group) -> dict[str, float]:
    return {m.name.value: m.value for m in group.get_measurements() if m.name.value != ERROR_PROBABILITY.value}


def words(group: Group, name: str) -> list[str]:
    return [e.value.value for e in group.get_qualitative_evaluations() if e.name.value == name]


def test_each_segment_has_a_group_with_its_numbers(study: Path) -> None:
    case = read_case(study, task=two_structures())
    trust_map = answer_of_two(case)
    report, objects = report_of(case, trust_map)
    summary = summary_of(case, trust_map)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(summary.segments) == 2
    segments = objects["segmentation.dcm"].SegmentSequence
    for group, found, segment in zip(groups, summary.segments, segments, strict=True):
        assert (group.tracking_uid, group.tracking_identifier) == (segment.TrackingUID, segment.TrackingID)
        assert group.referenced_segment.referenced_sop_instance_uid == objects["segmentation.dcm"].SOPInstanceUID
        assert group.finding_type == codes.SCT.Neoplasm or found.label == 2
        interval = found.volume_interval_ml
        assert values(group) == {
            codes.SCT.Volume.value: pytest.approx(found.volume_ml * 1000, abs=0.1),
            VOLUME_LOW.value: pytest.approx(interval.low * 1000, abs=0.1),
            VOLUME_HIGH.value: pytest.approx(interval.high * 1000, abs=0.1),
            "VOLUMELEVEL": interval.level,
        }
        volume = group.get_measurements(name=codes.SCT.Volume)[0]
        assert (volume.unit.value, volume.unit.scheme_designator) == ("mm3", "UCUM")
        errors = group.get_measurements(name=ERROR_PROBABILITY)
        assert found.error_probability is not None
        assert [(m.derivation.value, m.value) for m in errors] == [
            (codes.cid7464.Mean.value, found.error_probability.mean),
            ("371889001", found.error_probability.p95),
        ]
        (image,) = errors[0].referenced_images
        assert image.referenced_sop_instance_uid == objects["error_probability.dcm"].SOPInstanceUID


def test_doubt_names_the_modalities_that_disagree(study: Path) -> None:
    case = read_case(study)
    disputed = answer(case)
    report, _ = report_of(case, replace(disputed, error_probability=np.where(disputed.label_map > 0, 0.9, 0.0)))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert words(group, RELIABILITY.value) == ["62482003"]  # low
    assert "ERROR_PROBABLE" in words(group, REASON.value)
    assert words(group, CAUSE.value)[0] == "CONFLICT_CT_PET"
    (cause,) = [e.value for e in group.get_qualitative_evaluations() if e.value.value == "CONFLICT_CT_PET"]
    assert cause.meaning == "CT and FDG PET contradict each other"
    assert words(group, MISSING.value) == []


def test_every_reason_and_cause_has_a_code() -> None:
    wide = Interval(low=1.0, high=100.0, level=0.9)
    slugs = {*rate(0.0, 1.0, wide)[1], *rate(0.0, None, wide)[1]}
    assert len(slugs) == 4
    assert len({reason(slug).value for slug in slugs}) == 4
    codes_of_causes = [cause(kind, ("ct", "t1"), ("CT", "T1-weighted MR")) for kind in get_args(Cause)]
    assert len({code.value for code in codes_of_causes}) == len(codes_of_causes) == 4
    assert "No data of CT and T1-weighted MR" in {code.meaning for code in codes_of_causes}


def test_what_was_missing_is_told(tmp_path: Path) -> None:
    write_study(tmp_path, {slug: grid for slug, grid in usual_grids().items() if slug != "t1"})
    case = read_case(tmp_path)
    report, _ = report_of(case, answer(case))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert words(group, MISSING.value) == ["MODALITY_T1"]


def test_nothing_found_is_said_without_numbers_that_do_not_exist(study: Path) -> None:
    case = read_case(study)
    report, _ = report_of(case, trust_map_of(np.zeros(MODEL_GRID.shape, dtype=bool)))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert values(group)[codes.SCT.Volume.value] == 0.0
    assert group.get_measurements(name=ERROR_PROBABILITY) == []
    assert words(group, RELIABILITY.value) == ["62482003"]
    assert words(group, REASON.value) == ["NOTHING_FOUND"]


def test_the_evidence_is_every_source_and_the_usual_results(study: Path) -> None:
    case = read_case(study)
    report, objects = report_of(case, answer(case))
    expected = {str(ds.SOPInstanceUID) for series in case.used.values() for ds in series.datasets}
    expected |= {str(ds.SOPInstanceUID) for name, ds in objects.items() if name != "report.dcm"}
    assert {str(instance) for _, _, instance, _ in report.get_evidence()} == expected


def test_observer_and_algorithm_are_the_model(study: Path) -> None:
    case = read_case(study)
    report, objects = report_of(case, answer(case))
    (observer,) = report.content.get_observer_contexts()
    device = observer.observer_identifying_attributes
    assert str(device.uid) == objects["report.dcm"].DeviceUID == objects["segmentation.dcm"].DeviceUID
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group[0].ContentSequence}
    assert items["111003"].TextValue == CARD.version
    parameters = {i.TextValue for i in group[0].ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "111002"}
    assert {"num_hypotheses=4", "num_steps=3", "seed=7"} < parameters


@pytest.mark.parametrize(("slugs", "code"), [(("ct",), "25045-6"), (("t1",), "25056-3"), (("ct", "pet"), "363679005")])
def test_the_procedure_is_the_imaging_procedure(slugs: tuple[str, ...], code: str, tmp_path: Path) -> None:
    write_study(tmp_path, {slug: grid for slug, grid in usual_grids().items() if slug in slugs})
    case = read_case(tmp_path)
    _, objects = report_of(case, answer(case))
    (item,) = (i for i in objects["report.dcm"].ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121058")
    assert item.ConceptCodeSequence[0].CodeValue == code
