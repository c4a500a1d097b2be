"""How the gateway is called: HTTP, gRPC, DIMSE, and who may."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from service.settings.group import AE_TITLE, MEBIBYTE, Group


class RestSettings(Group):
    """The HTTP face.

    Attributes:
        host: Address to listen on; loopback unless a proxy with access control stands in front.
        port: TCP port; 0 picks a free one.
        public_url: Where callers reach this server, for addresses in DICOMweb's answers; what their Host header says
            when empty.
        max_body_bytes: Largest request body.
        max_files: Largest number of files in one request.
        max_wait_seconds: How long ``wait=true`` may hold a connection open.
        upload_timeout_seconds: Longest silence within an upload.
        shutdown_grace_seconds: How long running requests may go on after a stop signal.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = Field(default="", pattern=r"^$|^https?://[^\s?#]+$")
    max_body_bytes: int = Field(default=2048 * MEBIBYTE, ge=1024, le=64 * 1024 * MEBIBYTE)
    max_files: int = Field(default=20_000, ge=1, le=200_000)
    max_wait_seconds: float = Field(default=1800.0, gt=0.0, le=86_400.0)
    upload_timeout_seconds: float = Field(default=60.0, gt=0.0, le=3600.0)
    shutdown_grace_seconds: float = Field(default=10.0, ge=0.0, le=600.0)


class RpcSettings(Group):
    """The gRPC face.

    Attributes:
        enabled: Whether it is served.
        host: Address to listen on; loopback unless tokens and TLS guard it.
        port: TCP port; 0 picks a free one.
        max_message_bytes: Largest message; a larger study comes in pieces.
        max_calls: Calls at a time, streams that watch included.
        compression: How answers are compressed for clients that can read it; files that are compressed already are
            sent as they are.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=8081, ge=0, le=65535)
    max_message_bytes: int = Field(default=16 * MEBIBYTE, ge=64 * 1024, le=1024 * MEBIBYTE)
    max_calls: int = Field(default=256, ge=1, le=10_000)
    compression: Literal["none", "deflate", "gzip"] = "none"


class DimseSettings(Group):
    """The DIMSE face: a storage SCP.

    Attributes:
        enabled: Whether it is served; it needs an archive.
        host: Address to listen on.
        port: TCP port; 0 picks a free one.
        ae_title: Own AE title.
        any_called_ae_title: Whether associations are taken that call another title.
        calling_ae_titles: Who may call, separated by commas; everybody when empty.
        max_pdu_bytes: Largest PDU that is taken.
        max_associations: Associations at a time.
        timeout_seconds: Longest silence of a peer.
        tls: Whether associations are encrypted, with the certificate of the other faces.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)
    ae_title: str = Field(default="ENTRUST", pattern=f"^{AE_TITLE}$")
    any_called_ae_title: bool = False
    calling_ae_titles: str = Field(default="", pattern=rf"^({AE_TITLE}(,{AE_TITLE})*)?$")
    max_pdu_bytes: int = Field(default=128 * 1024, ge=4096, le=16 * MEBIBYTE)
    max_associations: int = Field(default=16, ge=1, le=1000)
    timeout_seconds: float = Field(default=60.0, gt=0.0, le=3600.0)
    tls: bool = False


class TlsSettings(Group):
    """Encryption of both faces.

    Attributes:
        certificate_file: Certificate chain in PEM; TLS where it and the key are given.
        key_file: Its private key in PEM.
        client_ca_file: Authorities in PEM; where given, every client needs a certificate of theirs.
    """

    certificate_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "TlsSettings":
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        if self.client_ca_file is not None and self.key_file is None:
            raise ValueError("client_ca_file needs certificate_file and key_file")
        return self


class AuthSettings(Group):
    """Who may ask, over HTTP and gRPC alike; everybody where no token is set.

    Attributes:
        token_file: File with one token a line: any of them is taken, so that they can be changed one after another.
    """

    token_file: Path | None = None
