"""How Triton is told to send its spans to the collector that gets the gateway's."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from service.observability.trace_collector import Collector

EXPORT_MILLISECONDS = 1500
"""How long Triton tries one export; it tries when it stops, too, and must not be killed for a collector that hangs."""
SEND_EVERY_MILLISECONDS = 2000


def trace_arguments(collector: Collector | None) -> list[str]:
    """Return the server's arguments; none without a collector.

    With a rate of 0 Triton traces the requests that come with a trace, and only those: no canaries.
    """
    if collector is None:
        return []
    settings = (
        "mode=opentelemetry",
        "level=TIMESTAMPS",
        "rate=0",
        f"opentelemetry,url={collector.url}",
        f"opentelemetry,resource=service.name={collector.service}-triton",
        f"opentelemetry,resource=service.instance.id={collector.instance}",
        f"opentelemetry,bsp_schedule_delay={SEND_EVERY_MILLISECONDS}",
    )
    return [f"--trace-config={setting}" for setting in settings]


def trace_environment(collector: Collector | None) -> Mapping[str, str]:
    """Return what is told by variables: headers are secrets, and arguments can be read by everybody on the machine."""
    if collector is None:
        return {}
    host = urlsplit(collector.url).hostname or ""
    variables = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": f"{EXPORT_MILLISECONDS}ms", "NO_PROXY": host, "no_proxy": host}
    if collector.headers:
        pairs = (f"{name}={value}" for name, value in collector.headers.items())
        variables["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] = ",".join(pairs)
    if collector.ca_file is not None:
        variables["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] = str(collector.ca_file.resolve())
    return variables
