"""N-EVENT-REPORT: a receiver tells, on an association of its own, whether it commits itself to what we delivered."""

from typing import Any

from pynetdicom import evt

from service.delivery.reports import CommitmentReports, read_report
from service.observability.logs import describe_exception, get_logger

log = get_logger(__name__)
SUCCESS, PROCESSING_FAILURE, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0115


class CommitmentListener:
    """The handler of such reports.

    Args:
        reports: Where they are noted.
    """

    def __init__(self, reports: CommitmentReports) -> None:
        self._reports = reports

    def handlers(self) -> list[tuple[Any, ...]]:
        """Return what pynetdicom is to call, and when."""
        return [(evt.EVT_N_EVENT_REPORT, self.on_report)]

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        """Note a report; one about a transaction that nobody here began is refused."""
        try:
            uid, report = read_report(event.event_information)
            known = self._reports.tell(uid, report)
        except Exception as error:  # the boundary of the DIMSE face
            log.error("request-broke", door="dimse", **describe_exception(error))
            return PROCESSING_FAILURE, None
        if not known:
            log.warning("commitment-unknown", door="dimse")
            return INVALID_ARGUMENT, None
        log.info("commitment-reported", door="dimse", count=len(report.committed), refused=len(report.failed))
        return SUCCESS, None
