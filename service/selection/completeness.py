"""Whether a study that arrives in pieces is all there: a pure function of what has arrived, when, and what time it is.

A door that receives calls it with every arrival, and again at :attr:`Completeness.look_again_at_seconds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from entrust.contract import Task
from service.selection.choosing import Selection, select
from service.selection.rules import CompleteWhen, QuietSeconds, Rules, Signal
from service.study import SeriesHeader


class StudyState(StrEnum):
    """Where a study stands."""

    WAITING = "waiting"
    COMPLETE = "complete"
    NOTHING_TO_DO = "nothing-to-do"


@dataclass(frozen=True)
class Arrival:
    """A series, and when the last of its objects came.

    Attributes:
        header: What is known of it now.
        last_seconds: On the clock of ``now_seconds``.
    """

    header: SeriesHeader
    last_seconds: float


@dataclass(frozen=True)
class Completeness:
    """What is to be done about a study.

    Attributes:
        state: ``complete``: begin ``selection``'s task with its priority. ``nothing-to-do``: no task fits, or nothing
            that plays a role has come since it was done. ``waiting``: look again.
        selection: What would be chosen now.
        look_again_at_seconds: When time alone can change the answer; ``None`` where only an arrival can.
        reason: One sentence.
    """

    state: StudyState
    selection: Selection
    look_again_at_seconds: float | None
    reason: str


def with_quiet_seconds(rules: Rules, seconds: float) -> Rules:
    """Return rules in which a study is quiet after another time than they say."""
    when = rules.complete_when
    signals = [QuietSeconds(quiet_seconds=seconds) if isinstance(one, QuietSeconds) else one for one in when.signals]
    return rules.model_copy(update={"complete_when": CompleteWhen(**{"any" if when.any else "all": signals})})


def completeness(
    arrivals: Sequence[Arrival],
    rules: Rules,
    tasks: Mapping[str, Task],
    *,
    now_seconds: float,
    done_at_seconds: float | None = None,
) -> Completeness:
    """Say whether a study is complete.

    What an exclusion bars does not count: our own results do not make a study wait. A study is done again only for a
    new series that plays a role, not for a report that is written later.

    Args:
        arrivals: All series that have come.
        rules: What to choose by, and when a study is complete.
        tasks: The tasks by name.
        now_seconds: The time, on any clock that does not go backwards.
        done_at_seconds: When the study was last taken as complete; ``None`` if never.
    """
    selection = select([arrival.header for arrival in arrivals], rules, tasks)
    counting = {i: a.last_seconds for i, a in enumerate(arrivals) if i not in selection.excluded}
    last_seconds = max(counting.values(), default=None)
    if last_seconds is None:
        return Completeness(StudyState.NOTHING_TO_DO, selection, None, "Nothing that counts has come.")
    newest_seconds = max((arrivals[i].last_seconds for i in selection.chosen.values()), default=None)
    if done_at_seconds is not None and (newest_seconds is None or newest_seconds <= done_at_seconds):
        reason = "Nothing that plays a role has come since it was done."
        return Completeness(StudyState.NOTHING_TO_DO, selection, None, reason)

    waited = [_due(signal, selection, counting, last_seconds) for signal in rules.complete_when.signals]
    known = [due for due in waited if due is not None]
    if rules.complete_when.any is not None:
        due_seconds = min(known, default=None)
    else:
        due_seconds = max(known) if len(known) == len(waited) else None
    if due_seconds is not None and due_seconds <= now_seconds:
        if selection.task is None:
            reason = selection.problems[0].message if selection.problems else "No task fits what has come."
            return Completeness(StudyState.NOTHING_TO_DO, selection, None, reason)
        return Completeness(StudyState.COMPLETE, selection, None, f"It is complete for {selection.task}.")
    reason = "A required role is not played yet." if due_seconds is None else "Something has come a moment ago."
    return Completeness(StudyState.WAITING, selection, due_seconds, reason)


def _due(signal: Signal, selection: Selection, counting: Mapping[int, float], last_seconds: float) -> float | None:
    """Return when a signal comes if nothing more arrives; None where it then never does."""
    if isinstance(signal, QuietSeconds):
        return last_seconds + signal.quiet_seconds
    if selection.task is None:
        return None
    roles = selection.required or selection.chosen.keys()
    played = [counting.get(selection.chosen[slug], last_seconds) for slug in roles if slug in selection.chosen]
    return max(played) + signal.roles_filled_for_seconds
