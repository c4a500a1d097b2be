"""QIDO-RS by dicomweb-client: what is found, what is returned, page by page."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from dicomweb_client.web import DICOMwebClient

from tests.factories.dicomweb import RELATED, part10, related, small_series
from tests.servers.gateway import RunningGateway

STUDIES = {
    "1.2.3.1": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Jürgen", "PatientID": "P-1",
                "StudyDate": "20290105"},
    "1.2.3.2": {"PatientName": "MULLER^Anna", "PatientID": "P-2", "StudyDate": "20300214",
                "StudyDescription": "Thigh 100%"},
    "1.2.3.3": {"PatientName": "Smith^John", "PatientID": "p-1", "StudyDate": "20300601",
                "StudyDescription": "Thigh 1000"},
}  # fmt: skip


@pytest.fixture(scope="module")
async def filled(pacs: RunningGateway) -> RunningGateway:
    parts = []
    for uid, tags in STUDIES.items():
        study = {"study_uid": uid, "tags": tags}
        parts += [*small_series(3, "CT", series_number=2, **study), *small_series(2, "PT", series_number=10, **study)]
    answer = await pacs.post(
        "/dicom-web/studies", content=related(map(part10, parts)), headers={"Content-Type": RELATED}
    )
    assert answer.status_code == 200, answer.text
    return pacs


@pytest.fixture
def client(filled: RunningGateway) -> DICOMwebClient:
    return DICOMwebClient(f"{filled.base_url}/dicom-web".replace("//dicom", "/dicom"))


async def found(search: Callable[..., list[dict[str, Any]]], keyword_tag: str = "0020000D", **filters: str) -> set[str]:
    results = await asyncio.to_thread(search, search_filters=filters)
    return {result[keyword_tag]["Value"][0] for result in results}


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, "123"),
        ({"PatientName": "m*ller^*"}, "12"),
        ({"PatientName": "MÜLLER^JÜRGEN"}, "1"),
        ({"PatientName": "mu??er^anna"}, "2"),
        ({"PatientName": "Smith"}, ""),
        ({"PatientName": "*"}, "123"),
        ({"PatientID": "P-1"}, "1"),
        ({"StudyDate": "20300101-"}, "23"),
        ({"StudyDate": "-20300214"}, "12"),
        ({"StudyDate": "20300214-20300214"}, "2"),
        ({"StudyDate": "20300601"}, "3"),
        ({"StudyDescription": "Thigh 100%"}, "2"),
        ({"StudyDescription": "Thigh 100*"}, "23"),
        ({"StudyDescription": "Thigh%"}, ""),
        ({"StudyInstanceUID": "1.2.3.1,1.2.3.3"}, "13"),
        ({"00100020": "P-2"}, "2"),
        ({"ModalitiesInStudy": "PT"}, "123"),
        ({"ModalitiesInStudy": "MR"}, ""),
        ({"PatientID": "P-1", "StudyDate": "20300601"}, ""),
    ],
)
async def test_studies_are_found(client: DICOMwebClient, filters: dict[str, str], numbers: str) -> None:
    assert await found(client.search_for_studies, **filters) == {f"1.2.3.{number}" for number in numbers}


async def test_a_study_says_what_it_holds(client: DICOMwebClient) -> None:
    (study,) = await asyncio.to_thread(client.search_for_studies, search_filters={"PatientID": "P-1"})
    assert study["00080061"]["Value"] == ["CT", "PT"]
    assert study["00201206"]["Value"] == [2]
    assert study["00201208"]["Value"] == [5]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Müller^Jürgen"}]
    assert study["00081190"]["Value"][0].endswith("/dicom-web/studies/1.2.3.1")
    assert list(study) == sorted(study)


async def test_series_and_instances_come_in_order_of_their_numbers(client: DICOMwebClient) -> None:
    series = await asyncio.to_thread(client.search_for_series, "1.2.3.2")
    assert [one["00200011"]["Value"][0] for one in series] == [2, 10]
    assert [one["00201209"]["Value"][0] for one in series] == [3, 2]
    instances = await asyncio.to_thread(client.search_for_instances, "1.2.3.2", series[0]["0020000E"]["Value"][0])
    assert [one["00200013"]["Value"][0] for one in instances] == [1, 2, 3]
    assert {one["00280010"]["Value"][0] for one in instances} == {24}
    every = await found(client.search_for_instances, "00080018", Modality="PT", StudyDate="20300214")
    assert len(every) == 2


async def test_more_attributes_come_on_request(client: DICOMwebClient) -> None:
    (plain, *_) = await asyncio.to_thread(client.search_for_series, "1.2.3.1")
    assert "00180015" not in plain
    (named, *_) = await asyncio.to_thread(client.search_for_series, "1.2.3.1", fields=["BodyPartExamined", "00080070"])
    assert named["00180015"]["Value"] == ["LEG"]
    assert "00080070" in named
    (every, *_) = await asyncio.to_thread(client.search_for_series, "1.2.3.1", fields=["all"])
    assert set(named) < set(every)


async def test_pages_follow_each_other_and_tell_of_the_rest(filled: RunningGateway) -> None:
    pages = [await filled.get(f"/dicom-web/instances?limit=6&offset={offset}") for offset in (0, 6, 12, 18)]
    uids = [one["00080018"]["Value"][0] for page in pages for one in page.json()]
    assert len(uids) == len(set(uids)) == 15
    assert "299" in pages[0].headers["warning"]
    assert "9 additional results" in pages[0].headers["warning"]
    assert "warning" not in pages[2].headers
    assert pages[3].json() == []


async def test_a_client_gets_all_pages(client: DICOMwebClient) -> None:
    assert len(await asyncio.to_thread(client.search_for_instances, limit=4, get_remaining=True)) == 15


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "offset=1e3", "PixelData=1", "Nonsense=1", "Modality=CT", "StudyDate=2030-", "StudyDate=-",
     "00100020=P-1&PatientID=P-2", f"{'9' * 8}=1"],
)  # fmt: skip
async def test_what_cannot_be_searched_for_is_said(filled: httpx.AsyncClient, query: str) -> None:
    answer = await filled.get(f"/dicom-web/studies?{query}")
    if query == "StudyDate=2030-":  # a year is a prefix of a date, and so a bound
        assert answer.status_code == 200
        return
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "/problems/invalid-input"


async def test_fuzzy_matching_is_said_not_to_happen(filled: httpx.AsyncClient) -> None:
    answer = await filled.get("/dicom-web/studies?fuzzymatching=true")
    assert "fuzzymatching" in answer.headers["warning"]
    assert len(answer.json()) == 3


async def test_patient_data_stay_out_of_the_metrics(filled: httpx.AsyncClient) -> None:
    await filled.get("/dicom-web/studies?PatientName=Smith*")
    text = (await filled.get("/metrics")).text
    assert "1.2.3.1" not in text
    assert "Smith" not in text
    assert 'entrust_door_requests_total{door="dicomweb",outcome="ok"}' in text
