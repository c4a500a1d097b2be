"""A study → what the networks see: roles, units, one grid, presence, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass

from entrust.contract import Task
from entrust.errors import EnTrustError, GeometryConflictError, MissingModalityError
from entrust.preparation import prepare, reference_slug
from entrust.volume import Volume
from service.prepare.suv import to_suv
from service.study import Case, Cast, Series, Study, Warned


@dataclass(frozen=True)
class _Scaled:
    """A series in the units of its role."""

    series: Series
    volume: Volume


def prepare_case(study: Study, task: Task, cast: Cast) -> Case:
    """Bring a study to the task's grid.

    Args:
        study: Decoded series.
        task: What is asked.
        cast: Which of them plays which modality.

    Returns:
        Every modality that could be used, on a grid over the reference series, cropped to the body.

    Raises:
        InvalidInputError: A series that was named explicitly, or is required, cannot be used.
        MissingModalityError: No series plays any role, or a required one.
        GeometryConflictError: Series in different frames of reference, or that do not overlap.
    """
    scaled, doubts = _scale(cast, task)
    warnings = [*study.warnings, *cast.warnings, *doubts]
    missing = tuple(slug for slug in task.slugs if slug not in scaled)
    _check_enough(study, task, missing, cast)
    warnings += [
        Warned("modality-missing", f"No {task.modality(slug).title} was used; the answer is less certain without it.")
        for slug in missing
    ]
    warnings += _check_one_space({slug: s.series for slug, s in scaled.items()})
    volumes = {slug: one.volume for slug, one in scaled.items()}
    prepared = prepare(task, volumes)
    return Case(
        task=task,
        grid=prepared.grid,
        images=prepared.images,
        presence=prepared.presence,
        intensities=prepared.intensities,
        used={slug: one.series for slug, one in scaled.items()},
        reference=scaled[reference_slug(task, volumes)].series,
        missing=missing,
        warnings=tuple(warnings),
    )


def _scale(cast: Cast, task: Task) -> tuple[dict[str, _Scaled], list[Warned]]:
    """Bring series to their role's units; one that cannot be is left out with a warning, unless it was asked for."""
    scaled: dict[str, _Scaled] = {}
    warnings: list[Warned] = []
    failures: list[EnTrustError] = []
    for slug, series in cast.series.items():
        modality = task.modality(slug)
        try:
            array, doubts = to_suv(series) if modality.units == "SUV" else (series.volume.array, [])
        except EnTrustError as error:
            if slug in cast.named | cast.required:
                raise
            failures.append(error)
            warnings.append(Warned("modality-unusable", f"The {slug} series was left out: {error.message}"))
            continue
        warnings += doubts
        scaled[slug] = _Scaled(series, series.volume.with_array(array))
    if failures and not scaled:
        raise failures[0]
    return scaled, warnings


def _check_enough(study: Study, task: Task, missing: tuple[str, ...], cast: Cast) -> None:
    """Raise when a required modality, or every modality, is missing; with the cause when a refused series is it."""
    lacking = task.slugs if len(missing) == len(task.slugs) else tuple(s for s in missing if s in cast.required)
    if not lacking:
        return
    wanted = {task.modality(slug).dicom_modality for slug in lacking if slug not in cast.left_out}
    for refused in study.refused:
        if refused.dicom_modality in wanted:
            raise refused.error
    raise MissingModalityError(
        f"No series can be used as {' or '.join(task.modality(slug).title for slug in lacking)}.",
        fix=f"Send one, or say which series it is, for example {lacking[0]}=<series number or file>.",
        details={"series": len(study.series), "used": len(cast.series)},
    )


def _check_one_space(used: Mapping[str, Series]) -> list[Warned]:
    """Refuse series of different frames of reference: their coordinates do not refer to one patient position."""
    frames = {slug: series.frame_of_reference_uid for slug, series in used.items() if series.dicom_modality}
    known = {slug: uid for slug, uid in frames.items() if uid}
    if len(set(known.values())) > 1:
        first = next(iter(known))
        others = [slug for slug, uid in known.items() if uid != known[first]]
        raise GeometryConflictError(
            f"The series used as {first} and {' and '.join(others)} lie in different frames of reference; "
            "they cannot be laid over each other.",
            fix="Send series of one frame of reference (registered to each other), or leave one out: "
            + " or ".join(f"{slug}=none" for slug in (*others, first))
            + ".",
            details={"frames_of_reference": len(set(known.values()))},
        )
    if len(frames) > 1 and len(known) < len(frames):
        return [Warned("frame-of-reference-unknown", "Some series do not state their frame of reference.")]
    return []
