"""Storage commitment as its user: a receiver is asked to take responsibility for what it was sent.

Its answer comes on the association of the request, or on one that the receiver opens to our SCP
(:mod:`service.api.dimse`); both end in :class:`CommitmentReports`.

Source: PS3.4 J (Storage Commitment Service Class).
"""

import threading
import time
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery.association import apart, associated
from service.delivery.instances import InstanceRef
from service.delivery.outcomes import PROCESSING_FAILURE, STORED, Outcome, Outcomes, Verdict, outcome_of, words_for
from service.delivery.reports import CommitmentReports, Report, Transaction, read_report
from service.delivery.targets import DimseTarget

_WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST_COMMITMENT = 1
_PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_HELD_SECONDS = 5.0
"""How long an association stays open for an answer; receivers that need longer open one of their own."""
_LOOK_SECONDS = 0.05
_NOT_YET = Outcome(Verdict.POSTPONED, "no word yet of its commitment")
_TRANSACTION_KNOWN = 0x0131


class CommitmentConfirmer:
    """Asks a target for its commitment.

    Args:
        target: The receiver.
        reports: Where its answers are noted.
        patience_seconds: After how long without an answer it is asked again.
    """

    def __init__(self, target: DimseTarget, reports: CommitmentReports, patience_seconds: float) -> None:
        self._target = target
        self._reports = reports
        self._patience_seconds = patience_seconds

    async def confirm(self, _study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        """Return for each instance whether the target has committed itself; ask it where that was not done.

        Raises:
            DeliveryFailedError: The target cannot be reached, or cannot take the request now.
            DeliveryRefusedError: It commits itself to nothing.
            InvalidInputError: Certificates cannot be used.
        """
        return await apart(lambda: self._confirm(refs))

    def _confirm(self, refs: Sequence[InstanceRef]) -> Outcomes:
        uids = [ref.sop_instance_uid for ref in refs]
        transaction = self._reports.find(self._target.name, uids)
        if transaction is None or (transaction.report is None and transaction.age_seconds > self._patience_seconds):
            self._ask(self._reports.open(self._target.name, uids), refs)
            transaction = self._reports.find(self._target.name, uids)
        if transaction is None or transaction.report is None:
            return dict.fromkeys(uids, _NOT_YET)
        self._reports.close(transaction)  # what is not committed now has to be asked for anew
        return {uid: _outcome(uid, transaction.report) for uid in uids}

    def _ask(self, transaction: Transaction, refs: Sequence[InstanceRef]) -> None:
        """Make the request, and wait a moment for its answer."""
        action = Dataset()
        action.TransactionUID = transaction.uid
        action.ReferencedSOPSequence = [_reference(ref) for ref in refs]
        told, replied = threading.Event(), threading.Event()

        def on_report(event: evt.Event) -> tuple[int, None]:
            told.set()
            known = self._reports.tell(*read_report(event.event_information))
            return (0x0000 if known else PROCESSING_FAILURE), None

        def on_sent(event: evt.Event) -> None:
            if isinstance(event.message, N_EVENT_REPORT_RSP):
                replied.set()

        asked = False
        try:
            with associated(
                self._target,
                [(StorageCommitmentPushModel, _PLAIN)],
                handlers=[(evt.EVT_N_EVENT_REPORT, on_report), (evt.EVT_DIMSE_SENT, on_sent)],
                listening=True,
            ) as association:
                if not association.accepted_contexts:
                    raise self._refusal("commits itself to nothing")
                status, _ = association.send_n_action(
                    action, _REQUEST_COMMITMENT, StorageCommitmentPushModel, _WELL_KNOWN_INSTANCE
                )
                self._check(status)
                asked = True
                end = time.monotonic() + _HELD_SECONDS
                while association.is_established and time.monotonic() < end:
                    time.sleep(_LOOK_SECONDS)
                    # who reports on this association waits for our reply; pynetdicom would release it before that
                    if replied.is_set() or (self._is_told(transaction) and not told.is_set()):
                        break
        finally:
            if not asked:
                self._reports.close(transaction)

    def _is_told(self, transaction: Transaction) -> bool:
        found = self._reports.find(transaction.target, transaction.instances)
        return found is None or found.report is not None

    def _check(self, status: Dataset) -> None:
        if "Status" not in status:
            raise DeliveryFailedError(
                f"The target {self._target.name} does not answer (N-ACTION).", fix="Nothing is lost: try again."
            )
        code = int(status.Status)
        verdict = outcome_of(code).verdict
        if verdict is Verdict.POSTPONED:
            raise DeliveryFailedError(
                f"The target {self._target.name} cannot commit itself now: {words_for(code)}.",
                fix="Nothing is lost: try again.",
            )
        if verdict is Verdict.REFUSED:
            raise self._refusal(f"does not commit itself: {words_for(code)}")

    def _refusal(self, what: str) -> DeliveryRefusedError:
        return DeliveryRefusedError(f"The target {self._target.name} {what}.", fix="Confirm by reading back.")


def _reference(ref: InstanceRef) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ref.sop_class_uid, ref.sop_instance_uid
    return item


def _outcome(uid: str, report: Report) -> Outcome:
    """Return what a report says of an instance; one that it does not name is not committed."""
    if uid in report.failed:
        code = report.failed[uid]
        later = outcome_of(code).verdict is Verdict.POSTPONED or code == _TRANSACTION_KNOWN
        return Outcome(Verdict.POSTPONED if later else Verdict.REFUSED, words_for(code))
    return STORED if uid in report.committed else Outcome(Verdict.POSTPONED, "the report does not name it")
