"""What the rooms report as it happens; :class:`service.observability.metrics.Metrics` listens, tests may too."""

from typing import Protocol


class TritonObserver(Protocol):
    """Told about every call to Triton, every sampling step and every repair. Must return at once and never raise."""

    def triton_call(
        self, *, model: str, outcome: str, duration_seconds: float, sent_bytes: int, received_bytes: int
    ) -> None:
        """Hear of one call; ``outcome`` is ``ok`` or the kind of error it ended with."""

    def sampling_step(self, *, task: str, sampler: str, precision: str, index: int, duration_seconds: float) -> None:
        """Hear of one sampling step over one chunk of slices; ``index`` counts from 0."""

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

    def triton_call(
        self, *, model: str, outcome: str, duration_seconds: float, sent_bytes: int, received_bytes: int
    ) -> None:
        """Ignore the call."""

    def sampling_step(self, *, task: str, sampler: str, precision: str, index: int, duration_seconds: float) -> None:
        """Ignore the step."""

    def triton_repair(self, *, action: str) -> None:
        """Ignore the repair."""

    def triton_canary(self, *, model: str, outcome: str) -> None:
        """Ignore the answer."""

    def triton_canary_answer(self, *, model: str, duration_seconds: float) -> None:
        """Ignore the time."""

    def triton_stub_death(self, *, model: str) -> None:
        """Ignore the death."""


SILENCE: TritonObserver = Silence()
