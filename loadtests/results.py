"""Everything that one run measured, as a file that reports are made of."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.figures import Interval
from loadtests.kills import Kill, KillRun
from loadtests.memory import MemorySample
from loadtests.offered_load import LoadStage
from loadtests.records import Record
from loadtests.step_latency import StepLatency


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        machine: Where.
        command: What repeats it.
        transport_ms: Single calls of the identity model by way, in milliseconds.
        steps: One study's sampling steps, served and in process.
        steps_study: Its size, K and S, in words.
        capacity: Accepted jobs per second when there are always more than that.
        room: Jobs that wait or run at a time, at most.
        stages: Offered loads, in the order in which they came.
        overload: Name of the stage that is the overload.
        memory: Looks at the memory over all of them.
        kills: By what was killed.
    """

    machine: str
    command: str
    transport_ms: Mapping[str, list[float]]
    steps: StepLatency
    steps_study: str
    capacity: float
    room: int
    stages: list[LoadStage]
    overload: str
    memory: list[MemorySample]
    kills: Mapping[str, KillRun]

    @property
    def overload_stage(self) -> LoadStage:
        """The stage that is the overload."""
        return next(stage for stage in self.stages if stage.name == self.overload)

    @property
    def overload_memory(self) -> list[MemorySample]:
        """Looks at the memory while it lasted."""
        stage = self.overload_stage
        return [s for s in self.memory if stage.began_at_seconds <= s.at_seconds <= stage.ended_at_seconds]

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read the file."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        steps = found["steps"]
        found["steps"] = StepLatency(**(steps | {"loop": Interval(**steps["loop"])}))
        found["stages"] = [LoadStage(**(s | {"records": _records(s["records"])})) for s in found["stages"]]
        found["memory"] = [MemorySample(**sample) for sample in found["memory"]]
        found["kills"] = {
            target: KillRun([Kill(**kill) for kill in run["kills"]], _records(run["records"]))
            for target, run in found["kills"].items()
        }
        return cls(**found)


def _records(found: list[dict[str, Any]]) -> list[Record]:
    return [Record(**record) for record in found]
