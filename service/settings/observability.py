"""What the gateway tells of itself: metrics, logs, traces, the audit trail."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from service.settings.group import MEBIBYTE, Group


class MetricsSettings(Group):
    """What is told to Prometheus.

    Attributes:
        references: Folder with ``<task>.json``, what the calibration set looked like; the released weights' own when
            empty.
    """

    references: Path | None = None


class LogSettings(Group):
    """What is written to standard error.

    Attributes:
        level: Least level that is written.
        format: ``json`` for machines, ``text`` for people.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class TracesSettings(Group):
    """Where traces are sent, in OpenTelemetry's protocol over HTTP.

    Attributes:
        endpoint: Base URL of the collector, as ``http://collector:4318``; nothing is traced when empty.
        sampling_ratio: Share of the requests that are traced; those that bring a trace are traced as it says.
        headers_file: File with one ``Name: value`` a line, sent to the collector: credentials.
        ca_file: Authorities in PEM that vouch for the collector; the public ones when empty.
        service: Name of this service in the traces; the embedded Triton's is this with ``-triton``.
        instance: Name of this process among the instances of the service; a random one when empty.
    """

    endpoint: str = Field(default="", pattern=r"^$|^https?://[^\s/@]+(/[^\s@?#]*)?$")
    sampling_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    headers_file: Path | None = None
    ca_file: Path | None = None
    service: str = Field(default="entrust-serve", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    instance: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,63}$")


class AuditSettings(Group):
    """Who did what with which study: an audit trail in files, and to a syslog receiver over TLS.

    Attributes:
        folder: Where the trail is kept, private to this gateway; none is kept when empty.
        max_file_bytes: Size from which a new file is begun.
        max_files: Files that are kept; what a syslog receiver has not had by then is lost to it.
        source_id: Name of this gateway in the trail (AuditSourceID).
        site: Name of the site in the trail (AuditEnterpriseSiteID); left out when empty.
        syslog: ``host:port`` of a syslog receiver with TLS (PS3.15 A.6); nothing is sent when empty.
        syslog_ca_file: Authorities in PEM that vouch for the receiver; the public ones when empty.
        syslog_certificate_file: Certificate chain in PEM that is shown to the receiver.
        syslog_key_file: Its private key in PEM.
    """

    folder: Path | None = None
    max_file_bytes: int = Field(default=16 * MEBIBYTE, ge=4096, le=1024 * MEBIBYTE)
    max_files: int = Field(default=64, ge=2, le=100_000)
    source_id: str = Field(default="entrust-serve", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    site: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,63}$")
    syslog: str = Field(default="", pattern=r"^$|^[A-Za-z0-9._\-\[\]:]+:\d{1,5}$")
    syslog_ca_file: Path | None = None
    syslog_certificate_file: Path | None = None
    syslog_key_file: Path | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "AuditSettings":
        if self.syslog and self.folder is None:
            raise ValueError("syslog needs folder, where messages wait for the receiver")
        if (self.syslog_certificate_file is None) != (self.syslog_key_file is None):
            raise ValueError("syslog_certificate_file and syslog_key_file belong together")
        return self
