"""From the settings to a courier: one route for each target."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from service.archive import Archive
from service.delivery.checking import Checker, FindImages
from service.delivery.commitment import CommitmentConfirmer
from service.delivery.courier import Confirmer, Courier, OnOutcomes, Route, Sender
from service.delivery.gate import Gate
from service.delivery.get_scu import GetConfirmer
from service.delivery.reports import CommitmentReports
from service.delivery.store_scu import StoreSender
from service.delivery.stow import StowSender
from service.delivery.targets import Confirmation, DimseTarget, StowTarget, Trust
from service.delivery.wado import WadoConfirmer
from service.ingest import IngestLimits
from service.observability.metrics import Metrics
from service.settings import Settings
from service.settings.peers import TargetSettings
from service.studies.engine import Retries

REPORTS_FOLDER = "commitments"


def make_courier(
    settings: Settings,
    metrics: Metrics,
    find_images: FindImages,
    reports: CommitmentReports,
    limits: IngestLimits,
    on_outcomes: OnOutcomes = lambda _target, _stage, _outcomes: None,
) -> Courier:
    """Build what delivers to the targets that are set.

    Args:
        settings: What a deployment set.
        metrics: Hears of it.
        find_images: Where the images are that results were made from.
        reports: Where answers to requests for storage commitment are noted.
        limits: Bounds on what is read.
        on_outcomes: See :class:`service.delivery.courier.Courier`.
    """
    patience_seconds = settings.delivery.commitment_patience_seconds
    routes = {}
    for name, target in settings.delivery.targets.items():
        sender, confirmer = _speakers(_target(name, target, settings.dimse.ae_title), reports, patience_seconds)
        gate = Gate(
            name,
            concurrency=target.concurrency,
            rest_seconds=target.rest_seconds,
            on_change=partial(metrics.delivery_target, name),
        )
        routes[name] = Route(gate, sender, confirmer, target.sop_classes)
        metrics.delivery_target(name, down=False)
    return Courier(routes, Checker(find_images, limits), metrics, on_outcomes)


def make_delivery(settings: Settings, metrics: Metrics, archive: Archive, limits: IngestLimits) -> Courier:
    """Build what hands over the results of an archive's studies; it has no targets where none is set."""
    reports = CommitmentReports(archive.files.folder / REPORTS_FOLDER)
    return make_courier(settings, metrics, images_in(archive), reports, limits)


def delivery_retries(settings: Settings) -> Retries:
    """Return how often a delivery is tried again; pauses are equal, for the gates keep attempts from storming."""
    asked = settings.delivery
    return Retries(int(asked.give_up_hours * 3600.0 / asked.retry_seconds), asked.retry_seconds, growth=1.0)


def open_reports(settings: Settings) -> CommitmentReports | None:
    """Return where receivers' answers are noted, beside the archive; None without one."""
    folder = settings.archive.folder
    return CommitmentReports(folder / REPORTS_FOLDER) if folder is not None else None


def images_in(archive: Archive) -> FindImages:
    """Return what finds images in the archive."""

    def find(study_uid: str, series_uid: str) -> Iterator[Path]:
        return (archive.path(located) for located in archive.locate(study_uid, series_uid))

    return find


def _target(name: str, target: TargetSettings, calling_ae_title: str) -> StowTarget | DimseTarget:
    confirmation, seconds = Confirmation(target.confirmation), target.timeout_seconds
    trust = Trust(target.ca_file, target.certificate_file, target.key_file)
    if target.kind == "stow":
        return StowTarget(
            name=name,
            confirmation=confirmation,
            timeout_seconds=seconds,
            trust=trust,
            url=target.url,
            credentials_file=target.credentials_file,
        )
    return DimseTarget(
        name=name,
        confirmation=confirmation,
        timeout_seconds=seconds,
        trust=trust,
        host=target.host,
        port=target.port,
        ae_title=target.ae_title,
        calling_ae_title=calling_ae_title,
        tls=target.tls,
    )


def _speakers(
    target: StowTarget | DimseTarget, reports: CommitmentReports, patience_seconds: float
) -> tuple[Sender, Confirmer | None]:
    """Return what sends to a target, and what confirms; None where its first word is believed."""
    confirmers: dict[Confirmation, Confirmer | None] = {Confirmation.NONE: None}
    if isinstance(target, StowTarget):
        confirmers[Confirmation.READ_BACK] = WadoConfirmer(target)
        return StowSender(target), confirmers[target.confirmation]
    confirmers[Confirmation.READ_BACK] = GetConfirmer(target)
    confirmers[Confirmation.COMMITMENT] = CommitmentConfirmer(target, reports, patience_seconds)
    return StoreSender(target), confirmers[target.confirmation]
