"""Every number that a deployment may set, read once from the environment by the composition root.

``ENTRUST_TRITON__URL=triton:8001`` sets ``settings.triton.url``. A misspelt name is an error, not a silence; each field
has bounds and carries its unit in its name. Rooms never see this package: they get plain arguments.
"""

import os

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from entrust.errors import InvalidInputError
from service.settings.faces import AuthSettings, DimseSettings, RestSettings, RpcSettings, TlsSettings
from service.settings.models import InferenceSettings, IngestSettings, SelectionSettings, TritonSettings
from service.settings.observability import AuditSettings, LogSettings, MetricsSettings, TracesSettings
from service.settings.peers import DeliverySettings, PullSettings, WorklistSettings
from service.settings.work import ArchiveSettings, DatabaseSettings, JobsSettings, StudiesSettings

PREFIX = "ENTRUST_"
DELIMITER = "__"


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
