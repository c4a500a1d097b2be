"""How jobs and studies are worked on, and what of them is kept."""

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from service.settings.group import MEBIBYTE, Group


class JobsSettings(Group):
    """The queue and what is kept of it.

    Attributes:
        max_queued: Jobs that may wait; one more is answered with ``overloaded``.
        concurrency: Jobs that run at a time.
        max_duration_seconds: Deadline of a job that names none, and the largest that may be named.
        retention_seconds: How long a finished job and its results are kept.
        retention_bytes: Results kept in all; the oldest go first.
        results_folder: Where results are kept, private to the gateway, so that they outlive its process; in memory when
            empty.
        work_folder: Where uploads lie while their job lives; a private folder under the system's temporary one when
            empty.
    """

    max_queued: int = Field(default=16, ge=1, le=10_000)
    concurrency: int = Field(default=1, ge=1, le=64)
    max_duration_seconds: float = Field(default=1800.0, gt=0.0, le=86_400.0)
    retention_seconds: float = Field(default=3600.0, gt=0.0, le=30 * 86_400.0)
    retention_bytes: int = Field(default=1024 * MEBIBYTE, ge=MEBIBYTE, le=1024 * 1024 * MEBIBYTE)
    results_folder: Path | None = None
    work_folder: Path | None = None


class ArchiveSettings(Group):
    """What comes in from a PACS, and is kept.

    Attributes:
        folder: Where it is kept; where none is set nothing is, and DICOMweb and DIMSE are not served.
        max_used_ratio: Share of the folder's disk in use from which nothing more is taken.
        min_free_bytes: Free space of that disk below which nothing more is taken.
    """

    folder: Path | None = None
    max_used_ratio: float = Field(default=0.95, gt=0.0, le=1.0)
    min_free_bytes: int = Field(default=1024 * MEBIBYTE, ge=0, le=1024 * 1024 * MEBIBYTE)


class DatabaseSettings(Group):
    """Where the state of studies is kept.

    Attributes:
        url: ``postgresql://user:password@host/name``; a file in the archive's folder when empty.
    """

    url: SecretStr = SecretStr("")


class StudiesSettings(Group):
    """What becomes of the studies that the archive gets.

    Attributes:
        enabled: Whether they are segmented; it needs an archive.
        concurrency: Studies at a time.
        deliveries: Deliveries to one target at a time.
        num_hypotheses: K; the task's default when not set.
        num_steps: S; the task's default when not set.
        quiet_seconds: Silence after which a study is complete, in place of ``quiet_seconds`` in the selection rules.
        retries: How often a step is tried again after a failure that may heal.
        retry_seconds: Before the first time; each further time after twice as long.
        max_interruptions: How often the gateway may die over one study before it becomes a dead letter.
        max_step_seconds: Longest duration of one attempt at a step.
        retention_hours: How long images stay after their study has ended; for ever when not set.
        results_retention_hours: How long results and records stay; for ever when not set.
    """

    enabled: bool = True
    concurrency: int = Field(default=1, ge=1, le=64)
    deliveries: int = Field(default=8, ge=1, le=256)
    num_hypotheses: int | None = Field(default=None, ge=1, le=256)
    num_steps: int | None = Field(default=None, ge=1, le=1000)
    quiet_seconds: float | None = Field(default=None, ge=1.0, le=86_400.0)
    retries: int = Field(default=8, ge=0, le=100)
    retry_seconds: float = Field(default=2.0, ge=0.01, le=3600.0)
    max_interruptions: int = Field(default=20, ge=1, le=10_000)
    max_step_seconds: float = Field(default=1800.0, gt=0.0, le=86_400.0)
    retention_hours: float | None = Field(default=None, ge=0.0, le=24.0 * 3660)
    results_retention_hours: float | None = Field(default=None, ge=0.0, le=24.0 * 3660)

    @model_validator(mode="after")
    def _results_outlive_images(self) -> "StudiesSettings":
        images, results = self.retention_hours, self.results_retention_hours
        if results is not None and (images is None or results < images):
            raise ValueError("results_retention_hours needs retention_hours, and is not shorter")
        return self
