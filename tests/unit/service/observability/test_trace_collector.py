"""The collector's address and credentials, and how Triton is told of them."""

from pathlib import Path

import pytest

from entrust.errors import InvalidInputError
from service.observability.trace_collector import Collector, read_headers
from service.settings.observability import TracesSettings
from service.startup import make_collector
from service.triton.tracing import trace_arguments, trace_environment

CREDENTIALS = "Bearer abc=="


@pytest.mark.parametrize("endpoint", ["http://collector:4318", "http://collector:4318/"])
def test_traces_go_below_the_endpoint(endpoint: str) -> None:
    assert Collector(endpoint, service="s", instance="i").url == "http://collector:4318/v1/traces"


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "grpc://collector:4317", "http://user:word@collector:4318", "http://c:1/?token=x"]
)
def test_an_endpoint_is_an_address_without_secrets(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        TracesSettings(endpoint=endpoint)


def test_headers_come_from_a_file_and_are_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text(f"Authorization: {CREDENTIALS}\n\nX-Scope: hospital\n")
    settings = TracesSettings(endpoint="https://collector", headers_file=path)
    collector = make_collector(settings)
    assert collector is not None
    assert collector.headers == {"authorization": CREDENTIALS, "x-scope": "hospital"}
    assert CREDENTIALS not in repr(collector)
    assert len(collector.instance) == 36, "a name of its own where none is given"
    assert not any(CREDENTIALS in argument for argument in trace_arguments(collector))
    variables = trace_environment(collector)
    assert variables["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] == f"authorization={CREDENTIALS},x-scope=hospital"
    assert variables["no_proxy"] == "collector"


@pytest.mark.parametrize("content", ["no colon", "Name: one, two", ": value", "Näme: value"])
def test_a_line_that_is_no_header_is_refused_without_being_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "headers"
    path.write_text(content)
    with pytest.raises(InvalidInputError) as caught:
        read_headers(path)
    assert content not in f"{caught.value} {caught.value.fix}"


def test_files_that_are_not_there_are_told_of_at_the_start(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for name in ("headers_file", "ca_file"):
        with pytest.raises(InvalidInputError):
            make_collector(TracesSettings.model_validate({"endpoint": "https://collector", name: gone}))


def test_without_an_endpoint_nothing_is_told_to_anybody() -> None:
    assert make_collector(TracesSettings()) is None
    assert not trace_arguments(None)
    assert not trace_environment(None)
