"""Codes of both protocols, and what they mean together."""

from pathlib import Path

import pytest

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery import InstanceRef
from service.delivery.outcomes import STORED, Outcome, Verdict, outcome_of, raise_for

REFS = [InstanceRef(Path("a"), "1.2.840.10008.5.1.4.1.1.66.4", uid, "3", "4", "5") for uid in ("1", "2", "9")]
LATER, NEVER = outcome_of(0xA700), outcome_of(0xC000)


@pytest.mark.parametrize(
    ("code", "verdict", "warned"),
    [
        (0x0000, Verdict.STORED, False),
        (0x0111, Verdict.STORED, False),
        (0xB000, Verdict.STORED, True),
        (0xB006, Verdict.STORED, True),
        (0x0107, Verdict.STORED, True),
        (0xA700, Verdict.POSTPONED, False),
        (0xA7FF, Verdict.POSTPONED, False),
        (0x0110, Verdict.POSTPONED, False),
        (0x0213, Verdict.POSTPONED, False),
        (0xA900, Verdict.REFUSED, False),
        (0xC000, Verdict.REFUSED, False),
        (0xCFFF, Verdict.REFUSED, False),
        (0x0122, Verdict.REFUSED, False),
        (0x0124, Verdict.REFUSED, False),
        (0x0112, Verdict.REFUSED, False),
        (0xFFFF, Verdict.REFUSED, False),
    ],
)
def test_every_range_has_its_meaning(code: int, verdict: Verdict, warned: bool) -> None:
    outcome = outcome_of(code)
    assert (outcome.verdict, outcome.warned) == (verdict, warned)
    assert bool(outcome.reason) == (verdict is not Verdict.STORED)


def outcomes(*found: Outcome) -> dict[str, Outcome]:
    return dict(zip(("1", "2", "9"), found, strict=True))


def test_what_is_stored_raises_nothing() -> None:
    raise_for(REFS, outcomes(STORED, STORED, outcome_of(0xB000)), failed="were not taken")


def test_what_may_be_stored_yet_comes_before_what_will_not() -> None:
    with pytest.raises(
        DeliveryFailedError, match=r"^1 of 3 instances were not taken: Segmentation Storage: out of"
    ) as e:
        raise_for(REFS, outcomes(STORED, LATER, NEVER), failed="were not taken")
    assert not isinstance(e.value, DeliveryRefusedError)
    with pytest.raises(DeliveryRefusedError, match=r"2 of 3 .*: Segmentation Storage: cannot understand \(C000\)\."):
        raise_for(REFS, outcomes(NEVER, STORED, NEVER), failed="were not taken")


def test_errors_name_no_instance() -> None:
    with pytest.raises(DeliveryRefusedError) as caught:
        raise_for(REFS, outcomes(STORED, STORED, NEVER), failed="were not taken")
    assert "9" not in str(caught.value)
    assert set(caught.value.details) == {"instances", "refused"}
