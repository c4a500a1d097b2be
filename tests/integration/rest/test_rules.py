"""``POST /v1/rules:test``: an explanation for good rules and studies, a typed problem for all others."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from entrust.errors import InvalidInputError
from service.api.rest.application import create_application
from service.app import open_gateway
from service.selection import Explanation
from service.selection.loading import default_text
from service.selection.yaml_lines import MAX_BYTES
from service.settings import Settings
from service.startup import make_metrics
from service.triton.embedded import EmbeddedTriton
from tests.factories.studies import dicom_bytes, dicom_datasets, dicom_zip, nifti_files, zipped
from tests.integration.rest.test_refusals import check_problem
from tests.servers.gateway import StartGateway

PATH = "/v1/rules:test"
THIN = b"""\
version: 1
exclude:
  - {name: qa, because: A phantom for quality assurance., when: [{tag: PatientName, regex: '(?i)^test'}]}
tasks:
  - task: oncology
    roles:
      ct: {take: [slice_spacing_mm: {max: 1}]}
"""


def form(study: bytes | None = None, rules: bytes | None = None) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = [("study", ("study.zip", dicom_zip() if study is None else study))]
    return parts if rules is None else [*parts, ("rules", ("rules.yaml", rules))]


async def test_the_gateways_own_rules(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post(PATH, files=form())
    assert answer.status_code == 200, answer.text
    explanation = Explanation.model_validate(answer.json())
    assert explanation.task == "oncology"
    assert [(series.state, series.role) for series in explanation.series] == [
        ("taken", "ct"), ("taken", "pet"), ("taken", "t1"),
    ]  # fmt: skip
    for private in ("Phantom", "PHANTOM", "19700101", "1.2.826"):
        assert private not in answer.text


async def test_rules_of_the_callers_own(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post(PATH, files=form(rules=THIN))
    explanation = Explanation.model_validate(answer.json())
    assert explanation.task is None
    assert {series.reason for series in explanation.series} == {"A phantom for quality assurance."}
    assert "(?i)" not in answer.text
    thin = await gateway.post(PATH, files=form(rules=THIN.replace(b"^test", b"^qa")), data={"task": "oncology"})
    (ct, *_) = thin.json()["series"]
    (rule,) = ct["rules"]
    assert [check["met"] for check in rule["checks"]] == [True, False]
    assert rule["checks"][1] == {
        "criterion": "slice spacing in mm: value ≤ 1", "met": False, "saw": "3.27", "line": 7, "parts": [],
    }  # fmt: skip


async def test_a_zip_as_the_body_or_many_files(gateway: httpx.AsyncClient) -> None:
    raw = await gateway.post(f"{PATH}?task=oncology", content=dicom_zip(), headers={"Content-Type": "application/zip"})
    files = [("study", (f"{i}", dicom_bytes(ds))) for i, ds in enumerate(dicom_datasets())]
    many = await gateway.post(PATH, files=[*files, ("rules", ("r", default_text().encode()))])
    assert raw.json()["task"] == many.json()["task"] == "oncology"
    assert len(raw.json()["series"]) == len(many.json()["series"]) == 3


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        (form(rules=b"version: 1\ntasks:\n  - {task: knitting, roles: {ct: {}}}\n"), "invalid-input", "line 3: "),
        (form(rules=b"x: " + b"y" * MAX_BYTES), "invalid-input", "larger than"),
        (form(rules=b""), "invalid-input", "empty"),
        ([("rules", ("r", THIN))], "invalid-input", "no study"),
        ([*form(rules=THIN), ("rules", ("r", THIN))], "invalid-input", "several rules files"),
        ([*form(), ("ct", ("ct", b"x"))], "invalid-input", "not known here"),
        (form(b"no images"), "unsupported-media", "neither DICOM nor NIfTI"),
        (form(b""), "invalid-input", "empty"),
        (form(zipped({"a": b"x"})[:-9]), "invalid-input", ""),
        (form(bytes(5_000_000)), "too-large", ""),
    ],
)  # fmt: skip
async def test_what_cannot_be_tried_is_a_problem(
    gateway: httpx.AsyncClient, parts: list[tuple[str, Any]], kind: str, words: str
) -> None:
    problem = check_problem(await gateway.post(PATH, files=parts), kind)
    assert words in problem["detail"], problem


async def test_an_unknown_task_is_a_problem(gateway: httpx.AsyncClient) -> None:
    check_problem(await gateway.post(PATH, files=form(), data={"task": "knitting"}), "not-found")


async def test_nifti_has_no_tags_to_judge_by(gateway: httpx.AsyncClient) -> None:
    study = zipped(dict(nifti_files().values()))
    explanation = (await gateway.post(PATH, files=form(study))).json()
    assert [role["decided_by"] for role in explanation["tasks"][0]["roles"]] == ["file name"] * 3


async def test_too_many_series_are_a_problem(gateway: httpx.AsyncClient) -> None:
    (ct, *_) = dicom_datasets(("ct",))
    files = {}
    for number in range(201):
        ct.SeriesInstanceUID, ct.SOPInstanceUID = f"1.2.3.{number}", f"1.2.4.{number}"
        files[str(number)] = dicom_bytes(ct)
    check_problem(await gateway.post(PATH, files=form(zipped(files))), "too-large")


async def test_one_caller_at_a_time(triton: EmbeddedTriton, tmp_path: Path) -> None:
    settings = Settings.model_validate({"triton": {"url": triton.url}, "jobs": {"work_folder": tmp_path}})
    async with open_gateway(settings, make_metrics()) as gateway:
        transport = httpx.ASGITransport(create_application(gateway, version="0"))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            async with gateway.dry_runs:
                busy = await client.post(PATH, files=form())
            check_problem(busy, "overloaded")
            assert int(busy.headers["Retry-After"]) > 0
            assert (await client.post(PATH, files=form())).status_code == 200


async def test_a_gateway_chooses_by_the_file_of_its_setting(start_gateway: StartGateway, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(default_text().replace("[PERFUSION,", "[ORIGINAL,").encode())
    async with start_gateway(selection={"rules": file}) as gateway:
        assert (await gateway.post(PATH, files=form())).json()["task"] is None
        answer = await gateway.post(
            "/v1/segmentations", files=form(), data={"task": "oncology", "wait": "true", "num_hypotheses": "1"}
        )
        check_problem(answer, "missing-modality")


async def test_a_gateway_does_not_start_with_rules_that_cannot_be_used(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1\nroles: {}\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        async with start_gateway(selection={"rules": tmp_path / "rules.yaml"}):
            pass


@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=st.binary(max_size=300), study=st.sampled_from([b"", b"x", dicom_zip()]) | st.binary(max_size=300))
async def test_any_bytes_give_an_explanation_or_a_problem(
    gateway: httpx.AsyncClient, rules: bytes, study: bytes
) -> None:
    answer = await gateway.post(PATH, files=form(study, rules))
    if answer.status_code != 200:
        check_problem(answer, answer.json()["type"].rsplit("/", 1)[-1])
    assert answer.status_code < 500
