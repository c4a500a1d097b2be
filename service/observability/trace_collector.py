"""Where traces go: one collector for the gateway and for the Triton beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service import credentials

PATH = "/v1/traces"
"""Where a receiver of OTLP over HTTP takes traces."""


@dataclass(frozen=True)
class Collector:
    """A receiver of traces, and as whom they are sent to it.

    Attributes:
        endpoint: Base URL of its OTLP over HTTP.
        service: Name of this service.
        instance: Name of this process among the instances of the service.
        headers: Sent with every export; they may hold a secret.
        ca_file: Authorities in PEM that vouch for it; the public ones when None.
    """

    endpoint: str
    service: str
    instance: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        """Full URL for traces."""
        return self.endpoint.rstrip("/") + PATH


def read_headers(path: Path | None) -> dict[str, str]:
    """Return the headers of a file with one ``Name: value`` a line; none without a file.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not a header. Its content is not quoted.
    """
    return credentials.read_headers(
        path,
        file="The file of the trace collector's headers",
        fix="Name a file with one header a line, as Authorization: Bearer …, without commas in the value.",
        excluded=",",  # the variable by which Triton gets them is a list with commas
    )
