"""A condition and a series' header → whether it is met, and what was seen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom.uid import UID

from service.selection.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Contrast,
    DescriptionWords,
    Images,
    MrSequence,
    Not,
    OnlyOfItsModality,
    Orientation,
    Range,
    SliceSpacing,
    SopClass,
    TagCondition,
    Use,
)
from service.selection.explanation import Check
from service.selection.regexes import found_in
from service.selection.sequences import has_contrast, recognise, words
from service.selection.tags import is_identifying, numbers, shown, texts
from service.study import SeriesHeader

_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The patient's axis along which the slices of each are stacked (LPS)."""


@dataclass(frozen=True)
class Context:
    """What a condition may need beside the series.

    Attributes:
        definitions: Conditions by name.
        volumes: Volumes of the study, by DICOM modality.
    """

    definitions: Mapping[str, Condition] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)


def check(condition: Condition, series: SeriesHeader, context: Context) -> Check:
    """Hold a condition against a series."""
    met, criterion, saw, parts = _look(condition, series, context)
    return Check(criterion=criterion, met=met, saw=saw, line=condition.line, parts=parts)


def check_all(conditions: Sequence[Condition], series: SeriesHeader, context: Context) -> tuple[Check, ...]:
    """Hold several conditions against a series; later ones are looked at also where earlier ones fail."""
    return tuple(check(condition, series, context) for condition in conditions)


def spacing_mm(series: SeriesHeader) -> float | None:
    """Return the distance between slices; None for what is no volume."""
    return None if series.grid is None else float(series.grid.spacing_mm[0])


_Seen = tuple[bool, str, str, tuple[Check, ...]]


def _look(condition: Condition, series: SeriesHeader, context: Context) -> _Seen:
    """Return whether it is met, the condition in words, what was seen, and the checks of its parts."""
    match condition:
        case TagCondition():
            return (*_tag(condition, series), ())
        case DescriptionWords(description_words=wanted):
            found = sorted(set(words(series.description)) & set(wanted))
            saw = ", ".join(found) if found else "none of them"
            return bool(found), f"the description has a word of {', '.join(wanted)}", saw, ()
        case MrSequence(mr_sequence=wanted):
            kind, by = recognise(series) if series.dicom_modality == "MR" else ("", "")
            saw = f"{kind}, by its {by}" if kind else "unknown"
            return (kind or "unknown") in wanted, f"the MR sequence is {' or '.join(wanted)}", saw, ()
        case Orientation():
            return (*_orientation(condition, series), ())
        case Contrast(contrast=wanted):
            given = has_contrast(series)
            criterion = "a contrast agent was given" if wanted else "no contrast agent was given"
            return given is wanted, criterion, "given" if given else "none", ()
        case Images(images=wanted):
            return wanted.holds(series.num_images), f"images: {wanted}", str(series.num_images), ()
        case SliceSpacing(slice_spacing_mm=wanted):
            return (*_spacing(wanted, series), ())
        case SopClass(sop_class=wanted):
            uid = str(series.attributes.get("SOPClassUID", ""))
            names = " or ".join(UID(one).keyword or one for one in wanted)
            return uid in wanted, f"SOP class {names}", (UID(uid).keyword or "another") if uid else "absent", ()
        case OnlyOfItsModality(only_of_its_modality=wanted):
            alone = context.volumes.get(series.dicom_modality, 0) <= 1
            criterion = "no other volume has its modality" if wanted else "another volume has its modality"
            return alone is wanted, criterion, "none" if alone else "another", ()
        case Use(use=name):
            inner = check(context.definitions[name], series, context)
            return inner.met, name.replace("_", " "), "", (inner,)
        case AllOf(all=several):
            parts = check_all(several, series, context)
            return all(part.met for part in parts), "all of these", "", parts
        case AnyOf(any=several):
            parts = check_all(several, series, context)
            return any(part.met for part in parts), "any of these", "", parts
        case Not(not_=one):
            inner = check(one, series, context)
            return not inner.met, "not this", "", (inner,)


def _tag(condition: TagCondition, series: SeriesHeader) -> tuple[bool, str, str]:
    value = series.attributes.get(condition.tag)
    wanted = getattr(condition, condition.operator)
    found = texts(value)
    match condition.operator:
        case "present":
            met, said = bool(found) is wanted, "is there" if wanted else "is absent"
        case "equals":
            met, said = _holds_any(value, [wanted]), f"is {wanted}"
        case "any_of":
            met, said = _holds_any(value, wanted), f"is one of {_listed(wanted)}"
        case "regex":
            met, said = any(found_in(wanted, text) for text in found), f"matches {wanted}"
        case "range":
            met, said = any(wanted.holds(number) for number in numbers(value)), str(wanted).replace("value", "it")
        case "contains_all":
            met, said = all(_holds_any(value, [one]) for one in wanted), f"has all of {_listed(wanted)}"
        case "contains_any":
            met, said = _holds_any(value, wanted), f"has any of {_listed(wanted)}"
        case _:
            met, said = not _holds_any(value, wanted), f"has none of {_listed(wanted)}"
    if is_identifying(condition.tag):
        said = "is as the rules file says"  # the file may hold a name
    return met, f"{condition.tag} {said}", shown(condition.tag, value)


def _holds_any(
    value: str | int | float | tuple[str | int | float, ...] | None, wanted: Sequence[str | int | float]
) -> bool:
    as_text, as_numbers = {_fold(text) for text in texts(value)}, set(numbers(value))
    return any(_fold(one) in as_text if isinstance(one, str) else float(one) in as_numbers for one in wanted)


def _orientation(condition: Orientation, series: SeriesHeader) -> tuple[bool, str, str]:
    tolerance = condition.tolerance_degrees
    criterion = f"{condition.orientation}, within {tolerance:g}°"
    if condition.orientation == "oblique":
        criterion = f"oblique, more than {tolerance:g}° from every plane"
    if series.grid is None:
        return False, criterion, "no volume"
    normal = np.abs(series.grid.direction[:, 0])
    angles = {name: math.degrees(math.acos(min(1.0, float(normal[axis])))) for name, axis in _AXES.items()}
    nearest = min(angles, key=lambda name: angles[name])
    actual = nearest if angles[nearest] <= tolerance else "oblique"
    return actual == condition.orientation, criterion, f"{angles[nearest]:.1f}° from {nearest}"


def _spacing(wanted: Range, series: SeriesHeader) -> tuple[bool, str, str]:
    spacing = spacing_mm(series)
    saw = "no volume" if spacing is None else f"{spacing:.3g}"
    # positions are rounded to about a hundredth of a millimetre, and bounds are meant as written
    met = spacing is not None and wanted.holds(round(spacing, 2))
    return met, f"slice spacing in mm: {wanted}", saw


def _fold(text: str) -> str:
    return text.strip().casefold()


def _listed(values: Sequence[str | int | float]) -> str:
    return ", ".join(str(value) for value in values)
