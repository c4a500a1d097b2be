"""Receivers, as a deployment describes them."""

import base64
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from service import credentials

MAX_PDU_BYTES = 128 * 1024


class Confirmation(StrEnum):
    """How a target shows that it has what it was sent."""

    COMMITMENT = "commitment"
    """It takes responsibility for it (storage commitment, PS3.4 J)."""
    READ_BACK = "read-back"
    """It gives it back, and it is the same."""
    NONE = "none"
    """Not at all: its first word is believed."""


@dataclass(frozen=True)
class Trust:
    """Who a target must be, and who we are to it, in TLS.

    Attributes:
        ca_file: Authorities in PEM that vouch for the target; the public ones when not given.
        certificate_file: Our certificate chain in PEM, where the target wants one.
        key_file: Its private key in PEM.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a client needs to shake hands: TLS 1.2 or later (BCP 195).

        Raises:
            InvalidInputError: The files cannot be used.
        """
        return credentials.client_context(
            self.ca_file,
            self.certificate_file,
            self.key_file,
            refusal="The certificates of a target cannot be used",
            fix="Its ca_file, certificate_file and key_file are PEM files that this process may read.",
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """A receiver.

    Attributes:
        name: Slug by which it is called, and counted.
        confirmation: How it shows that it has what it was sent.
        timeout_seconds: Its longest silence.
        trust: TLS.
    """

    name: str
    confirmation: Confirmation
    timeout_seconds: float = 60.0
    trust: Trust = field(default_factory=Trust)


@dataclass(frozen=True, kw_only=True)
class StowTarget(Target):
    """A receiver that speaks DICOMweb.

    Attributes:
        url: Root of its DICOMweb, without ``/studies``.
        credentials_file: File with ``user:password``, or with a bearer token; read for every request, so that it can
            be changed.
    """

    url: str
    credentials_file: Path | None = None

    def authorization(self) -> dict[str, str]:
        """Return the header that tells who we are (RFC 7617, RFC 6750); none without credentials.

        Raises:
            InvalidInputError: The file cannot be read.
        """
        if self.credentials_file is None:
            return {}
        secret = credentials.read_secret(
            self.credentials_file,
            refusal=f"The credentials of the target {self.name} cannot be read",
            fix="Its credentials_file holds user:password, or a bearer token, and this process may read it.",
        )
        if ":" in secret:  # a bearer token has none (RFC 6750 2.1)
            return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
        return {"Authorization": f"Bearer {secret}"}


@dataclass(frozen=True, kw_only=True)
class DimseTarget(Target):
    """A receiver that speaks DIMSE.

    Attributes:
        host: Its host.
        port: Its TCP port.
        ae_title: Its AE title.
        calling_ae_title: Ours.
        tls: Whether associations are encrypted.
    """

    host: str
    port: int
    ae_title: str
    calling_ae_title: str
    tls: bool = False
