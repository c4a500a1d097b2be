"""Why a series was taken or refused, tag by tag, as values that may be shown: nothing in them is about the patient."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from entrust.errors import EnTrustError

SeriesState = Literal["taken", "passed-over", "unmatched", "excluded", "refused"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Check(_Value):
    """One condition, held against one series."""

    criterion: str = Field(description="The condition in words.")
    met: bool
    saw: str = Field(default="", description="What the series says: a value, or the class of one that is not shown.")
    line: int = Field(default=0, description="Line of the rules file; 0 where it is none of it.")
    parts: tuple["Check", ...] = Field(default=(), description="The conditions that it consists of.")


class RuleOutcome(_Value):
    """One rule, held against one series."""

    rule: str = Field(description="`exclude <name>`, `<task>: when` or `<task>: <role>`.")
    met: bool
    checks: tuple[Check, ...] = ()


class Refusal(_Value):
    """An error as a value."""

    kind: str = Field(description="As in `/problems/{kind}`.")
    reason: str
    fix: str = ""

    @classmethod
    def of(cls, error: EnTrustError) -> "Refusal":
        """Return the value of an error."""
        return cls(kind=error.kind.value, reason=error.message, fix=error.fix)


class SeriesOutcome(_Value):
    """What became of a series."""

    index: int = Field(description="Place in the study, from 1.")
    series_number: int | None = None
    dicom_modality: str
    images: int
    state: SeriesState = Field(
        description="`taken`: plays a role. `passed-over`: could play one, another was preferred. `unmatched`: fits "
        "no role. `excluded`: by an exclusion. `refused`: is no volume."
    )
    role: str = Field(default="", description="The modality that it plays or could play.")
    reason: str = Field(default="", description="The cause, in one sentence.")
    refusal: Refusal | None = None
    rules: tuple[RuleOutcome, ...] = Field(
        default=(), description="The rules of roles, and an exclusion where one bars it."
    )


class RoleOutcome(_Value):
    """What became of a role."""

    role: str
    required: bool
    index: int | None = Field(default=None, description="The series that plays it.")
    decided_by: str = Field(
        default="", description="`caller`, `file name`, `rules`, `frame of reference` or `series number`; else empty."
    )
    problem: Refusal | None = Field(default=None, description="Why nothing plays it although something could.")


class TaskOutcome(_Value):
    """What became of a task."""

    task: str
    chosen: bool
    reason: str
    roles: tuple[RoleOutcome, ...]


class NamedWarning(_Value):
    """A tolerance that was used."""

    code: str
    message: str


class Explanation(_Value):
    """Everything about one selection."""

    task: str | None = Field(description="The task that was chosen; null where none fits.")
    priority: Literal["stat", "routine"]
    tasks: tuple[TaskOutcome, ...]
    series: tuple[SeriesOutcome, ...]
    warnings: tuple[NamedWarning, ...] = ()


def in_words(check: Check) -> str:
    """Return a condition on one line, with those that it consists of."""
    parts = [in_words(part) for part in check.parts]
    match check.criterion:
        case "all of these":
            return f"({' and '.join(parts)})"
        case "any of these":
            return f"({' or '.join(parts)})"
        case "not this":
            return f"not {parts[0]}"
        case _:
            return check.criterion  # a definition is known by its name
