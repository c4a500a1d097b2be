"""Reading back by C-GET: what a receiver gives back is what it was sent.

Source: PS3.4 C.4.3 (C-GET), with the sub-operations on the same association.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery.association import apart, associated
from service.delivery.copies import MISSING, compare_copy
from service.delivery.instances import InstanceRef
from service.delivery.outcomes import Outcome, Outcomes, Verdict, words_for
from service.delivery.targets import DimseTarget
from service.ingest.headers import deviations

_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_SUCCESS, _PENDING = 0x0000, 0xFF00


class GetConfirmer:
    """Reads instances back from a target.

    Args:
        target: The receiver.
    """

    def __init__(self, target: DimseTarget) -> None:
        self._target = target

    async def confirm(self, study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        """Return for each instance whether the target gives back the same.

        Raises:
            DeliveryFailedError: The target cannot be reached, or wants no association now.
            DeliveryRefusedError: It does not know us, or cannot give anything back.
            InvalidInputError: Certificates cannot be used.
        """
        return await apart(lambda: self._confirm(study_uid, refs))

    def _confirm(self, study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        wanted = {ref.sop_instance_uid: ref for ref in refs}
        outcomes: dict[str, Outcome] = {}

        def on_store(event: evt.Event) -> int:
            ref = wanted.get(str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
            if ref is not None:
                with deviations():
                    outcomes[ref.sop_instance_uid] = compare_copy(ref, event.dataset)
            return 0x0000

        classes = list(dict.fromkeys(ref.sop_class_uid for ref in refs))
        contexts = [(StudyRootQueryRetrieveInformationModelGet, _PLAIN), *((uid, _PLAIN) for uid in classes)]
        roles = [build_role(uid, scp_role=True) for uid in classes]
        with associated(self._target, contexts, handlers=[(evt.EVT_C_STORE, on_store)], roles=roles) as association:
            self._check(association)
            for ref in refs:
                outcome = _get(association, study_uid, ref)
                if outcome is None:
                    raise DeliveryFailedError(
                        f"The target {self._target.name} does not answer (C-GET).", fix="Nothing is lost: try again."
                    )
                outcomes.setdefault(ref.sop_instance_uid, outcome)
        return {uid: outcomes.get(uid, MISSING) for uid in wanted}

    def _check(self, association: Association) -> None:
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        if StudyRootQueryRetrieveInformationModelGet not in accepted:
            raise DeliveryRefusedError(
                f"The target {self._target.name} gives nothing back by C-GET.",
                fix="Confirm by storage commitment, or deliver by DICOMweb.",
            )


def _get(association: Association, study_uid: str, ref: InstanceRef) -> Outcome | None:
    """Ask for one instance; return what it means when none came, None where there is no answer."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = study_uid, ref.series_uid
    identifier.SOPInstanceUID = ref.sop_instance_uid
    outcome = MISSING
    for status, _ in association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet):
        if "Status" not in status:
            return None
        code = int(status.Status)
        if code not in (_SUCCESS, _PENDING):  # receivers differ in what they say of an instance that they do not have
            outcome = Outcome(Verdict.POSTPONED, words_for(code))
    return outcome
