"""What a rules file may say, as frozen values; :mod:`service.selection.loading` reads them with their lines."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from service.selection.conditions import MAX_LIST, Condition, Conditions, Name, Node, Use, parts_of
from service.selection.tags import keyword_of

MAX_CONDITIONS = 300
"""Conditions of a file in all, each use of a definition counted anew: bounds what one study can cost."""
MEASURES = ("images", "slice_spacing_mm")


def _measure(name: str) -> str:
    return name if name in MEASURES else keyword_of(name)


Measure = Annotated[str, AfterValidator(_measure)]


class Largest(Node):
    """The series with the largest value goes first; one without goes last."""

    largest: Measure = Field(description=f"{', '.join(MEASURES)}, or a tag.")


class Smallest(Node):
    """The series with the smallest value goes first; one without goes last."""

    smallest: Measure = Field(description=f"{', '.join(MEASURES)}, or a tag.")


def _kind_of_preference(given: Any) -> str:
    if isinstance(given, Largest | Smallest):
        return type(given).__name__.lower()
    return next((key for key in ("largest", "smallest") if isinstance(given, dict) and key in given), "condition")


Preference = Annotated[
    Annotated[Largest, Tag("largest")] | Annotated[Smallest, Tag("smallest")] | Annotated[Condition, Tag("condition")],
    Discriminator(_kind_of_preference),
]


class Exclusion(Node):
    """Series that take part in nothing."""

    name: Name
    when: Conditions = Field(description="All must be met.")
    because: Annotated[str, Field(max_length=200)] = Field(description="The cause, in one sentence.")
    fix: Annotated[str, Field(max_length=200)] = Field(default="", description="What the sender can do about it.")


class Doubt(Node):
    """A warning that comes with the results when a series plays the role all the same."""

    code: Name
    when: Conditions = Field(description="All must be met.")
    message: Annotated[str, Field(min_length=1, max_length=200)]


class Role(Node):
    """Which series may play a modality of the task, and which of them does."""

    required: bool = Field(default=False, description="Without it the task is not begun.")
    take: Conditions | None = Field(
        default=None, description="All must be met; the modality (CT, MR, PT) is the task's and need not be said."
    )
    prefer: Annotated[list[Preference], Field(max_length=MAX_LIST)] = Field(
        default_factory=list,
        description="The first that tells two candidates apart decides: a condition (those that meet it go first), "
        "largest or smallest.",
    )
    on_tie: Literal["refuse", "first"] = Field(
        default="refuse",
        description="Candidates that nothing tells apart: refuse them, or take the one of the smallest series number "
        "and UID. Before that, the one that shares the other roles' frame of reference is taken.",
    )
    warn: Annotated[list[Doubt], Field(max_length=MAX_LIST)] = Field(default_factory=list)


class TaskRules(Node):
    """When a task is chosen, and who plays its modalities."""

    task: Annotated[str, Field(min_length=1, max_length=64)]
    when: Conditions | None = Field(default=None, description="All must be met by one and the same series.")
    roles: Annotated[dict[Name, Role], Field(min_length=1, max_length=16)]

    @property
    def required(self) -> frozenset[str]:
        """Slugs of the roles without which the task is not begun."""
        return frozenset(slug for slug, role in self.roles.items() if role.required)


class QuietSeconds(Node):
    """Nothing of the study has come for so long."""

    quiet_seconds: Annotated[float, Field(ge=0.0, le=86_400.0)]


class RolesSeconds(Node):
    """Every required role is played (one at least), and nothing of those series has come for so long."""

    roles_filled_for_seconds: Annotated[float, Field(ge=0.0, le=86_400.0)]


def _kind_of_signal(given: Any) -> str | None:
    if isinstance(given, dict):
        return next((key for key in ("quiet_seconds", "roles_filled_for_seconds") if key in given), None)
    return "quiet_seconds" if isinstance(given, QuietSeconds) else "roles_filled_for_seconds"


Signal = Annotated[
    Annotated[QuietSeconds, Tag("quiet_seconds")] | Annotated[RolesSeconds, Tag("roles_filled_for_seconds")],
    Discriminator(
        _kind_of_signal,
        custom_error_type="no_signal",
        custom_error_message="this is no signal: one has the key quiet_seconds or roles_filled_for_seconds",
    ),
]
Signals = Annotated[list[Signal], Field(min_length=1, max_length=2)]


class CompleteWhen(Node):
    """When a study that comes in pieces is taken as complete."""

    any: Signals | None = Field(default=None, description="Whichever comes first.")
    all: Signals | None = Field(default=None, description="When the last has come.")

    @model_validator(mode="after")
    def _is_one(self) -> "CompleteWhen":
        if (self.any is None) == (self.all is None):
            raise ValueError("give any or all")
        return self

    @property
    def signals(self) -> list[Signal]:
        """The signals, however they are joined."""
        return list(self.any or self.all or ())


class PriorityRules(Node):
    """Which studies overtake."""

    stat: Conditions = Field(description="A study in which one series meets all of them overtakes.")


class Rules(Node):
    """A whole rules file."""

    version: Literal[1]
    define: Annotated[dict[Name, Condition], Field(max_length=MAX_LIST)] = Field(
        default_factory=dict, description="Conditions by name, for use elsewhere; one does not use another."
    )
    exclude: Annotated[list[Exclusion], Field(max_length=MAX_LIST)] = Field(default_factory=list)
    priority: PriorityRules | None = None
    complete_when: CompleteWhen = CompleteWhen(any=[QuietSeconds(quiet_seconds=60.0)])
    several_tasks: Literal["first", "refuse"] = Field(
        default="first",
        description="A study that fits several tasks: take the first of them, or refuse until somebody names one.",
    )
    tasks: Annotated[list[TaskRules], Field(min_length=1, max_length=16, description="Tried in this order.")]

    def for_task(self, name: str) -> TaskRules | None:
        """Return the rules of a task; ``None`` where there are none."""
        return next((rules for rules in self.tasks if rules.task == name), None)


Place = tuple[str | int, ...]


def conditions_of(rules: Rules) -> Iterator[tuple[Place, Condition]]:
    """Yield every condition of a file with its place in it, those inside others as well."""
    for name, condition in rules.define.items():
        yield from _with_parts(("define", name), condition)
    for i, exclusion in enumerate(rules.exclude):
        yield from _each(("exclude", i, "when"), exclusion.when)
    if rules.priority:
        yield from _each(("priority", "stat"), rules.priority.stat)
    for i, task in enumerate(rules.tasks):
        yield from _each(("tasks", i, "when"), task.when or [])
        for slug, role in task.roles.items():
            at: Place = ("tasks", i, "roles", slug)
            yield from _each((*at, "take"), role.take or [])
            kept = [(j, p) for j, p in enumerate(role.prefer) if not isinstance(p, Largest | Smallest)]
            for j, preference in kept:
                yield from _with_parts((*at, "prefer", j), preference)
            for j, doubt in enumerate(role.warn):
                yield from _each((*at, "warn", j, "when"), doubt.when)


def cost_of(rules: Rules) -> int:
    """Return how many conditions a series may have to be held against, definitions counted where they are used."""
    sizes = {name: len(list(_with_parts((), condition))) for name, condition in rules.define.items()}
    return sum(sizes.get(c.use, 1) if isinstance(c, Use) else 1 for at, c in conditions_of(rules) if at[0] != "define")


def _each(at: Place, conditions: list[Condition]) -> Iterator[tuple[Place, Condition]]:
    for i, condition in enumerate(conditions):
        yield from _with_parts((*at, i), condition)


def _with_parts(at: Place, condition: Condition) -> Iterator[tuple[Place, Condition]]:
    yield at, condition
    for part in parts_of(condition):
        yield from _with_parts(at, part)
