"""A study → what the networks see: roles, units, one grid, presence, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from entrust.contract import Modality, Task
from entrust.errors import EnTrustError, GeometryConflictError, MissingModalityError
from entrust.normalisation import normalise
from entrust.presence import acquired
from entrust.volume import Grid, Volume
from service.prepare.region import axial_grid, body_box
from service.prepare.registration import placed_in, register
from service.prepare.suv import to_suv
from service.resampling import coverage, resample
from service.study import Case, Cast, Registration, Series, Study, Warned

_MR_RESOLUTION_MM = 1.0
"""In-plane low-pass before MR is sampled. The training images were sampled from 0.98 mm without one, so the networks
know MR this sharp; finer acquisitions are brought to it. CT was low-passed to the grid, as resampling does."""


@dataclass(frozen=True)
class _Scaled:
    """A series in the units of its role."""

    series: Series
    volume: Volume
    acquired: Bool[np.ndarray, "d h w"] | None  # None: everywhere


def prepare_case(study: Study, task: Task, cast: Cast) -> Case:
    """Bring a study to the task's grid.

    Args:
        study: Decoded series.
        task: What is asked.
        cast: Which of them plays which modality.

    Returns:
        Every modality that could be used, on an axial grid over the reference series, cropped to the body.

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
    role = next(slug for slug in (*task.reference_order, *task.slugs) if slug in scaled)
    scaled, registrations, doubts = _to_one_space(scaled, role, cast)
    warnings += doubts
    missing = tuple(slug for slug in task.slugs if slug not in scaled)
    reference = scaled[role].series

    grid = axial_grid(reference.volume.grid, task.spacing_mm)
    intensities, presence = {}, {}
    for slug, one in scaled.items():
        intensities[slug], presence[slug] = _on_grid(one, grid, task.modality(slug))
        if not presence[slug].any():
            raise GeometryConflictError(
                f"The {slug} series does not overlap the reference series.",
                fix=f"Send series of the same region, or leave it out: {slug}=none.",
            )
    start, shape = body_box([task.modality(slug) for slug in scaled], intensities, presence, grid)
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    nothing, nowhere = np.zeros(shape, np.float32), np.zeros(shape, bool)
    values = np.stack([intensities[slug][box] if slug in scaled else nothing for slug in task.slugs])
    present = np.stack([presence[slug][box] if slug in scaled else nowhere for slug in task.slugs])
    images = np.stack([normalise(m, values[i], present[i]) for i, m in enumerate(task.modalities)])
    return Case(
        task=task,
        grid=grid.crop(start, shape),
        images=images,
        presence=present,
        intensities=values,
        used={slug: one.series for slug, one in scaled.items()},
        reference=reference,
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
        where = acquired(array) if modality.units == "arbitrary" else None
        scaled[slug] = _Scaled(series, series.volume.with_array(array), where)
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
        placed[slug] = _Scaled(series, volume, one.acquired)
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


def _on_grid(
    one: _Scaled, grid: Grid, modality: Modality
) -> tuple[Float[np.ndarray, "d h w"], Bool[np.ndarray, "d h w"]]:
    """Resample one modality; return intensities, zero where absent, and presence."""
    resolution_mm = (
        (grid.spacing_mm[0], _MR_RESOLUTION_MM, _MR_RESOLUTION_MM) if modality.units == "arbitrary" else None
    )
    array = resample(one.volume, grid, linear=True, outside=0.0, resolution_mm=resolution_mm).array
    present = coverage(one.volume.grid, grid)
    if one.acquired is not None and not one.acquired.all():
        present &= resample(one.volume.with_array(one.acquired), grid, linear=False, outside=0.0).array
    return np.where(present, array, np.float32(0.0)), present
