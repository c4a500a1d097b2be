"""A study → what the networks see: roles, units, one grid, presence, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from entrust.contract import Task
from entrust.errors import EnTrustError, GeometryConflictError, MissingModalityError
from entrust.preparation import prepare, reference_slug
from entrust.volume import Volume
from service.prepare.registration import placed_in, register
from service.prepare.suv import to_suv
from service.study import Case, Cast, Registration, Series, Study, Warned


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
        GeometryConflictError: Series that do not overlap, or that lie in different frames of reference and cannot be
            registered.
    """
    scaled, doubts = _scale(cast, task)
    warnings = [*study.warnings, *cast.warnings, *doubts]
    missing = tuple(slug for slug in task.slugs if slug not in scaled)
    _check_enough(study, task, missing, cast)
    warnings += [
        Warned("modality-missing", f"No {task.modality(slug).title} was used; the answer is less certain without it.")
        for slug in missing
    ]
    role = reference_slug(task, {slug: one.volume for slug, one in scaled.items()})
    scaled, registrations, doubts = _to_one_space(scaled, role, cast)
    warnings += doubts
    missing = tuple(slug for slug in task.slugs if slug not in scaled)
    prepared = prepare(task, {slug: one.volume for slug, one in scaled.items()})
    return Case(
        task=task,
        grid=prepared.grid,
        images=prepared.images,
        presence=prepared.presence,
        intensities=prepared.intensities,
        used={slug: one.series for slug, one in scaled.items()},
        reference=scaled[role].series,
        missing=missing,
        warnings=tuple(warnings),
        registrations=registrations,
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


def _to_one_space(
    scaled: Mapping[str, _Scaled], role: str, cast: Cast
) -> tuple[dict[str, _Scaled], dict[str, Registration], list[Warned]]:
    """Register series of other frames of reference to the reference: coordinates of two have nothing in common.

    Args:
        scaled: Series by modality slug.
        role: Slug of the reference.
        cast: What the caller and the rules want.

    Returns:
        Every series in the reference's space, how well each that was moved is known, and what is to be told. One that
        cannot be registered is left out.

    Raises:
        GeometryConflictError: It cannot be registered and was named by the caller, or is required.
    """
    reference = scaled[role].series
    placed: dict[str, _Scaled] = {}
    registrations: dict[str, Registration] = {}
    warnings: list[Warned] = []
    for slug, one in scaled.items():
        frames = {reference.frame_of_reference_uid, one.series.frame_of_reference_uid}
        if slug == role or len(frames) == 1 or "" in frames:
            placed[slug] = one
            continue
        try:
            matrix, found = register(scaled[role].volume, one.volume)
        except GeometryConflictError as error:
            if slug in cast.named | cast.required:
                raise GeometryConflictError(
                    f"The {slug} series cannot be laid over the {role} series. {error.message}",
                    fix=f"{error.fix.rstrip('.')}: {slug}=none.",
                ) from error
            warnings.append(Warned("modality-unusable", f"The {slug} series was left out: {error.message}"))
            warnings.append(Warned("modality-missing", f"No {slug} was used; the answer is less certain without it."))
            continue
        grid = placed_in(one.volume.grid, matrix)
        volume = Volume(one.volume.array, grid)
        series = replace(one.series, volume=Volume(one.series.volume.array, grid))
        placed[slug] = _Scaled(series, volume)
        registrations[slug] = found
        warnings.append(_told(slug, role, found))
    unknown = [
        slug for slug, one in scaled.items() if one.series.dicom_modality and not one.series.frame_of_reference_uid
    ]
    if unknown and len(scaled) > 1:
        warnings.append(Warned("frame-of-reference-unknown", "Some series do not state their frame of reference."))
    return placed, registrations, warnings


def _told(slug: str, role: str, found: Registration) -> Warned:
    how = (
        f"The {slug} series lies in another frame of reference and was registered rigidly to the {role} series: "
        f"turned by {found.rotation_degrees:.1f}°, moved by {found.translation_mm:.1f} mm; searches from different "
        f"starts end {found.disagreement_mm:.1f} mm from each other."
    )
    if not found.doubtful:
        return Warned("registered", how)
    return Warned("registration-doubtful", f"{how} That is doubtful: the uncertainty was raised accordingly.")
