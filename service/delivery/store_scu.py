"""C-STORE as its user: one association, one answer for each instance.

Source: PS3.4 B (Storage Service Class).
"""

from collections.abc import Sequence

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from service.delivery.association import apart, associated
from service.delivery.instances import InstanceRef
from service.delivery.outcomes import CLASS_NOT_SUPPORTED, Outcome, Outcomes, Verdict, outcome_of
from service.delivery.targets import DimseTarget
from service.ingest.headers import deviations

_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_NO_ANSWER = Outcome(Verdict.POSTPONED, "no answer")


class StoreSender:
    """Sends instances to a target.

    Args:
        target: The receiver.
    """

    def __init__(self, target: DimseTarget) -> None:
        self._target = target

    async def send(self, _study_uid: str, refs: Sequence[InstanceRef]) -> Outcomes:
        """Send instances and return what became of each.

        Raises:
            DeliveryFailedError: The target cannot be reached, or wants no association now.
            DeliveryRefusedError: It does not know us, or is another one.
            InvalidInputError: Certificates cannot be used.
        """
        return await apart(lambda: self._send(refs))

    def _send(self, refs: Sequence[InstanceRef]) -> Outcomes:
        contexts = {(ref.sop_class_uid, syntax): None for ref in refs for syntax in _syntaxes(ref)}
        with associated(self._target, [(abstract, [syntax]) for abstract, syntax in contexts]) as association:
            outcomes = dict.fromkeys((ref.sop_instance_uid for ref in refs), _NO_ANSWER)
            for ref in refs:
                outcomes[ref.sop_instance_uid] = _store(association, ref)
                if outcomes[ref.sop_instance_uid] is _NO_ANSWER:
                    break  # nor would there be one for the others
            return outcomes


def _syntaxes(ref: InstanceRef) -> tuple[str, ...]:
    """Return what an instance may be sent as: what is not compressed also in the syntax that everybody knows."""
    own = ref.transfer_syntax_uid
    return (own, *(plain for plain in _PLAIN if plain != own)) if own in _PLAIN else (own,)


def _store(association: Association, ref: InstanceRef) -> Outcome:
    accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
    if not any((ref.sop_class_uid, syntax) in accepted for syntax in _syntaxes(ref)):
        return outcome_of(CLASS_NOT_SUPPORTED)
    with deviations():
        status = association.send_c_store(dcmread(ref.path))
    return outcome_of(int(status.Status)) if "Status" in status else _NO_ANSWER
