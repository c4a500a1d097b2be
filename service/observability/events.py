"""What the rooms report as it happens: activities that take time are blocks, the rest is told afterwards.

:class:`service.observability.activities.Activities` measures and traces the blocks, and
:class:`service.observability.metrics.Metrics` counts the rest; tests may listen, too.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(eq=False)
class TritonCall:
    """One call to Triton, while it is made.

    Attributes:
        headers: Go along as gRPC metadata.
        received_bytes: Size of the answer; set by who made the call.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    received_bytes: int = 0


@dataclass(frozen=True)
class SamplingStep:
    """One sampling step over one chunk of slices.

    Attributes:
        task: Task name.
        sampler: Name of the sampler.
        precision: What the engines compute in.
        index: Of the step, from 0.
        num_hypotheses: K.
        first_slice: Number of the chunk's first slice in the case.
        num_slices: Slices of the chunk.
    """

    task: str
    sampler: str
    precision: str
    index: int
    num_hypotheses: int
    first_slice: int
    num_slices: int


class InferenceObserver(Protocol):
    """Told about every call to Triton and every pass of a network. Must return at once and never raise of itself."""

    def triton_call(self, *, address: str, model: str, sent_bytes: int) -> AbstractContextManager[TritonCall]:
        """Return the block of one call; an error that leaves it is the call's outcome."""

    def sampling_step(self, step: SamplingStep, /) -> AbstractContextManager[object]:
        """Return the block of one sampling step."""

    def network_pass(self, name: str, /, *, first_slice: int, num_slices: int) -> AbstractContextManager[object]:
        """Return the block of another pass over one chunk: ``fusing``, ``probing`` or ``calibrating``."""


class TritonObserver(Protocol):
    """Told about the embedded Triton's health and every repair. Must return at once and never raise."""

    def triton_repair(self, *, action: str) -> None:
        """Hear of a repair of the embedded server: ``reload`` of a model or ``restart`` of the server."""

    def triton_canary(self, *, model: str, outcome: str) -> None:
        """Hear of a canary's answer: ``ok``, ``wrong`` or ``late``."""

    def triton_canary_answer(self, *, model: str, duration_seconds: float) -> None:
        """Hear how long a canary took that was answered, at a start or later."""

    def triton_stub_death(self, *, model: str) -> None:
        """Hear that a process of a model was found dead."""


class Silence:
    """An observer that nobody listens to."""

    def triton_call(self, **_: object) -> AbstractContextManager[TritonCall]:
        """Ignore the call."""
        return nullcontext(TritonCall())

    def sampling_step(self, _step: SamplingStep, /) -> AbstractContextManager[object]:
        """Ignore the step."""
        return nullcontext()

    def network_pass(self, _name: str, /, **_: object) -> AbstractContextManager[object]:
        """Ignore the pass."""
        return nullcontext()

    def triton_repair(self, *, action: str) -> None:
        """Ignore the repair."""

    def triton_canary(self, *, model: str, outcome: str) -> None:
        """Ignore the answer."""

    def triton_canary_answer(self, *, model: str, duration_seconds: float) -> None:
        """Ignore the time."""

    def triton_stub_death(self, *, model: str) -> None:
        """Ignore the death."""


SILENCE = Silence()
