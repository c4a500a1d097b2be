"""JSON bodies of the HTTP face."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.rest.problems import Problem, problem_of
from service.jobs.job import Job, JobState, Progress


class _Resource(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProgressResource(_Resource):
    """How far a job is."""

    stage: str = Field(description="ingest, prepare, conditioning, sampling, probing, calibration, trust or encode.")
    step: int = Field(description="Finished steps of the stage.")
    of: int = Field(description="Steps of the stage in all.")


class ProductResource(_Resource):
    """One file of the results."""

    name: str
    media_type: str
    size_bytes: int
    href: str


class JobResource(_Resource):
    """A job."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "0b8f0d3c5e5a4f0f9d4b6f3f0c9a1e77",
                    "task": "oncology",
                    "parameters": {
                        "num_hypotheses": 8,
                        "num_steps": 4,
                        "seed": 0,
                        "sampler": "ddim",
                        "extra_results": "",
                    },
                    "priority": "routine",
                    "state": "running",
                    "version": 5,
                    "created_at": "2030-01-01T12:00:00Z",
                    "started_at": "2030-01-01T12:00:01Z",
                    "finished_at": None,
                    "progress": {"stage": "sampling", "step": 2, "of": 4},
                    "problem": None,
                    "results": [],
                    "links": {
                        "self": "/v1/jobs/0b8f0d3c5e5a4f0f9d4b6f3f0c9a1e77",
                        "events": "/v1/jobs/0b8f0d3c5e5a4f0f9d4b6f3f0c9a1e77/events",
                    },
                }
            ]
        },
    )

    id: str
    task: str
    parameters: dict[str, str | int | float]
    priority: str
    state: JobState
    version: int = Field(description="Number of the change that led here; also the id of the event that told of it.")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress: ProgressResource | None = None
    problem: Problem | None = Field(default=None, description="Why there are no results.")
    results: list[ProductResource]
    links: dict[str, str]


class LabelResource(_Resource):
    """A segmented structure."""

    value: int
    slug: str
    title: str


class ModalityResource(_Resource):
    """An input role."""

    slug: str
    title: str
    dicom_modality: str
    units: str
    required: bool


class ModelResource(_Resource):
    """A task and the weights that serve it."""

    task: str
    title: str
    ready: bool
    reason: str = Field(description="Why it is not ready.")
    version: str = Field(description="Version of the weights; empty when not ready.")
    digest: str = Field(description="SHA-256 of the weights; empty when not ready.")
    contract: str = Field(description="Version of the promises between exporter and gateway; empty when not ready.")
    modalities: list[ModalityResource]
    labels: list[LabelResource]
    defaults: dict[str, int | float | str]
    limits: dict[str, int | float]


class ModelsResource(_Resource):
    """Every task."""

    models: list[ModelResource]


class HealthResource(_Resource):
    """Whether the gateway lives, or can work."""

    status: Literal["live", "ready", "not-ready"]
    reasons: list[str] = Field(default_factory=list, description="What keeps it from being ready.")


def job_resource(job: Job) -> JobResource:
    """Return the JSON body of a job."""
    here = f"/v1/jobs/{job.id}"
    links = {"self": here, "events": f"{here}/events"}
    if job.state is JobState.SUCCEEDED:
        links["results"] = f"{here}/results"
    return JobResource(
        id=job.id,
        task=job.task,
        parameters=dict(job.parameters),
        priority=job.priority,
        state=job.state,
        version=job.version,
        created_at=datetime.fromtimestamp(job.created_at_seconds, UTC),
        started_at=_moment(job.started_at_seconds),
        finished_at=_moment(job.finished_at_seconds),
        progress=_progress(job.progress) if job.progress else None,
        problem=problem_of(job.failure) if job.failure else None,
        results=[
            ProductResource(
                name=p.name, media_type=p.media_type, size_bytes=p.size_bytes, href=f"{here}/results/{p.name}"
            )
            for p in job.products
        ],
        links=links,
    )


def _progress(progress: Progress) -> ProgressResource:
    return ProgressResource(stage=progress.stage, step=progress.step, of=progress.of)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
