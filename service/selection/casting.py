"""One task's roles → who plays them: rules, preferences, then the frame of reference that the others share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrust.contract import Modality, Task
from entrust.errors import EnTrustError
from service.selection.conditions import Condition
from service.selection.evaluation import Context, check, check_all, spacing_mm
from service.selection.explanation import Check, Refusal, RoleOutcome, RuleOutcome, in_words
from service.selection.naming import LEFT_OUT, Numbered, by_field, by_file_name, named_by_caller, tie
from service.selection.rules import Largest, Role, Smallest, TaskRules
from service.selection.tags import numbers, texts
from service.study import SeriesHeader, Warned


@dataclass
class Casting:
    """What was found for one task.

    Attributes:
        chosen: Place of the series by slug.
        decided_by: What decided, by slug.
        ties: Places of candidates that nothing tells apart, by slug.
        matched: Places of all that could play a role, by slug.
        outcomes: Rules held against each series, by its place.
        outdone: By which preference a series came second, by its place.
        problems: Why nothing plays a role although something could, by slug.
        warnings: Tolerances used.
    """

    chosen: dict[str, int] = field(default_factory=dict)
    decided_by: dict[str, str] = field(default_factory=dict)
    ties: dict[str, list[int]] = field(default_factory=dict)
    matched: dict[str, list[int]] = field(default_factory=dict)
    outcomes: dict[int, list[RuleOutcome]] = field(default_factory=dict)
    outdone: dict[int, str] = field(default_factory=dict)
    problems: dict[str, EnTrustError] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)

    def take(self, slug: str, index: int, by: str) -> None:
        """Give a role to a series."""
        self.chosen[slug], self.decided_by[slug] = index, by

    def role_outcomes(self, task: Task, required: frozenset[str]) -> tuple[RoleOutcome, ...]:
        """Return what became of each role."""
        return tuple(
            RoleOutcome(
                role=slug,
                required=slug in required,
                index=self.chosen[slug] + 1 if slug in self.chosen else None,
                decided_by=self.decided_by.get(slug, ""),
                problem=Refusal.of(self.problems[slug]) if slug in self.problems else None,
            )
            for slug in task.slugs
        )


def cast_roles(
    task: Task,
    rules: TaskRules | None,
    volumes: Numbered,
    allowed: Numbered,
    context: Context,
    assignment: Mapping[str, str],
) -> Casting:
    """Choose a series for every modality that has one.

    Args:
        task: Its modalities are the roles.
        rules: The rules of the task; without them only what the caller gives is used.
        volumes: Series that can be used: the caller may name any.
        allowed: Those of them that no exclusion bars: rules choose among these.
        context: What conditions need beside the series.
        assignment: Modality slug → series number, description or SeriesInstanceUID, or ``none``.

    Raises:
        InvalidInputError: The assignment names no series, several, or one of another modality.
    """
    casting = Casting()
    for slug in assignment:
        task.modality(slug)
    for modality in task.modalities:  # the caller's first, so that no rule gives away what was named
        if modality.slug in assignment and assignment[modality.slug].strip().lower() != LEFT_OUT:
            casting.take(modality.slug, named_by_caller(volumes, modality, assignment[modality.slug]), "caller")
    for modality in task.modalities:
        if modality.slug in assignment:
            continue
        best, by = _best(task, modality, rules, allowed, context, casting)
        if len(best) == 1:
            casting.take(modality.slug, best[0], by)
        elif best:
            casting.ties[modality.slug] = best
    for slug, candidates in casting.ties.items():
        _untie(task.modality(slug), candidates, rules, allowed, casting)
    for slug in (slug for slug in task.slugs if slug in casting.chosen):
        role = rules.roles.get(slug) if rules else None
        casting.warnings += _doubts(role, volumes[casting.chosen[slug]], context)
    return casting


def _best(
    task: Task, modality: Modality, rules: TaskRules | None, allowed: Numbered, context: Context, casting: Casting
) -> tuple[list[int], str]:
    """Return the series that fit a modality best, several when nothing tells them apart, and what decided."""
    if said := by_field(allowed, modality):
        return said, "caller"
    if named := by_file_name(allowed, task, modality):
        return named, "file name"
    role = rules.roles.get(modality.slug) if rules else None
    if role is None:
        return [], ""
    matched = [
        index
        for index, series in allowed.items()
        if series.dicom_modality and not series.role and _fits(task, modality, role, index, series, context, casting)
    ]
    casting.matched[modality.slug] = matched
    free = [index for index in matched if index not in casting.chosen.values()]
    ranks = {index: _rank(role, allowed[index], context) for index in free}
    least = min(ranks.values(), default=())
    for index, rank in ranks.items():
        first = next((i for i, (here, there) in enumerate(zip(rank, least, strict=True)) if here != there), None)
        if first is not None:
            casting.outdone[index] = _why_outdone(role.prefer[first], allowed[index], context)
    return [index for index in free if ranks[index] == least], "rules"


def _fits(
    task: Task, modality: Modality, role: Role, index: int, series: SeriesHeader, context: Context, casting: Casting
) -> bool:
    right = series.dicom_modality == modality.dicom_modality
    checks = [Check(criterion=f"the modality is {modality.dicom_modality}", met=right, saw=series.dicom_modality)]
    if right:
        checks += check_all(role.take or [], series, context)
    met = all(one.met for one in checks)
    told = RuleOutcome(rule=f"{task.name}: {modality.slug}", met=met, checks=tuple(checks))
    casting.outcomes.setdefault(index, []).append(told)
    return met


def _rank(role: Role, series: SeriesHeader, context: Context) -> tuple[float, ...]:
    """Return how well a series fits: the smaller, the better, from the first number to the last."""
    return tuple(_preferred(preference, series, context) for preference in role.prefer)


def _preferred(preference: Condition | Largest | Smallest, series: SeriesHeader, context: Context) -> float:
    if isinstance(preference, Largest):
        return -_measured(preference.largest, series, missing=float("-inf"))
    if isinstance(preference, Smallest):
        return _measured(preference.smallest, series, missing=float("inf"))
    return float(not check(preference, series, context).met)


def _why_outdone(preference: Condition | Largest | Smallest, series: SeriesHeader, context: Context) -> str:
    line = f" (line {preference.line})" if preference.line else ""
    if isinstance(preference, Largest):
        return f"Another series has more {preference.largest}{line}."
    if isinstance(preference, Smallest):
        return f"Another series has less {preference.smallest}{line}."
    return f"Another series is preferred{line}: {in_words(check(preference, series, context))}."


def _measured(measure: str, series: SeriesHeader, *, missing: float) -> float:
    if measure == "images":
        return float(series.num_images)
    if measure == "slice_spacing_mm":
        spacing = spacing_mm(series)
        return missing if spacing is None else round(spacing, 2)
    found = numbers(series.attributes.get(measure))
    return found[0] if found and found[0] == found[0] else missing


def _untie(
    modality: Modality, candidates: list[int], rules: TaskRules | None, allowed: Numbered, casting: Casting
) -> None:
    slug = modality.slug
    candidates = [i for i in candidates if i not in casting.chosen.values()]  # another role's tie may have taken one
    if len(candidates) < 2:
        for index in candidates:
            casting.take(slug, index, "rules")
        return
    frames = {allowed[i].frame_of_reference_uid for i in casting.chosen.values() if i in allowed} - {""}
    together = [i for i in candidates if allowed[i].frame_of_reference_uid in frames]
    if len(together) == 1:
        casting.take(slug, together[0], "frame of reference")
        casting.warnings.append(
            Warned("role-by-frame-of-reference", f"Of several {slug} series, the one in the others' space was used.")
        )
        return
    role = rules.roles.get(slug) if rules else None
    if role is not None and role.on_tie == "first":
        casting.take(slug, min(together or candidates, key=lambda i: _in_order(allowed[i])), "series number")
        casting.warnings.append(Warned("role-by-series-number", f"Of several equal {slug} series, the first was used."))
        return
    casting.problems[slug] = tie(modality, [allowed[i] for i in candidates])


def _in_order(series: SeriesHeader) -> tuple[Any, ...]:
    number = numbers(series.attributes.get("SeriesNumber"))
    return (number[0] if number else float("inf"), texts(series.uid))


def _doubts(role: Role | None, series: SeriesHeader, context: Context) -> Sequence[Warned]:
    """Return what a reader should know about a choice; NIfTI has no tags that could tell."""
    if role is None or not series.dicom_modality:
        return []
    return [
        Warned(doubt.code, doubt.message)
        for doubt in role.warn
        if all(one.met for one in check_all(doubt.when, series, context))
    ]
