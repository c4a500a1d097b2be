"""Where traces go: one collector for the gateway and for the Triton beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from entrust.errors import InvalidInputError

PATH = "/v1/traces"
"""Where a receiver of OTLP over HTTP takes traces."""
_HEADER = re.compile(r"([A-Za-z0-9-]+)\s*:\s*([\x20-\x2b\x2d-\x7e]+)")
"""No comma in the value: the variable by which Triton gets it is a list with commas."""


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
    if path is None:
        return {}
    fix = "Name a file with one header a line, as Authorization: Bearer …, without commas in the value."
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"The file of the trace collector's headers cannot be read ({type(error).__name__}).", fix=fix
        ) from None
    matches = [_HEADER.fullmatch(line) for line in lines]
    if not all(matches):
        raise InvalidInputError("The file of the trace collector's headers has a line that is no header.", fix=fix)
    return {match[1].lower(): match[2] for match in matches if match}
