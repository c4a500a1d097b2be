"""What became of each instance, in the words of both protocols, and what that means for the whole delivery.

Sources: PS3.4 table B.2-1 (C-STORE), PS3.7 C (general codes), PS3.18 I.2 (store response), PS3.4 J.3.3 (commitment).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery.instances import InstanceRef

DUPLICATE_INSTANCE, CLASS_NOT_SUPPORTED, NO_SUCH_INSTANCE, PROCESSING_FAILURE = 0x0111, 0x0122, 0x0112, 0x0110
_RESOURCE_LIMITATION = 0x0213
_WARNINGS = (0x0001, 0x0107, 0x0116)
_WORDS: Mapping[int, str] = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "it is not there",
    CLASS_NOT_SUPPORTED: "class or transfer syntax not supported",
    _RESOURCE_LIMITATION: "resource limitation",
    0x0117: "invalid instance",
    0x0119: "class and instance do not belong together",
    0x0124: "not authorised",
    0x0131: "transaction known already",
}
_RANGES: Sequence[tuple[range, str]] = (
    (range(0xA700, 0xA800), "out of resources"),
    (range(0xA900, 0xAA00), "data set does not match its class"),
    (range(0xC000, 0xD000), "cannot understand"),
)


class Verdict(StrEnum):
    """What to do about an instance."""

    STORED = "stored"
    """Nothing: the receiver says that it has it."""
    POSTPONED = "postponed"
    """Send it again later."""
    REFUSED = "refused"
    """Nothing: it would be refused again."""


@dataclass(frozen=True)
class Outcome:
    """What a receiver said of one instance.

    Attributes:
        verdict: What to do about it.
        reason: Why it is not stored, in words free of patient data.
        warned: Whether it was stored with a warning, or not as it was sent.
    """

    verdict: Verdict
    reason: str = ""
    warned: bool = False

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.reason else f"{self.verdict}{' with a warning' * self.warned}"


STORED = Outcome(Verdict.STORED)
Outcomes = Mapping[str, Outcome]
"""By SOP instance UID."""


def outcome_of(code: int) -> Outcome:
    """Return what a C-STORE status, or a failure reason of a store response, means.

    That an instance of the same name is there already is a success: names follow from content. Whether the content is
    the same, reading it back tells.
    """
    if code in (0x0000, DUPLICATE_INSTANCE):
        return STORED
    if code in _WARNINGS or 0xB000 <= code <= 0xBFFF:
        return Outcome(Verdict.STORED, warned=True)
    later = code in (PROCESSING_FAILURE, _RESOURCE_LIMITATION) or 0xA700 <= code <= 0xA7FF
    return Outcome(Verdict.POSTPONED if later else Verdict.REFUSED, words_for(code))


def words_for(code: int) -> str:
    """Return a code with its meaning."""
    meaning = _WORDS.get(code) or next((words for codes, words in _RANGES if code in codes), "failure")
    return f"{meaning} ({code:04X})"


def raise_for(refs: Sequence[InstanceRef], outcomes: Outcomes, *, failed: str) -> None:
    """Return where everything is stored.

    Args:
        refs: What the outcomes are about.
        outcomes: Of each of them.
        failed: What did not happen, as ``were not taken``.

    Raises:
        DeliveryFailedError: Some may be yet.
        DeliveryRefusedError: All that can be are, and others never will be.
    """
    for verdict, error in ((Verdict.POSTPONED, DeliveryFailedError), (Verdict.REFUSED, DeliveryRefusedError)):
        found = [ref for ref in refs if outcomes[ref.sop_instance_uid].verdict is verdict]
        if found:
            reasons = Counter(f"{ref.kind}: {outcomes[ref.sop_instance_uid].reason}" for ref in found)
            raise error(
                f"{len(found)} of {len(refs)} instances {failed}: {'; '.join(reasons)}.",
                fix="Nothing is lost: try again." if error is DeliveryFailedError else "See docs/delivery.md.",
                details={"instances": len(refs), verdict: len(found)},
            )
