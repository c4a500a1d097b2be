"""The words of which rules are made: one condition each about a tag, or about what is known of a series.

Every condition keeps the line on which it stands, so that an explanation can point at it.
"""

import re
from typing import Annotated, Any, Literal

import pydicom.uid
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Tag,
    model_validator,
)

from service.selection.regexes import MAX_PATTERN_CHARACTERS, check_pattern
from service.selection.sequences import words
from service.selection.tags import is_numeric, keyword_of

MAX_LIST = 64
_UID = re.compile(r"[0-2](\.(0|[1-9]\d*)){1,20}")
TEXT_OPERATORS = ("equals", "any_of", "regex", "contains_all", "contains_any", "contains_none")
OPERATORS = (*TEXT_OPERATORS, "range", "present")

Text = Annotated[str, Field(min_length=1, max_length=128)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Value = Annotated[str | int | float, Field(description="Text is compared without regard to case.")]
Values = Annotated[list[Value], Field(min_length=1, max_length=MAX_LIST)]


class Node(BaseModel):
    """Part of a rules file: frozen, strict, an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    _line: int = PrivateAttr(0)

    @property
    def line(self) -> int:
        """Line of the file, from 1; 0 where it came from no file."""
        return self._line

    @model_validator(mode="wrap")
    @classmethod
    def _keep_line(cls, data: Any, handler: ModelWrapValidatorHandler["Node"]) -> "Node":
        node = handler(data)
        node._line = getattr(data, "line", 0)
        return node


class Range(Node):
    """Bounds, both included."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_bounds(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        return self

    def holds(self, number: float) -> bool:
        """Tell whether a number lies within."""
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)

    def __str__(self) -> str:
        low = "" if self.min is None else f"{self.min:g} ≤ "
        return f"{low}value{'' if self.max is None else f' ≤ {self.max:g}'}"


class TagCondition(Node):
    """What a tag holds, by exactly one operator; of several values, any may meet ``equals`` to ``range``."""

    tag: Annotated[str, AfterValidator(keyword_of)] = Field(description="DICOM keyword, or (gggg,eeee).")
    equals: Value | None = None
    any_of: Values | None = None
    regex: Annotated[str, AfterValidator(check_pattern)] | None = Field(
        default=None, max_length=MAX_PATTERN_CHARACTERS, description="RE2, found anywhere; (?i) ignores case."
    )
    range: Range | None = None
    contains_all: Values | None = Field(default=None, description="Each is one of the tag's values.")
    contains_any: Values | None = Field(default=None, description="At least one is one of the tag's values.")
    contains_none: Values | None = Field(default=None, description="None is one of the tag's values.")
    present: bool | None = Field(default=None, description="Whether the tag is there, and not empty.")

    @model_validator(mode="after")
    def _has_one_operator(self) -> "TagCondition":
        given = [name for name in OPERATORS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(OPERATORS)}")
        if self.range is not None and not is_numeric(self.tag):
            raise ValueError("range needs a tag that holds numbers")
        return self

    @property
    def operator(self) -> str:
        """Name of the operator that was given."""
        return next(name for name in OPERATORS if getattr(self, name) is not None)


def _as_words(given: list[str]) -> list[str]:
    if bad := [word for word in given if words(word) != [word]]:
        raise ValueError(f"{len(bad)} of them are no single lower-case words of letters, digits, + and *")
    return given


class DescriptionWords(Node):
    """Whether SeriesDescription or ProtocolName has any of these words; words end where letters and digits do."""

    description_words: Annotated[list[Text], Field(min_length=1, max_length=MAX_LIST), AfterValidator(_as_words)]


class MrSequence(Node):
    """Which MR sequence it is, by description or, failing that, by echo, repetition and inversion times."""

    mr_sequence: Annotated[
        list[Literal["t1", "t1c", "t2", "flair", "dwi", "adc", "lge", "bssfp", "other", "unknown"]],
        Field(min_length=1),
    ]


class Orientation(Node):
    """How the slices lie: the angle of their normal to the patient's axes; oblique is none of the three."""

    orientation: Literal["axial", "sagittal", "coronal", "oblique"]
    tolerance_degrees: Annotated[float, Field(ge=0.0, lt=45.0)] = 20.0


class Contrast(Node):
    """Whether a contrast agent was given: words like "post", "gd", "+c", or ContrastBolusAgent; "pre" decides first."""

    contrast: bool


class Images(Node):
    """Number of image planes."""

    images: Range


class SliceSpacing(Node):
    """Distance between slices, as their positions say."""

    slice_spacing_mm: Range


def _uid_of(name: str) -> str:
    if _UID.fullmatch(name):
        return name
    known = getattr(pydicom.uid, name, None) if name.isidentifier() else None
    if not isinstance(known, pydicom.uid.UID):
        raise ValueError("give a SOP class by its UID or its keyword, such as CTImageStorage")
    return str(known)


class SopClass(Node):
    """What kind of object it is, by keyword (CTImageStorage) or UID."""

    sop_class: Annotated[list[Annotated[str, AfterValidator(_uid_of)]], Field(min_length=1, max_length=MAX_LIST)]


class OnlyOfItsModality(Node):
    """Whether no other volume of the study has this modality."""

    only_of_its_modality: bool


class Use(Node):
    """The conditions that stand under ``define`` with this name."""

    use: Name


class AllOf(Node):
    """Every one is met."""

    all: "Conditions"


class AnyOf(Node):
    """At least one is met."""

    any: "Conditions"


class Not(Node):
    """It is not met."""

    not_: "Condition" = Field(alias="not")


SUBJECTS: dict[str, type[Node]] = {
    "tag": TagCondition,
    "description_words": DescriptionWords,
    "mr_sequence": MrSequence,
    "orientation": Orientation,
    "contrast": Contrast,
    "images": Images,
    "slice_spacing_mm": SliceSpacing,
    "sop_class": SopClass,
    "only_of_its_modality": OnlyOfItsModality,
    "use": Use,
    "all": AllOf,
    "any": AnyOf,
    "not": Not,
}
"""The key that tells what a condition is about."""


def subject_of(given: Any) -> str | None:
    """Return the key by which a condition is known."""
    if isinstance(given, dict):
        return next((key for key in given if key in SUBJECTS), None)
    return next((key for key, kind in SUBJECTS.items() if isinstance(given, kind)), None)


Condition = Annotated[
    Annotated[TagCondition, Tag("tag")]
    | Annotated[DescriptionWords, Tag("description_words")]
    | Annotated[MrSequence, Tag("mr_sequence")]
    | Annotated[Orientation, Tag("orientation")]
    | Annotated[Contrast, Tag("contrast")]
    | Annotated[Images, Tag("images")]
    | Annotated[SliceSpacing, Tag("slice_spacing_mm")]
    | Annotated[SopClass, Tag("sop_class")]
    | Annotated[OnlyOfItsModality, Tag("only_of_its_modality")]
    | Annotated[Use, Tag("use")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        subject_of,
        custom_error_type="no_condition",
        custom_error_message=f"this is no condition: one has a key of {', '.join(SUBJECTS)}",
    ),
]
Conditions = Annotated[list[Condition], Field(min_length=1, max_length=MAX_LIST)]

for model in (AllOf, AnyOf, Not):
    model.model_rebuild()


def parts_of(condition: Condition) -> list[Condition]:
    """Return the conditions that a condition consists of; none where it stands alone."""
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            return list(parts)
        case Not(not_=part):
            return [part]
        case _:
            return []
