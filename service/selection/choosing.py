"""Headers of a study and rules → which series plays which role of which task, and why.

A pure function: what has arrived goes in, values come out. Nothing is raised for what a study lacks, so that a lack can
be explained; :meth:`Selection.cast` raises where the series are needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from entrust.contract import Task
from entrust.errors import EnTrustError, InvalidInputError, UnsupportedMediaError
from service.selection.casting import Casting, cast_roles
from service.selection.evaluation import Context, check_all
from service.selection.explanation import (
    Explanation,
    NamedWarning,
    Refusal,
    RuleOutcome,
    SeriesOutcome,
    SeriesState,
    TaskOutcome,
    in_words,
)
from service.selection.guard import OWN_RESULTS
from service.selection.naming import Numbered, left_out
from service.selection.rules import Exclusion, Rules, TaskRules
from service.selection.tags import shown
from service.study import Cast, SeriesHeader, Study, Warned


@dataclass(frozen=True)
class Selection:
    """What was chosen of a study.

    Attributes:
        task: The task; ``None`` where none fits.
        priority: ``stat`` overtakes.
        chosen: Place of the series in the study (from 0) by modality slug, in the task's order.
        excluded: Places of the series that an exclusion bars.
        required: Slugs without which the task is not begun.
        problems: Why the task cannot be begun.
        warnings: Tolerances used.
        explanation: All of it, for people and programs.
        assignment: What the caller gave.
    """

    task: str | None
    priority: Literal["stat", "routine"]
    chosen: Mapping[str, int]
    excluded: frozenset[int]
    required: frozenset[str]
    problems: tuple[EnTrustError, ...]
    warnings: tuple[Warned, ...]
    explanation: Explanation
    assignment: Mapping[str, str]

    def cast(self, study: Study) -> Cast:
        """Return the series by role.

        Args:
            study: The study whose series' headers were given, in their order.

        Raises:
            InvalidInputError: Several series fit a role equally well.
        """
        for problem in self.problems:
            raise problem
        return Cast(
            series={slug: study.series[index] for slug, index in self.chosen.items()},
            warnings=self.warnings,
            named=frozenset(self.assignment),
            left_out=left_out(self.assignment),
            required=self.required,
        )


def select(
    series: Sequence[SeriesHeader],
    rules: Rules,
    tasks: Mapping[str, Task],
    *,
    task: str = "",
    assignment: Mapping[str, str] | None = None,
) -> Selection:
    """Choose a task and its series.

    Args:
        series: Headers of all that has arrived.
        rules: What to choose by.
        tasks: The tasks by name.
        task: The task that is asked for. When empty, the first of the rules that fits, or none where several fit and
            the rules refuse that.
        assignment: Modality slug → series number, description or SeriesInstanceUID, or ``none`` to leave the modality
            out. Slugs that are not named are chosen by the rules.

    Raises:
        InvalidInputError: The assignment names no series, several, or one of another modality.
    """
    assignment = assignment or {}
    volumes = {i: one for i, one in enumerate(series) if one.refused is None}
    counts: dict[str, int] = {}
    for one in volumes.values():
        counts[one.dicom_modality] = counts.get(one.dicom_modality, 0) + 1
    context = Context(rules.define, counts)
    barred = {i: bar for i, one in enumerate(series) if (bar := _exclusion(rules, one, context)) is not None}
    counting = [one for i, one in enumerate(series) if i not in barred]
    allowed = {i: one for i, one in volumes.items() if i not in barred}
    of_tasks = [(task, rules.for_task(task))] if task else [(one.task, one) for one in rules.tasks]

    attempts = [
        _attempt(tasks[name], of_task, volumes, allowed, context, assignment, asked=bool(task))
        for name, of_task in of_tasks
    ]
    fitting = [attempt for attempt in attempts if attempt.fits]
    ambiguous = len(fitting) > 1 and rules.several_tasks == "refuse"
    best = fitting[0] if fitting and not ambiguous else None
    priority: Literal["stat", "routine"] = "stat" if _is_stat(rules, counting, context) else "routine"
    warnings = tuple(best.casting.warnings) if best else ()
    return Selection(
        task=best.task.name if best else None,
        priority=priority,
        chosen={s: best.casting.chosen[s] for s in best.task.slugs if s in best.casting.chosen} if best else {},
        excluded=frozenset(barred),
        required=best.required if best else frozenset(),
        problems=tuple(best.casting.problems.values()) if best else (_several(fitting),) if ambiguous else (),
        warnings=warnings,
        explanation=Explanation(
            task=best.task.name if best else None,
            priority=priority,
            tasks=tuple(_task_outcome(attempt, chosen=attempt is best, ambiguous=ambiguous) for attempt in attempts),
            series=tuple(_series_outcome(i, one, barred.get(i), attempts, best) for i, one in enumerate(series)),
            warnings=(*(NamedWarning(code=w.code, message=w.message) for w in warnings), *_apart(series, best)),
        ),
        assignment=assignment,
    )


_DECIDED = {
    "caller": "The caller named it.",
    "file name": "Its file is named so.",
    "rules": "It fits best.",
    "frame of reference": "Of several, it lies in the others' frame of reference.",
    "series number": "Of several, it is the first by number.",
}


@dataclass(frozen=True)
class _Attempt:
    task: Task
    casting: Casting
    required: frozenset[str]
    fits: bool
    reason: str
    whens: Mapping[int, RuleOutcome]


def _attempt(
    task: Task,
    rules: TaskRules | None,
    volumes: Numbered,
    allowed: Numbered,
    context: Context,
    assignment: Mapping[str, str],
    *,
    asked: bool,
) -> _Attempt:
    casting = cast_roles(task, rules, volumes, allowed, context, assignment)
    required = frozenset(task.required) | (rules.required if rules else frozenset())
    whens: dict[int, RuleOutcome] = {}
    if rules and rules.when and not asked:
        for i, one in allowed.items():
            checks = check_all(rules.when, one, context)
            whens[i] = RuleOutcome(rule=f"{task.name}: when", met=all(c.met for c in checks), checks=checks)
        if not any(outcome.met for outcome in whens.values()):
            return _Attempt(task, casting, required, False, "No series meets what the task asks of a study.", whens)
    if asked:  # what is missing is told by the room that needs it
        return _Attempt(task, casting, required, True, "It was asked for.", whens)
    if casting.problems:
        return _Attempt(task, casting, required, False, "Several series fit a role equally well.", whens)
    if missing := sorted(required - casting.chosen.keys()):
        return _Attempt(task, casting, required, False, f"Required and not there: {', '.join(missing)}.", whens)
    if not casting.chosen:
        return _Attempt(task, casting, required, False, "No series fits any of its roles.", whens)
    return _Attempt(task, casting, required, True, "It is the first that fits.", whens)


def _several(fitting: Sequence[_Attempt]) -> InvalidInputError:
    names = [attempt.task.name for attempt in fitting]
    return InvalidInputError(
        f"The study fits several tasks: {', '.join(names)}.",
        fix=f"Name the one that is meant, for example task={names[0]}.",
        details={"tasks": ", ".join(names)},
    )


def _apart(series: Sequence[SeriesHeader], best: _Attempt | None) -> list[NamedWarning]:
    """Say that the chosen series do not share their coordinates: they are registered later, or refused then."""
    chosen = best.casting.chosen.values() if best else ()
    frames = {series[i].frame_of_reference_uid for i in chosen} - {""}
    if len(frames) < 2:
        return []
    message = f"The chosen series lie in {len(frames)} frames of reference; they have to be registered."
    return [NamedWarning(code="frames-of-reference-differ", message=message)]


def _exclusion(rules: Rules, series: SeriesHeader, context: Context) -> tuple[Exclusion, RuleOutcome] | None:
    """Return the first exclusion that bars a series, the loop guard before all others."""
    for exclusion in (OWN_RESULTS, *rules.exclude):
        checks = check_all(exclusion.when, series, context)
        if all(one.met for one in checks):
            return exclusion, RuleOutcome(rule=f"exclude {exclusion.name}", met=True, checks=checks)
    return None


def _is_stat(rules: Rules, series: Sequence[SeriesHeader], context: Context) -> bool:
    if rules.priority is None:
        return False
    return any(all(one.met for one in check_all(rules.priority.stat, s, context)) for s in series)


def _task_outcome(attempt: _Attempt, *, chosen: bool, ambiguous: bool) -> TaskOutcome:
    reason = attempt.reason
    if attempt.fits and not chosen:
        reason = "It fits, and so does another task." if ambiguous else "An earlier task fits."
    roles = attempt.casting.role_outcomes(attempt.task, attempt.required)
    return TaskOutcome(task=attempt.task.name, chosen=chosen, reason=reason, roles=roles)


def _series_outcome(
    index: int,
    series: SeriesHeader,
    bar: tuple[Exclusion, RuleOutcome] | None,
    attempts: Sequence[_Attempt],
    best: _Attempt | None,
) -> SeriesOutcome:
    number = series.attributes.get("SeriesNumber")
    held = [bar[1]] if bar else []
    for attempt in attempts:
        held += [attempt.whens[index]] if index in attempt.whens else []
        held += attempt.casting.outcomes.get(index, [])
    state, role, reason = _state(index, best)
    refusal = None
    if series.refused is not None:
        state, reason, refusal = "refused", series.refused.message, Refusal.of(series.refused)
    if bar is not None and state != "taken":
        exclusion = bar[0]
        state, reason = "excluded", exclusion.because
        refusal = Refusal.of(UnsupportedMediaError(exclusion.because, fix=exclusion.fix))
    return SeriesOutcome(
        index=index + 1,
        series_number=number if isinstance(number, int) else None,
        dicom_modality=shown("Modality", series.dicom_modality) if series.dicom_modality else "",
        images=series.num_images,
        state=state,
        role=role,
        reason=reason,
        refusal=refusal,
        rules=tuple(held),
    )


def _state(index: int, best: _Attempt | None) -> tuple[SeriesState, str, str]:
    if best is None:
        return "unmatched", "", "No task fits the study."
    for slug, chosen in best.casting.chosen.items():
        if chosen == index:
            return "taken", slug, _DECIDED[best.casting.decided_by[slug]]
    for slug, matched in best.casting.matched.items():
        if index in matched and slug in best.casting.problems:
            return "passed-over", slug, "Others fit equally well, and nothing tells them apart."
        if index in matched:
            return "passed-over", slug, best.casting.outdone.get(index, "Another series is preferred.")
    return "unmatched", "", _why_unmatched(best.casting.outcomes.get(index, []))


def _why_unmatched(rules: Sequence[RuleOutcome]) -> str:
    """Name the first condition that each role of the series' modality missed it by."""
    missed = []
    for rule in rules:
        modality, *conditions = rule.checks
        failed = next((check for check in conditions if not check.met), None)
        if modality.met and failed is not None:
            line = f" (line {failed.line})" if failed.line else ""
            missed.append(f"{rule.rule} asks: {in_words(failed)}{line}")
    return f"{'; '.join(missed)}." if missed else "No role asks for its modality."
