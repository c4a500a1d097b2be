"""Every number that a deployment may set, read once from the environment by the composition root.

``ENTRUST_TRITON__URL=triton:8001`` sets ``settings.triton.url``. A misspelt name is an error, not a silence; each field
has bounds and carries its unit in its name. Rooms never see this module: they get plain arguments.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from entrust.errors import InvalidInputError

PREFIX = "ENTRUST_"
DELIMITER = "__"
MEBIBYTE = 1024 * 1024


class _Group(BaseModel):
    """A frozen group of settings in which an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RestSettings(_Group):
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


class RpcSettings(_Group):
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


class TlsSettings(_Group):
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


class AuthSettings(_Group):
    """Who may ask, over HTTP and gRPC alike; everybody where no token is set.

    Attributes:
        token_file: File with one token a line: any of them is taken, so that they can be changed one after another.
    """

    token_file: Path | None = None


class TritonSettings(_Group):
    """Where the models run.

    Attributes:
        url: ``host:port`` of an external Triton's gRPC; empty starts the embedded one.
        shared_memory: ``auto`` uses system shared memory where the server shares this host, ``off`` never does.
        repository: Model repository of the embedded server; the project's own when empty.
        tasks: Tasks that the embedded server loads, separated by commas: each takes memory for its models. Every one of
            which the repository holds models when empty.
        home: Folder with the embedded server's files and environment; the project's own when empty.
        start_timeout_seconds: How long the embedded server may take to become ready.
        metrics_port: Port of the embedded server's own metrics, for Prometheus; 0 picks a free one.
        precision: Label of the per-step metrics: what the deployed engines compute in.
    """

    url: str = Field(default="", pattern=r"^$|^[A-Za-z0-9._\-\[\]:]+:\d{1,5}$")
    shared_memory: Literal["auto", "off"] = "auto"
    repository: Path | None = None
    tasks: str = Field(default="", pattern=r"^[a-z, ]*$")
    home: Path | None = None
    start_timeout_seconds: float = Field(default=120.0, gt=0.0, le=3600.0)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"


class JobsSettings(_Group):
    """The queue and what is kept of it.

    Attributes:
        max_queued: Jobs that may wait; one more is answered with ``overloaded``.
        concurrency: Jobs that run at a time.
        max_duration_seconds: Deadline of a job that names none, and the largest that may be named.
        retention_seconds: How long a finished job and its results are kept.
        retention_bytes: Results kept in all; the oldest go first.
        results_folder: Where results are kept, private to the gateway, so that they outlive its process; in memory when
            empty.
        work_folder: Where uploads lie while their job lives; a private folder under the system's temporary one when
            empty.
    """

    max_queued: int = Field(default=16, ge=1, le=10_000)
    concurrency: int = Field(default=1, ge=1, le=64)
    max_duration_seconds: float = Field(default=1800.0, gt=0.0, le=86_400.0)
    retention_seconds: float = Field(default=3600.0, gt=0.0, le=30 * 86_400.0)
    retention_bytes: int = Field(default=1024 * MEBIBYTE, ge=MEBIBYTE, le=1024 * 1024 * MEBIBYTE)
    results_folder: Path | None = None
    work_folder: Path | None = None


class ArchiveSettings(_Group):
    """What comes in from a PACS, and is kept.

    Attributes:
        folder: Where it is kept; where none is set nothing is, and DICOMweb and DIMSE are not served.
        max_used_ratio: Share of the folder's disk in use from which nothing more is taken.
        min_free_bytes: Free space of that disk below which nothing more is taken.
    """

    folder: Path | None = None
    max_used_ratio: float = Field(default=0.95, gt=0.0, le=1.0)
    min_free_bytes: int = Field(default=1024 * MEBIBYTE, ge=0, le=1024 * 1024 * MEBIBYTE)


class DatabaseSettings(_Group):
    """Where the state of studies is kept.

    Attributes:
        url: ``postgresql://user:password@host/name``; a file in the archive's folder when empty.
    """

    url: SecretStr = SecretStr("")


class StudiesSettings(_Group):
    """What becomes of the studies that the archive gets.

    Attributes:
        enabled: Whether they are segmented; it needs an archive.
        concurrency: Studies at a time.
        deliveries: Deliveries to one target at a time.
        num_hypotheses: K; the task's default when not set.
        num_steps: S; the task's default when not set.
        quiet_seconds: Silence after which a study is complete, in place of ``quiet_seconds`` in the selection rules.
        retries: How often a step is tried again after a failure that may heal.
        retry_seconds: Before the first time; each further time after twice as long.
        max_interruptions: How often the gateway may die over one study before it becomes a dead letter.
        max_step_seconds: Longest duration of one attempt at a step.
        retention_hours: How long images stay after their study has ended; for ever when not set.
        results_retention_hours: How long results and records stay; for ever when not set.
    """

    enabled: bool = True
    concurrency: int = Field(default=1, ge=1, le=64)
    deliveries: int = Field(default=8, ge=1, le=256)
    num_hypotheses: int | None = Field(default=None, ge=1, le=256)
    num_steps: int | None = Field(default=None, ge=1, le=1000)
    quiet_seconds: float | None = Field(default=None, ge=1.0, le=86_400.0)
    retries: int = Field(default=8, ge=0, le=100)
    retry_seconds: float = Field(default=2.0, ge=0.01, le=3600.0)
    max_interruptions: int = Field(default=20, ge=1, le=10_000)
    max_step_seconds: float = Field(default=1800.0, gt=0.0, le=86_400.0)
    retention_hours: float | None = Field(default=None, ge=0.0, le=24.0 * 3660)
    results_retention_hours: float | None = Field(default=None, ge=0.0, le=24.0 * 3660)

    @model_validator(mode="after")
    def _results_outlive_images(self) -> "StudiesSettings":
        images, results = self.retention_hours, self.results_retention_hours
        if results is not None and (images is None or results < images):
            raise ValueError("results_retention_hours needs retention_hours, and is not shorter")
        return self


AE_TITLE = r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?"
"""Printable characters without a backslash, 16 at most, no space at the ends (PS3.5 6.2, AE)."""


class DimseSettings(_Group):
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


SOURCE_NAME = r"^[a-z0-9][a-z0-9_-]{0,31}$"


class SourceSettings(_Group):
    """A PACS from which studies may be fetched.

    Attributes:
        kind: ``dicomweb`` or ``dimse``.
        url: Of a DICOMweb server, the root under which ``/studies`` lies.
        headers_file: File with one ``Name: value`` a line, sent to a DICOMweb server: credentials.
        host: Of a DIMSE peer.
        port: Of a DIMSE peer.
        ae_title: Of a DIMSE peer.
        method: ``c-get`` over the same association; ``c-move`` to our storage SCP, which the peer must know by
            ENTRUST_DIMSE__AE_TITLE.
        tls: Whether associations are encrypted; a DICOMweb server says so by its ``https``.
        ca_file: Authorities in PEM that vouch for the source; the public ones when empty.
        certificate_file: Certificate chain in PEM that is shown to the source, where it wants one.
        key_file: Its private key in PEM.
        timeout_seconds: Longest silence of the source.
    """

    kind: Literal["dicomweb", "dimse"]
    url: str = Field(default="", pattern=r"^$|^https?://[^\s?#@]+$")
    headers_file: Path | None = None
    host: str = ""
    port: int = Field(default=104, ge=1, le=65535)
    ae_title: str = Field(default="", pattern=f"^({AE_TITLE})?$")
    method: Literal["c-get", "c-move"] = "c-get"
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: float = Field(default=60.0, gt=0.0, le=3600.0)

    @model_validator(mode="after")
    def _is_whole(self) -> "SourceSettings":
        if self.kind == "dicomweb" and not self.url:
            raise ValueError("a dicomweb source needs a url")
        if self.kind == "dimse" and not (self.host and self.ae_title):
            raise ValueError("a dimse source needs a host and an ae_title")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        return self


class PullSettings(_Group):
    """Studies that are fetched from a PACS, into the archive.

    Attributes:
        sources: Where from, by name: ``ENTRUST_PULL__SOURCES__<NAME>__KIND=dicomweb``.
        concurrency: Retrievals at a time.
        max_waiting: How many more may wait.
        max_instances: Largest number of instances of one.
        max_instance_bytes: Largest instance.
    """

    sources: dict[Annotated[str, Field(pattern=SOURCE_NAME)], SourceSettings] = Field(default_factory=dict)
    concurrency: int = Field(default=2, ge=1, le=32)
    max_waiting: int = Field(default=64, ge=0, le=10_000)
    max_instances: int = Field(default=20_000, ge=1, le=200_000)
    max_instance_bytes: int = Field(default=2048 * MEBIBYTE, ge=1024, le=64 * 1024 * MEBIBYTE)


_CODE = r"[^^\\=,]{1,16}\^[^^\\=,]{1,16}"
CODE = f"^{_CODE}$"


class WorklistSettings(_Group):
    """A task manager whose workitems are performed (UPS-RS, IHE AIW-I).

    Attributes:
        url: Root under which ``/workitems`` lies; nothing is performed when empty.
        headers_file: File with one ``Name: value`` a line, sent to the task manager: credentials.
        ca_file: Authorities in PEM that vouch for it; the public ones when empty.
        certificate_file: Certificate chain in PEM that is shown to it, where it wants one.
        key_file: Its private key in PEM.
        timeout_seconds: Longest silence of the task manager.
        ae_title: As whom events are asked for; each performer needs its own.
        station: Name of this performer, ``code^scheme``.
        station_class: Its class, ``code^scheme``; empty where it has none.
        location: Where it stands, ``code^scheme``; empty where nobody says.
        organization: Whose it is; empty where nobody says.
        procedures: What is performed, ``code^scheme=task`` separated by commas; an empty task leaves the choice to the
            selection rules.
        source: Source of inputs of which a workitem does not say where they are.
        folder: Where claims are written down; in the archive's folder when empty.
        poll_seconds: Between two searches.
        retry_seconds: Between two attempts to reach a task manager that is away.
        concurrency: Workitems at a time.
        max_attempts: How many times the work of one workitem is begun, when the gateway dies in the middle.
        events: Whether events are asked for; without them a workitem waits for the next search.
        events_url: Address of the event channel; what the task manager says when empty.
    """

    url: str = Field(default="", pattern=r"^$|^https?://[^\s?#@]+$")
    headers_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: float = Field(default=30.0, gt=0.0, le=3600.0)
    ae_title: str = Field(default="ENTRUST", pattern=f"^{AE_TITLE}$")
    station: str = Field(default="ENTRUST^99ENTRUST", pattern=CODE)
    station_class: str = Field(default="", pattern=f"^$|{CODE}")
    location: str = Field(default="", pattern=f"^$|{CODE}")
    organization: str = Field(default="", max_length=64)
    procedures: str = Field(default="", pattern=rf"^({_CODE}=[a-z0-9_-]*(,{_CODE}=[a-z0-9_-]*)*)?$")
    source: str = Field(default="", pattern=f"^$|{SOURCE_NAME}")
    folder: Path | None = None
    poll_seconds: float = Field(default=15.0, gt=0.0, le=3600.0)
    retry_seconds: float = Field(default=5.0, gt=0.0, le=3600.0)
    concurrency: int = Field(default=1, ge=1, le=64)
    max_attempts: int = Field(default=3, ge=1, le=100)
    events: bool = True
    events_url: str = Field(default="", pattern=r"^$|^wss?://[^\s#@]+$")


class InferenceSettings(_Group):
    """What a caller may ask of the sampling loop.

    Attributes:
        max_hypotheses: Largest K.
        max_steps: Largest S.
        chunk: Slices in one call to Triton; fixed, so that a study's bits do not depend on what runs beside it.
    """

    max_hypotheses: int = Field(default=32, ge=1, le=256)
    max_steps: int = Field(default=64, ge=1, le=1000)
    chunk: int = Field(default=8, ge=1, le=64)


class IngestSettings(_Group):
    """Limits on what is unpacked and decoded.

    Attributes:
        max_files: Files in a folder or archive.
        max_bytes: Size of all files together before decoding.
        max_uncompressed_bytes: Size of an archive's content.
        max_ratio: Largest ratio of content to archive.
        max_voxels: Voxels of one series.
    """

    max_files: int = Field(default=20_000, ge=1, le=200_000)
    max_bytes: int = Field(default=4096 * MEBIBYTE, ge=1024, le=64 * 1024 * MEBIBYTE)
    max_uncompressed_bytes: int = Field(default=8192 * MEBIBYTE, ge=1024, le=64 * 1024 * MEBIBYTE)
    max_ratio: float = Field(default=200.0, ge=1.0, le=10_000.0)
    max_voxels: int = Field(default=512 * 512 * 2048, ge=1, le=2**33)


class SelectionSettings(_Group):
    """Which task, and which series plays which role.

    Attributes:
        rules: Rules file (docs/selection.md); the program's own when empty.
    """

    rules: Path | None = None


class MetricsSettings(_Group):
    """What is told to Prometheus.

    Attributes:
        references: Folder with ``<task>.json``, what the calibration set looked like; the released weights' own when
            empty.
    """

    references: Path | None = None


class LogSettings(_Group):
    """What is written to standard error.

    Attributes:
        level: Least level that is written.
        format: ``json`` for machines, ``text`` for people.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class TracesSettings(_Group):
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


OBJECTS: Mapping[str, str] = {
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "pm": "1.2.840.10008.5.1.4.1.1.30",
    "sr": "1.2.840.10008.5.1.4.1.1.88.34",
    "labelmap": "1.2.840.10008.5.1.4.1.1.66.7",
    "rtstruct": "1.2.840.10008.5.1.4.1.1.481.3",
    "secondary-capture": "1.2.840.10008.5.1.4.1.1.7",
}
"""Results that a receiver may be given, and their SOP classes (docs/results.md)."""


class TargetSettings(_Group):
    """A receiver of results.

    Attributes:
        kind: ``stow`` (DICOMweb) or ``dimse``.
        url: Root of its DICOMweb, without ``/studies``.
        credentials_file: For DICOMweb, a file with ``user:password`` or with a bearer token.
        host: Its host, for DIMSE.
        port: Its TCP port, for DIMSE.
        ae_title: Its AE title; ours is that of the DIMSE face.
        tls: Whether associations are encrypted; DICOMweb is where its address says so.
        ca_file: Authorities in PEM that vouch for it; the public ones when empty.
        certificate_file: Our certificate chain in PEM, where it wants one.
        key_file: Its private key in PEM.
        objects: Which results it is given, separated by commas: ``seg`` (segmentation), ``pm`` (parametric maps),
            ``sr`` (report), ``labelmap``, ``rtstruct``, ``secondary-capture``; all when empty.
        confirmation: ``read-back`` gets results again and compares them, ``commitment`` asks for storage commitment
            (DIMSE), ``none`` believes the first word.
        timeout_seconds: Its longest silence.
        concurrency: Deliveries and confirmations at a time.
        rest_seconds: How long it is left alone when it is down.
    """

    kind: Literal["stow", "dimse"]
    url: str = Field(default="", pattern=r"^$|^https?://[^\s?#@]+$")
    credentials_file: Path | None = None
    host: str = Field(default="", pattern=r"^[A-Za-z0-9._:-]{0,253}$")
    port: int = Field(default=104, ge=1, le=65535)
    ae_title: str = Field(default="", pattern=f"^({AE_TITLE})?$")
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    objects: str = ""
    confirmation: Literal["read-back", "commitment", "none"] = "read-back"
    timeout_seconds: float = Field(default=60.0, gt=0.0, le=3600.0)
    concurrency: int = Field(default=1, ge=1, le=64)
    rest_seconds: float = Field(default=30.0, gt=0.0, le=3600.0)

    @model_validator(mode="after")
    def _is_whole(self) -> "TargetSettings":
        if self.kind == "stow" and not self.url:
            raise ValueError("a target of kind stow needs url")
        if self.kind == "dimse" and not (self.host and self.ae_title):
            raise ValueError("a target of kind dimse needs host and ae_title")
        if self.kind == "stow" and self.confirmation == "commitment":
            raise ValueError("storage commitment needs kind dimse")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        if self.objects and not set(self.objects.split(",")) <= OBJECTS.keys():
            raise ValueError(f"objects names some of {', '.join(OBJECTS)}, separated by commas")
        return self

    @property
    def sop_classes(self) -> frozenset[str]:
        """SOP classes of the results that it is given."""
        return frozenset(OBJECTS[name] for name in (self.objects.split(",") if self.objects else OBJECTS))


TargetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class DeliverySettings(_Group):
    """Where results are delivered.

    Attributes:
        targets: Receivers by name: ``ENTRUST_DELIVERY__TARGETS__PACS__KIND=stow`` names one ``pacs``.
        retry_seconds: After how long a delivery is tried again that may succeed yet.
        give_up_hours: For how long; then it is a dead letter.
        commitment_patience_seconds: After how long without an answer a target is asked again for storage commitment.
    """

    targets: dict[TargetName, TargetSettings] = {}
    retry_seconds: float = Field(default=15.0, ge=0.01, le=3600.0)
    give_up_hours: float = Field(default=24.0, ge=0.0, le=24.0 * 30)
    commitment_patience_seconds: float = Field(default=3600.0, gt=0.0, le=30 * 86_400.0)


class AuditSettings(_Group):
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


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    rest: RestSettings = RestSettings()
    rpc: RpcSettings = RpcSettings()
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings = TlsSettings()
    triton: TritonSettings = TritonSettings()
    jobs: JobsSettings = JobsSettings()
    archive: ArchiveSettings = ArchiveSettings()
    database: DatabaseSettings = DatabaseSettings()
    studies: StudiesSettings = StudiesSettings()
    dimse: DimseSettings = DimseSettings()
    pull: PullSettings = PullSettings()
    worklist: WorklistSettings = WorklistSettings()
    delivery: DeliverySettings = DeliverySettings()
    audit: AuditSettings = AuditSettings()
    inference: InferenceSettings = InferenceSettings()
    ingest: IngestSettings = IngestSettings()
    selection: SelectionSettings = SelectionSettings()
    metrics: MetricsSettings = MetricsSettings()
    logs: LogSettings = LogSettings()
    traces: TracesSettings = TracesSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.dimse.enabled and self.archive.folder is None:
            raise ValueError("ENTRUST_DIMSE__ENABLED needs ENTRUST_ARCHIVE__FOLDER")
        if self.dimse.tls and self.tls.key_file is None:
            raise ValueError("ENTRUST_DIMSE__TLS needs ENTRUST_TLS__CERTIFICATE_FILE and ENTRUST_TLS__KEY_FILE")
        if self.pull.sources and self.archive.folder is None:
            raise ValueError("ENTRUST_PULL__SOURCES needs ENTRUST_ARCHIVE__FOLDER")
        if self.worklist.url and self.archive.folder is None:
            raise ValueError("ENTRUST_WORKLIST__URL needs ENTRUST_ARCHIVE__FOLDER")
        if self.worklist.url and not (self.worklist.procedures and self.rest.public_url):
            raise ValueError("ENTRUST_WORKLIST__URL needs ENTRUST_WORKLIST__PROCEDURES and ENTRUST_REST__PUBLIC_URL")
        if self.worklist.source and self.worklist.source not in self.pull.sources:
            raise ValueError("ENTRUST_WORKLIST__SOURCE needs a source of that name in ENTRUST_PULL__SOURCES")
        return self


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        InvalidInputError: A name is unknown or a value is out of its bounds; every fault is named at once.
    """
    groups = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(n for n in os.environ if n.startswith(PREFIX) and n.split(DELIMITER)[0] not in groups)
    if unknown:
        raise InvalidInputError(
            f"Unknown settings: {', '.join(unknown)}.",
            fix=f"Names are {PREFIX}<GROUP>{DELIMITER}<NAME> with a group of {', '.join(Settings.model_fields)}.",
        )
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"{PREFIX}{DELIMITER.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise InvalidInputError(f"Settings that cannot be used: {faults}.", fix="Correct or unset them.") from None
    except ValueError:
        # pydantic-settings raises its own error for a group given as one variable that is not JSON.
        raise InvalidInputError(
            "A settings group was given as one variable that is not JSON.",
            fix=f"Set single values: {PREFIX}REST{DELIMITER}PORT=8080.",
        ) from None
