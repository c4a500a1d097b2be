"""What a gateway does with a study, as blocks: each is measured by the metrics and traced as a span, in one place."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from entrust.errors import EnTrustError
from service.observability import traces
from service.observability.events import SamplingStep, TritonCall
from service.observability.metrics import Metrics

MODEL_INFER = "inference.GRPCInferenceService/ModelInfer"


class Activities:
    """Blocks for the pipeline and, as an observer, for the sampling loop and Triton's client.

    Args:
        metrics: Told how long each took.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @contextmanager
    def stage(self, *, task: str, stage: str) -> Iterator[None]:
        """Measure one stage of one study; one that fails is traced, and not measured."""
        with traces.span(stage, attributes={"entrust.task": task}):
            started = time.perf_counter()
            yield
            self._metrics.stage(task=task, stage=stage, duration_seconds=time.perf_counter() - started)

    @contextmanager
    def sampling_step(self, step: SamplingStep, /) -> Iterator[None]:
        """Measure one sampling step over one chunk of slices."""
        attributes: traces.Attributes = {
            "entrust.task": step.task,
            "entrust.sampler": step.sampler,
            "entrust.precision": step.precision,
            "entrust.step": step.index,
            "entrust.num_hypotheses": step.num_hypotheses,
            "entrust.first_slice": step.first_slice,
            "entrust.num_slices": step.num_slices,
        }
        with traces.span("sampling_step", attributes=attributes):
            started = time.perf_counter()
            yield
            self._metrics.sampling_step(
                task=step.task,
                sampler=step.sampler,
                precision=step.precision,
                index=step.index,
                duration_seconds=time.perf_counter() - started,
            )

    def network_pass(self, name: str, /, *, first_slice: int, num_slices: int) -> AbstractContextManager[object]:
        """Trace another pass over one chunk of slices."""
        return traces.span(name, attributes={"entrust.first_slice": first_slice, "entrust.num_slices": num_slices})

    @contextmanager
    def triton_call(self, *, address: str, model: str, sent_bytes: int) -> Iterator[TritonCall]:
        """Measure one call to Triton, and have Triton go on with the trace."""
        host, _, port = address.rpartition(":")
        attributes: traces.Attributes = {
            "rpc.system.name": "grpc",
            "rpc.method": MODEL_INFER,
            "server.address": host,
            "server.port": int(port) if port.isdecimal() else 0,
            "entrust.model": model,
            "entrust.sent_bytes": sent_bytes,
        }
        call, outcome, started = TritonCall(), "cancelled", time.perf_counter()  # unless something else happens below
        with traces.span(MODEL_INFER, kind=traces.SpanKind.CLIENT, attributes=attributes) as span:
            call.headers = span.headers()
            try:
                yield call
                outcome = "ok"
                span.set({"entrust.received_bytes": call.received_bytes})
            except EnTrustError as error:
                outcome = error.kind.value
                raise
            finally:
                self._metrics.triton_call(
                    model=model,
                    outcome=outcome,
                    duration_seconds=time.perf_counter() - started,
                    sent_bytes=sent_bytes,
                    received_bytes=call.received_bytes,
                )
