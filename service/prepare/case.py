"""A study → what the networks see: roles, units, one grid, presence, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from entrust.contract import Modality, Task
from entrust.errors import EnTrustError, GeometryConflictError, MissingModalityError
from entrust.normalisation import normalise
from entrust.presence import acquired
from entrust.volume import Grid, Volume
from service.prepare.region import axial_grid, body_box, reference_grid
from service.prepare.suv import to_suv
from service.resampling import coverage, resample
from service.study import Case, Cast, Series, Study, Warned

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
    reference = scaled[next(slug for slug in (*task.reference_order, *task.slugs) if slug in scaled)].series

    make_grid = axial_grid if task.plane == "axial" else reference_grid
    grid = make_grid(reference.volume.grid, task.spacing_mm)
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
