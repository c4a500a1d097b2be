"""``/v1/studies:retrieve`` and ``/v1/retrievals``: fetch a study from a PACS into the archive."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from entrust.errors import EnTrustError, ErrorKind, NotFoundError
from service.api.rest.gateway import Behind
from service.api.rest.problems import Problem, documented, problem_of, respond
from service.intake.gateway import Gateway
from service.jobs.job import JobState
from service.pull import Reason, Retrieval, Retrievals, Wanted

router = APIRouter(tags=["retrievals"])
MAX_NAMED_FAILURES = 1000
"""Instances that did not come and are named, at most; their number is always told."""

RetrievalId = Annotated[str, Path(description="Id of the retrieval.", max_length=64)]


class RetrieveRequest(BaseModel):
    """What to fetch, and from where."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"source": "pacs", "study_instance_uid": "1.2.840.1", "modalities": ["CT", "PT"]}]
        },
    )

    source: str = Field(description="Name of a source that the operator has set.", max_length=32)
    study_instance_uid: str = Field(default="", max_length=64)
    accession_number: str = Field(
        default="", max_length=16, description="Which study, where its UID is not known; without wildcards."
    )
    series_instance_uids: list[str] = Field(
        default_factory=list, max_length=1000, description="These series alone; all when empty."
    )
    modalities: list[str] = Field(
        default_factory=list, max_length=64, description="Series of these modalities (0008,0060) alone; all when empty."
    )
    wait: bool = Field(default=False, description="Answer when it has ended, with 200, instead of at once, with 202.")

    def wanted(self) -> Wanted:
        """Return it as the gateway knows it.

        Raises:
            InvalidInputError: It names no study, or a value cannot be one.
        """
        return Wanted(
            study_uid=self.study_instance_uid,
            accession_number=self.accession_number,
            series_uids=tuple(self.series_instance_uids),
            modalities=tuple(self.modalities),
        )


class FailureResource(BaseModel):
    """An instance that did not come."""

    sop_instance_uid: str = Field(description="Empty where what came could not be read.")
    reason: Reason


class InstancesResource(BaseModel):
    """What became of the instances that are wanted."""

    found: int = Field(description="How many the source has; 0 before it has said.")
    present: int = Field(description="Those that were here before.")
    retrieved: int = Field(description="Those that came.")
    failed: int = Field(description="Those that did not come.")


class RetrievalResource(BaseModel):
    """A retrieval."""

    id: str
    source: str
    state: JobState
    created_at: datetime
    finished_at: datetime | None = None
    here: int = Field(description="Instances of what is wanted that are here now.")
    of: int = Field(description="Instances that are wanted; 0 before the source has said.")
    study_instance_uid: str = Field(default="", description="The study that was found.")
    instances: InstancesResource | None = Field(default=None, description="Told at the end.")
    failures: list[FailureResource] = Field(default_factory=list)
    problem: Problem | None = Field(default=None, description="Why it did not come to its end.")
    links: dict[str, str]


@router.post(
    "/v1/studies:retrieve",
    status_code=202,
    response_model=RetrievalResource,
    responses={
        200: {"description": "With `wait`: it has ended; instances that failed are named.", "model": RetrievalResource},
        202: {"description": "Accepted; `Location` names the retrieval."},
        **documented(
            ErrorKind.INVALID_INPUT, ErrorKind.NOT_FOUND, ErrorKind.CONFLICT, ErrorKind.TOO_LARGE,
            ErrorKind.OVERLOADED, ErrorKind.SOURCE_UNAVAILABLE, ErrorKind.CANCELLED,
        ),
    },
)  # fmt: skip
async def retrieve_study(body: RetrieveRequest, request: Request, gateway: Behind) -> Response:
    """Fetch a study from a PACS.

    Series and instances that are here already are not fetched again, so that the same request resumes one that was cut
    short. An instance that does not come spoils no other.
    """
    retrievals = _retrievals(gateway)
    retrieval = await retrievals.submit(body.source, body.wanted())
    if body.wait:
        retrieval = await _wait(request, retrievals, retrieval, gateway.max_wait_seconds)
        if retrieval.failure is not None:
            gateway.metrics.problem(retrieval.failure.kind)
            return respond(problem_of(retrieval.failure, request.state.request_id))
    status = 200 if retrieval.state.final else 202
    headers = {"Location": f"/v1/retrievals/{retrieval.id}"} | ({"Retry-After": "2"} if status == 202 else {})
    return JSONResponse(retrieval_resource(retrieval).model_dump(mode="json"), status, headers)


@router.get(
    "/v1/retrievals/{retrieval_id}", response_model=RetrievalResource, responses=documented(ErrorKind.NOT_FOUND)
)
async def read_retrieval(retrieval_id: RetrievalId, gateway: Behind) -> RetrievalResource:
    """Say where a retrieval stands, and how it ended."""
    return retrieval_resource(_retrievals(gateway).get(retrieval_id))


@router.delete(
    "/v1/retrievals/{retrieval_id}",
    status_code=202,
    response_model=RetrievalResource,
    responses=documented(ErrorKind.NOT_FOUND, ErrorKind.CONFLICT),
)
async def cancel_retrieval(retrieval_id: RetrievalId, gateway: Behind) -> RetrievalResource:
    """Stop a retrieval after its present instance; what has come is kept."""
    return retrieval_resource(_retrievals(gateway).cancel(retrieval_id))


def retrieval_resource(retrieval: Retrieval) -> RetrievalResource:
    """Return the JSON body of a retrieval."""
    report = retrieval.report
    return RetrievalResource(
        id=retrieval.id,
        source=retrieval.source,
        state=retrieval.state,
        created_at=datetime.fromtimestamp(retrieval.created_at_seconds, UTC),
        finished_at=datetime.fromtimestamp(retrieval.finished_at_seconds, UTC)
        if retrieval.finished_at_seconds
        else None,
        here=retrieval.here if report is None else report.present + report.retrieved,
        of=retrieval.of if report is None else report.found,
        study_instance_uid=report.study_uid if report else "",
        instances=InstancesResource(
            found=report.found,
            present=report.present,
            retrieved=report.retrieved,
            failed=report.found - report.present - report.retrieved,
        )
        if report
        else None,
        failures=[FailureResource(sop_instance_uid=one.sop_uid, reason=one.reason) for one in report.failures][
            :MAX_NAMED_FAILURES
        ]
        if report
        else [],
        problem=problem_of(retrieval.failure) if retrieval.failure else None,
        links={"self": f"/v1/retrievals/{retrieval.id}"},
    )


def _retrievals(gateway: Gateway) -> Retrievals:
    if gateway.retrievals is None:
        raise NotFoundError("This gateway keeps no studies.", fix="Set ENTRUST_ARCHIVE__FOLDER.")
    return gateway.retrievals


async def _wait(request: Request, retrievals: Retrievals, retrieval: Retrieval, max_seconds: float) -> Retrieval:
    """Wait for the end, within the limit; a caller who leaves takes the retrieval back."""
    ended = asyncio.create_task(retrievals.finished(retrieval.id))
    left = asyncio.create_task(_disconnected(request))
    try:
        done, _ = await asyncio.wait({ended, left}, timeout=max_seconds, return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            return ended.result()
        if left in done:
            with contextlib.suppress(EnTrustError):  # it ended at the same moment
                retrievals.cancel(retrieval.id)
            raise ClientDisconnect
        return retrievals.get(retrieval.id)
    finally:
        for task in (ended, left):
            task.cancel()
        await asyncio.gather(ended, left, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
