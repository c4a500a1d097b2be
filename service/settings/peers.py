"""Whom the gateway calls: sources of studies, a task manager, receivers of results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from service.settings.group import AE_TITLE, MEBIBYTE, Group

SOURCE_NAME = r"^[a-z0-9][a-z0-9_-]{0,31}$"
_CODE = r"[^^\\=,]{1,16}\^[^^\\=,]{1,16}"
CODE = f"^{_CODE}$"


class SourceSettings(Group):
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


class PullSettings(Group):
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


class WorklistSettings(Group):
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
        concurrency: Workitems at a time, until their results are delivered.
        max_attempts: How many times the images of one workitem are fetched, when the gateway dies in the middle.
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


OBJECTS: Mapping[str, str] = {
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "pm": "1.2.840.10008.5.1.4.1.1.30",
    "sr": "1.2.840.10008.5.1.4.1.1.88.34",
    "labelmap": "1.2.840.10008.5.1.4.1.1.66.7",
    "rtstruct": "1.2.840.10008.5.1.4.1.1.481.3",
    "secondary-capture": "1.2.840.10008.5.1.4.1.1.7",
}
"""Results that a receiver may be given, and their SOP classes (docs/results.md)."""


class TargetSettings(Group):
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


class DeliverySettings(Group):
    """Where results are delivered.

    Attributes:
        targets: Receivers by name: ``ENTRUST_DELIVERY__TARGETS__PACS__KIND=stow`` names one ``pacs``.
        retry_seconds: After how long a delivery is tried again that may succeed yet.
        give_up_hours: For how long; then it is a dead letter.
        commitment_patience_seconds: After how long without an answer a target is asked again for storage commitment.
    """

    targets: dict[TargetName, TargetSettings] = Field(default={})
    retry_seconds: float = Field(default=15.0, ge=0.01, le=3600.0)
    give_up_hours: float = Field(default=24.0, ge=0.0, le=24.0 * 30)
    commitment_patience_seconds: float = Field(default=3600.0, gt=0.0, le=30 * 86_400.0)
