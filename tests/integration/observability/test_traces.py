"""One trace from a caller through the gateway into a real Triton, as a receiver of OTLP gets it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from deploy.traces.receiver import ReceivedSpan, Receiver, running_receiver
from deploy.traces.tree import draw, roots
from entrust.conflict import probe_plan
from entrust.contract import ONCOLOGY
from entrust.errors import InferenceFailedError
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc
from service.inference import TritonClient
from service.jobs.job import JobState
from service.observability.activities import Activities
from service.observability.metrics import Metrics
from service.observability.otlp import open_tracer
from service.observability.trace_collector import Collector
from service.observability.traces import span
from tests.factories.studies import dicom_zip, nifti_files
from tests.integration.rpc.conftest import told
from tests.servers.service_process import ServiceProcess, StartService

SHAPE = (24, 32, 28)
STEPS, CHUNK = 3, ONCOLOGY.max_batch_size // len(probe_plan(ONCOLOGY, (True, True, True)))
CHUNKS = range(0, SHAPE[0], CHUNK)
CREDENTIALS = "Basic dXNlcjpwYXNzd29yZA=="
ASKED = {"task": "oncology", "num_hypotheses": "2", "num_steps": str(STEPS)}
CALLER = "00f067aa0ba902b7"
INFER = "inference.GRPCInferenceService/ModelInfer"
PASSES = ("fusing", "sampling_step", "probing")
KEYS = {
    "http.request.method", "http.route", "http.response.status_code", "url.scheme", "rpc.system.name", "rpc.method",
    "rpc.response.status_code", "server.address", "server.port", "error.type",
    *(f"entrust.{name}" for name in (
        "task", "priority", "num_hypotheses", "num_steps", "sampler", "precision", "step", "first_slice", "num_slices",
        "model", "sent_bytes", "received_bytes", "outcome",
    )),
}  # fmt: skip


@pytest.fixture(scope="module")
def traced(
    start_service: StartService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServiceProcess, Receiver]]:
    """A gateway with an embedded Triton, both of which send their traces to a receiver."""
    headers = tmp_path_factory.mktemp("secrets") / "headers"
    headers.write_text(f"Authorization: {CREDENTIALS}\n")
    with (
        running_receiver() as receiver,
        start_service(
            ENTRUST_TRACES__ENDPOINT=receiver.endpoint,
            ENTRUST_TRACES__HEADERS_FILE=str(headers),
            ENTRUST_TRACES__INSTANCE="under-test",
        ) as service,
    ):
        yield service, receiver


def context(trace_id: str, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{CALLER}-{'01' if sampled else '00'}"}


def post(service: ServiceProcess, headers: Mapping[str, str], **options: Any) -> httpx.Response:
    options = {"files": nifti_files(shape=SHAPE), "data": ASKED | {"wait": "true"}} | options
    address = f"{service.url}/v1/segmentations"
    return httpx.post(address, headers=headers, timeout=240.0, trust_env=False, **options)


def is_whole(spans: Sequence[ReceivedSpan], caller: str = CALLER) -> bool:
    """Return whether the gateway's part is there up to a span that knows the caller, and some of Triton's."""
    heads = roots(spans)
    names = {each.name for each in spans}
    return len(heads) == 1 and heads[0].parent_id == caller and {"job", "encode", "compute"} <= names


def paths(spans: Sequence[ReceivedSpan]) -> list[list[str]]:
    """Return for every span the names from the outermost to itself."""
    known = {each.span_id: each for each in spans}

    def path(each: ReceivedSpan) -> list[str]:
        parent = known.get(each.parent_id)
        return [*(path(parent) if parent else []), each.name]

    return [path(each) for each in spans]


def check_tree(spans: Sequence[ReceivedSpan], request: str) -> None:
    found = paths(spans)
    job, inference = [request, "job"], [request, "job", "inference"]
    assert [path for path in found if len(path) <= 2] == [[request], job]
    stages = ["queued", "ingest", "prepare", "inference", "trust", "encode"]
    assert [path for path in found if len(path) == 3] == [[*job, stage] for stage in stages]
    for name in PASSES:
        count = len(CHUNKS) * (STEPS if name == "sampling_step" else 1)
        assert found.count([*inference, name]) == found.count([*inference, name, INFER]) == count, draw(spans)
    calibrating = [*job, "trust", "calibrating"]
    assert found.count([*calibrating, INFER]) == found.count(calibrating) >= 1
    check_triton(spans, [*([*inference, name] for name in PASSES), calibrating])
    steps = [each for each in spans if each.name == "sampling_step"]
    asked = {(each.attributes["entrust.step"], each.attributes["entrust.first_slice"]) for each in steps}
    assert asked == {(step, first) for step in range(STEPS) for first in CHUNKS}
    assert {each.attributes["entrust.num_slices"] for each in steps} == {CHUNK, SHAPE[0] - CHUNKS[-1]}


def check_triton(spans: Sequence[ReceivedSpan], passes: Sequence[list[str]]) -> None:
    """Check the place of Triton's spans; not every call has some, because Triton 2.51 misreads some contexts."""
    calls = [each for each in spans if each.name == INFER]
    requests = [each for each in spans if each.name == "InferRequest"]
    assert 0 < len(requests) <= len(calls)
    assert len({each.parent_id for each in requests}) == len(requests), "two for one call"
    by_id = {each.span_id: each for each in calls}
    for each in requests:
        (of_model,) = (child for child in spans if child.parent_id == each.span_id)
        (compute,) = (child for child in spans if child.parent_id == of_model.span_id)
        assert (of_model.name, compute.name) == (by_id[each.parent_id].attributes["entrust.model"], "compute")
    places = [path[: path.index(INFER)] for path in paths(spans) if path[-1] == "InferRequest"]
    assert all(place in passes for place in places)


def check_privacy(spans: Sequence[ReceivedSpan]) -> None:
    ours = [each for each in spans if each.service == "entrust-serve"]
    assert {key for each in ours for key in each.attributes} <= KEYS
    assert not any(each.num_events or each.status_message for each in ours)
    for each in ours:
        for value in each.attributes.values():
            assert not isinstance(value, str) or len(value) < 64
            assert "1.2.826" not in str(value), "an identifier of the study"
            assert "nii" not in str(value), "a file's name"


def test_one_trace_from_a_rest_caller_into_triton(traced: tuple[ServiceProcess, Receiver]) -> None:
    service, receiver = traced
    trace_id = f"{1:032x}"
    answer = post(service, context(trace_id))
    assert answer.status_code == 200, answer.text
    spans = receiver.wait_for(is_whole, trace_id=trace_id)
    check_tree(spans, "POST /v1/segmentations")
    check_privacy(spans)
    (request, *_), job = spans, next(each for each in spans if each.name == "job")
    assert request.kind == "server"
    assert dict(request.attributes) == {
        "http.request.method": "POST", "url.scheme": "http", "http.route": "/v1/segmentations",
        "http.response.status_code": 200,
    }  # fmt: skip
    assert job.attributes["entrust.outcome"] == "succeeded"
    assert not any(each.failed for each in spans)
    assert {(each.service, each.resource["service.instance.id"]) for each in spans} == {
        ("entrust-serve", "under-test"), ("entrust-serve-triton", "under-test"),
    }  # fmt: skip
    assert receiver.headers["authorization"] == CREDENTIALS
    lines = [json.loads(line) for line in service.log_path.read_text().splitlines()]
    told_of = {line["event"]: line.get("span_id") for line in lines if line.get("trace_id") == trace_id}
    assert told_of == {"request": request.span_id, "job-finished": job.span_id}


def test_a_detached_job_over_grpc_is_part_of_the_trace_that_it_outlives(
    traced: tuple[ServiceProcess, Receiver],
) -> None:
    service, receiver = traced
    trace_id = f"{2:032x}"
    files = nifti_files(shape=SHAPE)
    parameters = pb.SegmentationParameters(task="oncology", num_hypotheses=2, num_steps=STEPS)
    request = pb.SegmentRequest(
        parameters=parameters,
        files=[pb.InputFile(modality=slug, content=content) for slug, (_, content) in files.items()],
        detached=True,
    )
    with grpc.insecure_channel(service.rpc_address) as channel:
        stub = pb_grpc.SegmentationServiceStub(channel)
        accepted = stub.Segment(request, metadata=tuple(context(trace_id).items()))
        *_, last = stub.WatchJob(pb.WatchJobRequest(job_id=accepted.job.id))
    assert last.job.state == pb.JOB_STATE_SUCCEEDED
    spans = receiver.wait_for(
        lambda spans: is_whole(spans) and "job" in {each.name for each in spans}, trace_id=trace_id
    )
    check_tree(spans, "entrust.v1.SegmentationService/Segment")
    check_privacy(spans)
    call, job = (next(each for each in spans if each.name.endswith(name)) for name in ("/Segment", "job"))
    assert dict(call.attributes) == {
        "rpc.system.name": "grpc", "rpc.method": "entrust.v1.SegmentationService/Segment",
        "rpc.response.status_code": "OK",
    }  # fmt: skip
    assert job.end_seconds > call.end_seconds


def test_a_caller_who_does_not_sample_leaves_no_trace_anywhere(traced: tuple[ServiceProcess, Receiver]) -> None:
    service, receiver = traced
    quiet, loud = f"{3:032x}", f"{4:032x}"
    assert post(service, context(quiet, sampled=False)).status_code == 200
    assert post(service, context(loud)).status_code == 200
    receiver.wait_for(is_whole, trace_id=loud)  # later than anything of the first would have come
    assert not receiver.spans(quiet)


def test_a_caller_who_does_not_trace_gets_a_trace_all_the_same(traced: tuple[ServiceProcess, Receiver]) -> None:
    service, receiver = traced
    assert post(service, {}).status_code == 200

    def begun(spans: Sequence[ReceivedSpan]) -> list[ReceivedSpan]:
        return [each for each in spans if not each.parent_id and each.name == "POST /v1/segmentations"]

    (request,) = begun(receiver.wait_for(lambda spans: bool(begun(spans))))
    whole = receiver.wait_for(lambda spans: is_whole(spans, caller=""), trace_id=request.trace_id)
    check_tree(whole, "POST /v1/segmentations")


def test_problems_name_their_trace_and_failed_spans_their_kind(traced: tuple[ServiceProcess, Receiver]) -> None:
    service, receiver = traced
    refused, failed, asked_later = (f"{n:032x}" for n in (5, 6, 7))
    broken = {"content": dicom_zip()[:-900], "params": ASKED, "headers": {}, "data": None, "files": None}
    zipped = {"Content-Type": "application/zip"}
    problem = post(service, context(refused), data={"task": "no-such-task"}).json()
    assert problem["trace_id"] == refused
    broken.pop("headers")
    accepted = post(service, context(failed) | zipped, **broken)
    assert accepted.status_code == 202, accepted.text
    receiver.wait_for(lambda spans: "job" in {each.name for each in spans}, trace_id=failed)
    job = httpx.get(f"{service.url}{accepted.headers['Location']}", trust_env=False).json()
    assert job["problem"]["trace_id"] == failed
    results = f"{service.url}{accepted.headers['Location']}/results"
    answer = httpx.get(results, headers=context(asked_later), trust_env=False)
    assert answer.json()["trace_id"] == failed, "the trace in which it went wrong, not that of the question"
    spans = {each.name: each for each in receiver.spans(failed)}
    kind = answer.json()["type"].removeprefix("/problems/")
    assert spans["job"].failed
    assert spans["job"].attributes["error.type"] == spans["ingest"].attributes["error.type"] == kind
    check_privacy(list(spans.values()))

    with grpc.insecure_channel(service.rpc_address) as channel:
        stub = pb_grpc.SegmentationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetJob(pb.GetJobRequest(job_id="none"), metadata=tuple(context(asked_later).items()))
    assert told(caught.value)["ErrorInfo"].metadata["trace_id"] == asked_later


def test_polled_addresses_and_canaries_are_not_traced(traced: tuple[ServiceProcess, Receiver]) -> None:
    service, receiver = traced
    for address in ("/health/live", "/health/ready", "/metrics"):
        assert httpx.get(f"{service.url}{address}", trust_env=False).status_code == 200
    httpx.get(f"{service.url}/DOE^JANE", headers=context(f"{8:032x}"), trust_env=False)
    (span,) = receiver.wait_for(bool, trace_id=f"{8:032x}")
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET unmatched", 404)
    for each in receiver.spans():
        assert each.service != "entrust-serve-triton" or each.parent_id, "of a canary"
        assert each.name not in ("GET /health/live", "GET /health/ready", "GET /metrics")


@pytest.mark.parametrize("collector", ["away", "hanging"])
def test_a_study_does_not_feel_a_collector_that_is_away_or_hangs(
    start_service: StartService, receiver: Receiver, collector: str
) -> None:
    receiver.answering.clear()
    endpoint = receiver.endpoint if collector == "hanging" else "http://127.0.0.1:9"
    with start_service(ENTRUST_TRACES__ENDPOINT=endpoint) as service:
        for _ in range(2):
            assert post(service, {}).status_code == 200
    lines = [json.loads(line) for line in service.log_path.read_text().splitlines()]
    events = [line["event"] for line in lines]
    assert events[-1] == "stopped", "it was killed, because it did not stop"
    assert events.count("traces-not-taken") <= 1
    assert not any(line["logger"].startswith(("opentelemetry", "urllib3")) for line in lines)
    assert not receiver.spans()


class Metadata:
    """A server that notes with which metadata it is called, and answers nothing."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []

    async def note(self, _request: bytes, context: Any) -> bytes:
        self.heard.append(dict(context.invocation_metadata()))
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        return b""


async def test_triton_is_told_of_a_trace_only_where_there_is_one(receiver: Receiver) -> None:
    server, metadata = grpc.aio.server(), Metadata()
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(metadata.note)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    observer = Activities(Metrics(pairs={}, states=[state.value for state in JobState]))
    tensor, shapes = {"x": np.zeros((1, 1), np.float32)}, {"y": (1, 1)}
    try:
        async with TritonClient(f"127.0.0.1:{port}", shared_memory="off", observer=observer) as client:
            with pytest.raises(InferenceFailedError):
                await client.infer("a_model", tensor, shapes)
            collector = Collector(receiver.endpoint, service="test", instance="one")
            async with open_tracer(collector, version="0", sampling_ratio=1.0):
                with pytest.raises(InferenceFailedError), span("step") as step:
                    await client.infer("a_model", tensor, shapes)
    finally:
        await server.stop(None)
    off, on = metadata.heard
    assert set(off) == {"user-agent"}
    assert set(on) == {"user-agent", "traceparent"}
    (call,) = (each for each in receiver.spans(step.trace_id) if each.name == INFER)
    assert on["traceparent"].startswith(f"00-{step.trace_id}-{call.span_id}-")
    assert (call.failed, call.attributes["error.type"]) == (True, "inference-failed")
