"""What one visit to the service came to; one JSON line each, so that a run that is cut short loses nothing."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Record:
    """One visit.

    Attributes:
        door: ``rest`` or ``grpc``.
        kind: What was wanted: ``study``, ``detached``, ``cancel`` or ``refusal``.
        case: Which of its kind: the size of a study, or what is wrong with a refused one.
        priority: ``routine`` or ``stat``.
        began_at_seconds: Unix time of the request.
        seconds: From the request to the last byte of the answer.
        outcome: ``succeeded``, ``cancelled``, a kind of error, or ``connection`` where there was no answer.
        expected: Whether a visit of this kind may end like that.
        retry_after_seconds: The hint of a refusal that is worth repeating; ``None`` without one.
        job: Whether the visit got a job.
        detail: What was odd about an outcome that is not expected.
    """

    door: str
    kind: str
    case: str
    priority: str
    began_at_seconds: float
    seconds: float
    outcome: str
    expected: bool
    retry_after_seconds: float | None = None
    job: bool = True
    detail: str = ""

    @property
    def ended_at_seconds(self) -> float:
        """Unix time of the end."""
        return self.began_at_seconds + self.seconds

    @property
    def refused_for_load(self) -> bool:
        """Whether there was no room for it."""
        return self.outcome == "overloaded"


class Recorder:
    """Appends records to a file, each as soon as it is known.

    Args:
        path: The file; it may be shared with other processes.
    """

    def __init__(self, path: Path) -> None:
        self._out: IO[str] = path.open("a", encoding="utf-8", buffering=1)

    def __call__(self, record: Record) -> None:
        """Write a record."""
        self._out.write(json.dumps(asdict(record)) + "\n")

    def close(self) -> None:
        """End."""
        self._out.close()


def read_records(paths: Iterable[Path]) -> list[Record]:
    """Return the records of some files, in the order in which the visits began."""
    found = [Record(**json.loads(line)) for path in paths if path.exists() for line in path.read_text().splitlines()]
    return sorted(found, key=lambda record: record.began_at_seconds)
