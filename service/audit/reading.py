"""What the trail knows of one study: its hops in order, with their times."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from entrust.errors import NotFoundError
from service.audit.journal import Position, read_lines


@dataclass(frozen=True)
class Step:
    """One line of a study's trail.

    Attributes:
        at: When it ended, UTC.
        since_milliseconds: From the first line's time to this one's.
        line: As it was written.
    """

    at: datetime
    since_milliseconds: float
    line: dict[str, Any]


def read_trail(folder: Path, study: str) -> list[Step]:
    """Return what was recorded of a study, and of the jobs that were done on it.

    Args:
        folder: Of the trail.
        study: StudyInstanceUID, or the id of a job (studies that came as NIfTI have no UID).

    Returns:
        In order of time.

    Raises:
        NotFoundError: There is no trail, or nothing of this study in it.
    """
    if not folder.is_dir():
        raise NotFoundError("There is no audit trail there.", fix="Set ENTRUST_AUDIT__FOLDER to the gateway's.")
    jobs = {study} | {
        line["job_id"]
        for line, _ in read_lines(folder, Position())
        if line.get("study_uid") == study and "job_id" in line
    }
    found = [
        line
        for line, _ in read_lines(folder, Position())
        if line.get("study_uid") == study or line.get("job_id") in jobs
    ]
    if not found:
        raise NotFoundError(
            "The trail knows nothing of it.",
            fix="Give a StudyInstanceUID, or the id of a job; the oldest files go in time.",
        )
    moments = [datetime.fromisoformat(line["at"]) for line in found]
    first = min(moments)
    steps = [
        Step(at, round((at - first).total_seconds() * 1000.0, 3), line)
        for at, line in zip(moments, found, strict=True)
    ]  # fmt: skip
    return sorted(steps, key=lambda step: step.at)
