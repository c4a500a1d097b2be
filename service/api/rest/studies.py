"""``/v1/studies``: the worklist of what came from a PACS, and what can be done about a study."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from entrust.errors import ErrorKind, NotFoundError
from service.api.rest.gateway import Behind
from service.api.rest.problems import Problem, documented, problem_of
from service.studies import Studies, StudyRecord, StudyState

router = APIRouter(prefix="/v1/studies", tags=["studies"])
MAX_PAGE = 1000


class ReviewResource(BaseModel):
    """How much a result needs a person's eyes."""

    model_config = ConfigDict(frozen=True)

    score: float = Field(description="In [0, 1]; 1 is looked at first: by reliability, then by the uncertain share.")
    reliability: str = Field(description="The worst of the structures: high, moderate or low.")
    uncertain_share: float = Field(description="Uncertain share of the structures and their surroundings, in [0, 1].")
    reasons: list[str] = Field(description="What keeps the reliability from being high.")


class StudyResource(BaseModel):
    """A study."""

    model_config = ConfigDict(frozen=True)

    study: str = Field(description="StudyInstanceUID.")
    id: str = Field(description="Names the present run, in the logs too.")
    state: StudyState
    step: str = Field(description="The step that is being done, or was when the study ended.")
    task: str = Field(description="Empty while none is chosen.")
    priority: str
    reason: str = Field(description="What is waited for, or why nothing is done.")
    run: int = Field(description="How often it has been begun.")
    received_at: datetime = Field(description="When its last instance came.")
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    problem: Problem | None = Field(description="Why it failed.")
    review: ReviewResource | None = Field(description="Null while there is no result.")
    results: list[str] = Field(description="SOPInstanceUIDs of the results, which DICOMweb serves.")
    targets: dict[str, str] = Field(description="Where results go: `pending`, `confirmed` or `failed`.")
    images_purged: bool
    links: dict[str, str]


class StudiesResource(BaseModel):
    """A page of the worklist."""

    model_config = ConfigDict(frozen=True)

    studies: list[StudyResource]
    total: int = Field(description="How many there are in all.")


def _studies(gateway: Behind) -> Studies:
    if gateway.studies is None:
        raise NotFoundError(
            "This gateway works on no studies of its own.",
            fix="Set ENTRUST_ARCHIVE__FOLDER, and leave ENTRUST_STUDIES__ENABLED as it is.",
        )
    return gateway.studies


Worked = Annotated[Studies, Depends(_studies)]
StudyUid = Annotated[str, Path(description="StudyInstanceUID.", max_length=64)]


@router.get("", response_model=StudiesResource, responses=documented(ErrorKind.INVALID_INPUT, ErrorKind.NOT_FOUND))
async def list_studies(
    studies: Worked,
    state: Annotated[list[StudyState] | None, Query(description="Only these; may be given again.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> StudiesResource:
    """List studies: `stat` before `routine`, then those whose results need a person's eyes most."""
    found, total = await studies.worklist(state or (), limit=limit, offset=offset)
    return StudiesResource(studies=[study_resource(record) for record in found], total=total)


@router.get("/{study}", response_model=StudyResource, responses=documented(ErrorKind.NOT_FOUND))
async def read_study(study: StudyUid, studies: Worked) -> StudyResource:
    """Say where a study stands, how it ended, and how much its result needs a person's eyes."""
    return study_resource(await studies.get(study))


@router.post(
    "/{study}:restart",
    status_code=202,
    response_model=StudyResource,
    responses=documented(ErrorKind.NOT_FOUND, ErrorKind.CONFLICT),
)
async def restart_study(study: StudyUid, studies: Worked) -> StudyResource:
    """Begin a study again that has ended; where only delivery failed, only that is done again."""
    return study_resource(await studies.restart(study))


@router.post(
    "/{study}:cancel",
    response_model=StudyResource,
    responses=documented(ErrorKind.NOT_FOUND, ErrorKind.CONFLICT),
)
async def cancel_study(study: StudyUid, studies: Worked) -> StudyResource:
    """End a study that waits or is worked on; its images stay."""
    return study_resource(await studies.cancel(study))


def study_resource(record: StudyRecord) -> StudyResource:
    """Return the JSON body of a study."""
    review = record.review
    return StudyResource(
        study=record.study_uid,
        id=record.id,
        state=record.state,
        step=record.step,
        task=record.task,
        priority=record.priority,
        reason=record.reason,
        run=record.run,
        received_at=datetime.fromtimestamp(record.received_seconds, UTC),
        queued_at=_time(record.queued_seconds),
        started_at=_time(record.started_seconds),
        finished_at=_time(record.finished_seconds),
        problem=problem_of(record.failure) if record.failure is not None else None,
        review=ReviewResource(
            score=round(review.score, 4),
            reliability=review.reliability,
            uncertain_share=review.uncertain_share,
            reasons=list(review.reasons),
        )
        if review is not None
        else None,
        results=[ref.sop_instance_uid for ref in record.results],
        targets={target: sent.value for target, sent in record.targets.items()},
        images_purged=record.images_purged,
        links={"self": f"/v1/studies/{record.study_uid}", "dicomweb": f"/dicom-web/studies/{record.study_uid}"},
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
