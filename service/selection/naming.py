"""The roles that the caller gives: by name in the request, by form field, or by file name."""

from collections.abc import Callable, Mapping, Sequence

from entrust.contract import Modality, Task
from entrust.errors import InvalidInputError
from service.selection.sequences import words
from service.study import SeriesHeader

LEFT_OUT = "none"
"""What a caller writes to leave a modality out."""

Numbered = Mapping[int, SeriesHeader]
"""Volumes by their place in the study, from 0."""


def left_out(assignment: Mapping[str, str]) -> frozenset[str]:
    """Return the modalities that a caller left out."""
    return frozenset(slug for slug, wanted in assignment.items() if wanted.strip().lower() == LEFT_OUT)


def named_by_caller(volumes: Numbered, modality: Modality, wanted: str) -> int:
    """Return the series that a caller named.

    Args:
        volumes: Series that can be used.
        modality: The role.
        wanted: SeriesInstanceUID, series number or description.

    Raises:
        InvalidInputError: It names none, several, or one of another modality.
    """
    text = wanted.strip()
    keys: list[Callable[[SeriesHeader], bool]] = [
        lambda s: s.uid == text,
        lambda s: str(s.attributes.get("SeriesNumber", "")) == text,
        lambda s: (
            text.casefold()
            in {s.description.casefold(), str(s.attributes.get("SeriesDescription", "")).casefold()} - {""}
        ),
    ]
    for matches in keys:
        found = [index for index, series in volumes.items() if matches(series)]
        if len(found) > 1:
            raise InvalidInputError(
                f"What was given for {modality.slug} names {len(found)} series.", fix="Give its SeriesInstanceUID."
            )
        if found:
            series = volumes[found[0]]
            if series.dicom_modality not in ("", modality.dicom_modality):
                raise InvalidInputError(
                    f"The series given for {modality.slug} is {series.dicom_modality}, not {modality.dicom_modality}.",
                    fix=f"Choose one of: {listed(list(volumes.values()))}.",
                )
            return found[0]
    raise InvalidInputError(
        f"No usable series is what was given for {modality.slug}.",
        fix=f"Give a series number, description or SeriesInstanceUID; usable are: {listed(list(volumes.values()))}.",
    )


def by_field(volumes: Numbered, modality: Modality) -> list[int]:
    """Return the files that came in the field of a modality."""
    return [index for index, series in volumes.items() if series.role == modality.slug]


def by_file_name(volumes: Numbered, task: Task, modality: Modality) -> list[int]:
    """Match NIfTI files whose name holds exactly one modality's slug as a word: ``case7_pet.nii.gz``."""
    return [
        index
        for index, series in volumes.items()
        if not series.dicom_modality
        and not series.role
        and set(words(series.description)) & set(task.slugs) == {modality.slug}
    ]


def tie(modality: Modality, candidates: Sequence[SeriesHeader]) -> InvalidInputError:
    """Return the error of several series that fit equally well; it says how to choose, without identifiers."""
    numbers = [str(s.attributes.get("SeriesNumber", "")) for s in candidates]
    distinct = len(set(numbers)) == len(numbers) and "" not in numbers
    return InvalidInputError(
        f"{len(candidates)} series can equally well be the {modality.title}: {listed(candidates)}.",
        fix=f"Name one, for example {modality.slug}={numbers[0]}."
        if distinct
        else f"Name one by its SeriesInstanceUID or description: {modality.slug}=…",
        details={"modality": modality.slug, "candidates": len(candidates)},
    )


def listed(series: Sequence[SeriesHeader]) -> str:
    """Name series for people without their identifiers: number and modality."""
    return ", ".join(f"series {_described(s)}" for s in series)


def _described(series: SeriesHeader) -> str:
    number = series.attributes.get("SeriesNumber")
    kind = series.dicom_modality or "NIfTI"
    return f"{number} ({kind})" if number is not None else f"without number ({kind})"
