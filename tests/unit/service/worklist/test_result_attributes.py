"""Results take patient and request from the workitem first, what is empty there as empty, and then from the input."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from entrust.volume import Volume
from service.ingest import overlay
from service.study import Series, Study
from service.worklist.workitem import Workitem
from tests.factories.dicom_series import plane_grid
from tests.factories.dicomweb import small_series
from tests.factories.workitems import build_workitem, one, sequence


def request(number: str = "A1", **more: Any) -> dict[str, Any]:
    return {
        "0020000D": one("UI", "1.2.3"), "00080050": one("SH", number), "00401001": one("SH", f"RP-{number}"),
        "00321060": one("LO", "PET/CT"), "00402016": one("LO", "placer"),
    } | more  # fmt: skip


def study(**tags: Any) -> Study:
    datasets = small_series(2, tags=tags)
    grid = plane_grid("axial", (2, 24, 20))
    volume = Volume(np.zeros(grid.shape, np.float32), grid)
    series = Series("1.2.3.4", "CT", "", "", volume, "HU", datasets=tuple(datasets))
    return Study("dicom", "1.2.3", (series,))


def first(of: Study) -> Dataset:
    ds: Dataset = of.series[0].datasets[0]
    return ds


def test_what_the_workitem_says_goes_first() -> None:
    item = Workitem(
        build_workitem(t00100010={"vr": "PN", "Value": [{"Alphabetic": "Müller^Grete"}]}, t00100020=one("LO", "P7"))
    )
    done = first(overlay(study(PatientName="OLD^NAME", PatientID="1", PatientSex="F"), item.result_attributes()))
    assert (str(done.PatientName), done.PatientID, done.PatientSex) == ("Müller^Grete", "P7", "F")
    assert done.SpecificCharacterSet == "ISO_IR 192"


def test_empty_is_copied_empty_and_absent_is_not_copied() -> None:
    item = Workitem(build_workitem(t00100040=one("CS"), t00380010=one("LO")))
    done = first(overlay(study(PatientSex="F", PatientBirthDate="19700101"), item.result_attributes()))
    assert done.PatientSex in ("", None)
    assert done["AdmissionID"].is_empty
    assert done.PatientBirthDate == "19700101"


def test_one_request_is_the_accession() -> None:
    item = Workitem(build_workitem(t0040A370=sequence(request())))
    done = first(overlay(study(AccessionNumber="OLD"), item.result_attributes()))
    assert done.AccessionNumber == "A1"
    (asked,) = done.RequestAttributesSequence
    assert (asked.AccessionNumber, asked.RequestedProcedureID) == ("A1", "RP-A1")
    assert "PlacerOrderNumberImagingServiceRequest" not in asked
    (reported,) = done.ReferencedRequestSequence
    assert reported.PlacerOrderNumberImagingServiceRequest == "placer"
    assert reported["FillerOrderNumberImagingServiceRequest"].is_empty  # type 2


def test_an_empty_code_of_a_request_stays_in_the_report_alone() -> None:
    item = Workitem(build_workitem(t0040A370=sequence(request(**{"00321064": one("SQ"), "00321060": one("LO")}))))
    done = first(overlay(study(), item.result_attributes()))
    assert "RequestedProcedureCodeSequence" not in done.RequestAttributesSequence[0]
    assert done.RequestAttributesSequence[0]["RequestedProcedureDescription"].is_empty
    assert done.ReferencedRequestSequence[0]["RequestedProcedureCodeSequence"].is_empty


def test_several_requests_leave_the_accession_to_the_input() -> None:
    item = Workitem(build_workitem(t0040A370=sequence(request("A1"), request("A2"))))
    done = first(overlay(study(AccessionNumber="OLD"), item.result_attributes()))
    assert done.AccessionNumber == "OLD"
    assert [one.AccessionNumber for one in done.RequestAttributesSequence] == ["A1", "A2"]


def test_the_input_itself_is_not_changed() -> None:
    before = study(PatientID="1")
    overlay(before, Workitem(build_workitem(t00100020=one("LO", "P7"))).result_attributes())
    assert first(before).PatientID == "1"


def test_a_workitem_without_requests_takes_none_away() -> None:
    asked = Dataset()
    asked.AccessionNumber = "OLD"
    item = Workitem(build_workitem(t00100020=one("LO", "P7")))
    done = first(overlay(study(RequestAttributesSequence=Sequence([asked])), item.result_attributes()))
    assert done.RequestAttributesSequence[0].AccessionNumber == "OLD"
