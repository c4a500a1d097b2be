"""Which series plays which modality: by tags, or as the caller says."""

from collections.abc import Callable, Mapping, Sequence

from entrust.contract import Modality, Task
from entrust.errors import InvalidInputError
from service.prepare.mr_sequences import is_fat_saturated, mr_sequence, words
from service.study import Series, Study, Warned

LEFT_OUT = "none"
"""What a caller writes to leave a modality out."""

_Rank = tuple[int, ...]

_CT_EXCLUDED = {"topogram", "scout", "localizer", "localiser", "surview", "monitoring", "premonitoring"}
_MAPS = {"PERFUSION", "MIP", "PROJECTION", "PROJECTION IMAGE", "MINIP", "RESAMPLED_MIP", "VRT"}


def assign_roles(
    study: Study, task: Task, assignment: Mapping[str, str] | None = None
) -> tuple[dict[str, Series], list[Warned]]:
    """Choose a series for every modality that has one.

    Args:
        study: Decoded series.
        task: Its modalities are the roles.
        assignment: Modality slug → series number, description or SeriesInstanceUID, or ``none`` to leave the modality
            out. Slugs that are not named are matched by tags.

    Returns:
        Series by slug, in the task's order, and the tolerances used.

    Raises:
        InvalidInputError: Several series fit a role equally well, or the assignment names none or several.
    """
    assignment = assignment or {}
    for slug in assignment:
        task.modality(slug)
    chosen: dict[str, Series] = {}
    warnings: list[Warned] = []
    tied: dict[str, list[Series]] = {}
    for modality in task.modalities:
        if modality.slug in assignment:
            if assignment[modality.slug].strip().lower() != LEFT_OUT:
                chosen[modality.slug] = _named(study, modality, assignment[modality.slug])
            continue
        best = _best(study, task, modality)
        if len(best) == 1:
            chosen[modality.slug] = best[0]
        elif best:
            tied[modality.slug] = best
    for slug, candidates in tied.items():
        frames = {series.frame_of_reference_uid for series in chosen.values()} - {""}
        together = [series for series in candidates if series.frame_of_reference_uid in frames]
        if len(together) != 1:
            raise _tie(task.modality(slug), candidates)
        chosen[slug] = together[0]
        warnings.append(
            Warned("role-by-frame-of-reference", f"Of several {slug} series, the one in the others' space was used.")
        )
    for slug, series in chosen.items():
        warnings += _doubts(slug, series)
    return {slug: chosen[slug] for slug in task.slugs if slug in chosen}, warnings


def describe(series: Series) -> str:
    """Name a series for people without its identifiers: number and modality."""
    number = series.attributes.get("SeriesNumber")
    kind = series.dicom_modality or "NIfTI"
    return f"{number} ({kind})" if number is not None else f"without number ({kind})"


def _named(study: Study, modality: Modality, wanted: str) -> Series:
    text = wanted.strip()
    keys: list[Callable[[Series], bool]] = [
        lambda s: s.uid == text,
        lambda s: str(s.attributes.get("SeriesNumber", "")) == text,
        lambda s: (
            text.casefold()
            in {s.description.casefold(), str(s.attributes.get("SeriesDescription", "")).casefold()} - {""}
        ),
    ]
    for matches in keys:
        found = [series for series in study.series if matches(series)]
        if len(found) > 1:
            raise InvalidInputError(
                f"What was given for {modality.slug} names {len(found)} series.", fix="Give its SeriesInstanceUID."
            )
        if found:
            if found[0].dicom_modality not in ("", modality.dicom_modality):
                raise InvalidInputError(
                    f"The series given for {modality.slug} is {found[0].dicom_modality}, "
                    f"not {modality.dicom_modality}.",
                    fix=f"Choose one of: {_listed(study.series)}.",
                )
            return found[0]
    raise InvalidInputError(
        f"No usable series is what was given for {modality.slug}.",
        fix=f"Give a series number, description or SeriesInstanceUID; usable are: {_listed(study.series)}.",
    )


def _best(study: Study, task: Task, modality: Modality) -> list[Series]:
    """Return the series that fit a modality best; several when they fit equally well."""
    said = [series for series in study.series if series.role == modality.slug]
    if said:
        return said
    if study.source == "nifti":
        return _by_file_name(study, task, modality)
    ranked = [(rank, s) for s in study.series if (rank := _rank(s, modality, study)) is not None]
    least = min((rank for rank, _ in ranked), default=None)
    return [series for rank, series in ranked if rank == least]


def _by_file_name(study: Study, task: Task, modality: Modality) -> list[Series]:
    """Match NIfTI files whose name holds exactly one modality's slug as a word: ``case7_pet.nii.gz``."""
    found = []
    for series in study.series:
        slugs = set(words(series.description)) & set(task.slugs)
        if slugs == {modality.slug} and not series.role:
            found.append(series)
    return found


def _rank(series: Series, modality: Modality, study: Study) -> _Rank | None:
    """Return how well a series fits, smaller is better; None when it does not."""
    if series.dicom_modality != modality.dicom_modality or series.role:
        return None
    image_type = {str(v).upper() for v in series.attributes.get("ImageType", ())}
    if image_type & _MAPS:
        return None
    derived = int("DERIVED" in image_type or "SECONDARY" in image_type or "MPR" in image_type)
    spoken = set(words(series.description))
    if modality.dicom_modality == "CT":
        return None if spoken & _CT_EXCLUDED else (derived,)
    if modality.dicom_modality == "PT":
        return int(not _attenuation_corrected(series)), derived
    kind = mr_sequence(series)
    if not kind:  # nothing tells the sequence: usable only where nothing else could be meant
        alone = sum(s.dicom_modality == "MR" for s in study.series) == 1
        return (3, 0, derived) if alone else None
    order = {"t1": ("t1", "t1c")}.get(modality.slug, (modality.slug,))
    return (order.index(kind), int(is_fat_saturated(series)), derived) if kind in order else None


def _attenuation_corrected(series: Series) -> bool:
    corrections = series.attributes.get("CorrectedImage", ())
    if corrections:
        return "ATTN" in ((corrections,) if isinstance(corrections, str) else corrections)
    return not {"nac", "uncorrected", "noac"} & set(words(series.description))


def _doubts(slug: str, series: Series) -> list[Warned]:
    """Return what a reader should know about a choice."""
    if series.dicom_modality == "PT" and not _attenuation_corrected(series):
        return [Warned("pet-not-attenuation-corrected", "The PET series is not corrected for attenuation.")]
    if series.dicom_modality != "MR":
        return []
    kind = mr_sequence(series)
    if kind == slug:
        return []
    if kind == "t1c" and slug == "t1":
        return [Warned("contrast-agent", "The T1 series was acquired with a contrast agent.")]
    return [Warned("sequence-not-recognised", f"The tags do not say that the series used as {slug} is one.")]


def _tie(modality: Modality, candidates: Sequence[Series]) -> InvalidInputError:
    numbers = [str(s.attributes.get("SeriesNumber", "")) for s in candidates]
    distinct = len(set(numbers)) == len(numbers) and "" not in numbers
    return InvalidInputError(
        f"{len(candidates)} series can equally well be the {modality.title}: {_listed(candidates)}.",
        fix=f"Name one, for example {modality.slug}={numbers[0]}."
        if distinct
        else f"Name one by its SeriesInstanceUID or description: {modality.slug}=…",
        details={"modality": modality.slug, "candidates": len(candidates)},
    )


def _listed(series: Sequence[Series]) -> str:
    return ", ".join(f"series {describe(s)}" for s in series)
