"""Which workitems this performer may claim: pure functions of a workitem and of what the performer is and can do.

Source: IHE RAD AIW-I, Claim Workitem [RAD-82]: none that names another performer, none that is not ready.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.pull.wanted import is_uid
from service.worklist.workitem import Code, Input, State, Workitem


class Refusal(StrEnum):
    """Why a workitem is passed over."""

    NOT_SCHEDULED = "not-scheduled"
    NOT_READY = "not-ready"
    OTHER_PROCEDURE = "other-procedure"
    OTHER_STATION = "other-station"
    OTHER_CLASS = "other-class"
    OTHER_LOCATION = "other-location"
    OTHER_ORGANIZATION = "other-organization"
    NO_INPUT = "no-input"
    UNKNOWN_SOURCE = "unknown-source"


@dataclass(frozen=True)
class Capabilities:
    """Who this performer is, and what it can do.

    Attributes:
        station: Its name as a code.
        procedures: Task by the code of the procedure, ``value^scheme``; an empty task leaves the choice to the
            selection rules.
        station_class: Its class as ``value^scheme``; empty where it has none.
        location: Where it stands as ``value^scheme``; empty where nobody says.
        organization: Whose it is; empty where nobody says.
    """

    station: Code
    procedures: Mapping[str, str] = field(default_factory=dict)
    station_class: str = ""
    location: str = ""
    organization: str = ""


def refusal(
    workitem: Workitem, own: Capabilities, *, knows_source: Callable[[Input], bool] = lambda _input: True
) -> Refusal | None:
    """Say why a workitem may not be claimed; None where it may.

    Args:
        workitem: The workitem.
        own: What the performer is and can do.
        knows_source: Tells whether input can be fetched from where the workitem says.
    """
    if workitem.state != State.SCHEDULED or not is_uid(workitem.uid):
        return Refusal.NOT_SCHEDULED
    if not workitem.is_ready:
        return Refusal.NOT_READY
    if workitem.procedure.key not in own.procedures:
        return Refusal.OTHER_PROCEDURE
    for tag, mine, reason in (
        ("00404025", own.station.key, Refusal.OTHER_STATION),
        ("00404026", own.station_class, Refusal.OTHER_CLASS),
        ("00404027", own.location, Refusal.OTHER_LOCATION),
    ):
        named = workitem.codes(tag)
        if named and mine not in [code.key for code in named]:
            return reason
    if workitem.organizations and own.organization not in workitem.organizations:
        return Refusal.OTHER_ORGANIZATION
    return _input_refusal(workitem, knows_source)


def _input_refusal(workitem: Workitem, knows_source: Callable[[Input], bool]) -> Refusal | None:
    inputs = workitem.inputs
    if not inputs or not all(is_uid(one.study_uid) for one in inputs) or len({one.study_uid for one in inputs}) > 1:
        return Refusal.NO_INPUT
    if not all(is_uid(uid) for one in inputs for uid in (one.series_uid, *one.sop_uids) if uid):
        return Refusal.NO_INPUT
    return None if all(knows_source(one) for one in inputs) else Refusal.UNKNOWN_SOURCE
