"""The OpenAPI document is complete: every operation speaks of its failures, every example fits its schema."""

from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from entrust.errors import ErrorKind
from service.api.rest.problems import MEDIA_TYPE, PROBLEMS, Problem
from service.api.rest.resources import JobResource


@pytest.fixture(scope="module")
async def document(gateway: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{m.upper()} {path}": op for path, item in document["paths"].items() for m, op in item.items()}


def test_every_promised_operation_is_there(document: dict[str, Any]) -> None:
    assert set(operations(document)) == {
        "POST /v1/segmentations", "GET /v1/jobs/{job_id}", "DELETE /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/events",
        "GET /v1/jobs/{job_id}/results", "GET /v1/jobs/{job_id}/results/{name}", "GET /v1/models", "GET /health/live",
        "GET /health/ready", "GET /metrics", "GET /problems/{kind}", "POST /v1/rules:test",
        "GET /v1/studies", "GET /v1/studies/{study}", "POST /v1/studies/{study}:restart",
        "POST /v1/studies/{study}:cancel", "POST /v1/studies:retrieve", "GET /v1/retrievals/{retrieval_id}",
        "DELETE /v1/retrievals/{retrieval_id}",
    }  # fmt: skip


def test_every_operation_is_explained(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        assert operation["tags"], name


def test_problem_examples_are_problems(document: dict[str, Any]) -> None:
    seen = set()
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            for kind, example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).items():
                problem = Problem.model_validate(example["value"])
                assert problem.status == PROBLEMS[ErrorKind(kind)].status == int(status)
                seen.add(kind)
    undecided = {ErrorKind.FORBIDDEN, ErrorKind.DELIVERY_FAILED}  # no operation says so yet
    assert seen == set(ErrorKind) - undecided


def test_failures_speak_problem_json_alone(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if int(status) >= 400 and (name, status) != ("GET /health/ready", "503"):
                assert set(response["content"]) == {MEDIA_TYPE}, (name, status)


def test_the_body_is_described_with_examples(document: dict[str, Any]) -> None:
    content = operations(document)["POST /v1/segmentations"]["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "multipart/related", "application/zip", "application/dicom"}
    form = content["multipart/form-data"]
    assert {"study", "ct", "pet", "t1", "task", "seed", "num_hypotheses", "num_steps", "sampler", "wait"} <= set(
        form["schema"]["properties"]
    )
    for example in form["examples"].values():
        assert set(example["value"]) <= set(form["schema"]["properties"])


def test_the_example_of_a_job_is_a_job(document: dict[str, Any]) -> None:
    (example,) = document["components"]["schemas"]["JobResource"]["examples"]
    assert TypeAdapter(JobResource).validate_python(example).state == "running"


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
