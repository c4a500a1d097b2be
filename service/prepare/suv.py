"""PET activity → standardised uptake value by body weight (SUVbw, g/ml).

Source: DICOM PS3.3 C.8.9.1 (PET series) and the QIBA SUV vendor-neutral pseudo-code (happy path and GE, Philips cases).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from jaxtyping import Float

from entrust.errors import InvalidInputError
from service.study import Series, Warned

_LARGEST_SUV = 150.0
"""A thousandth of the voxels above this is no SUV: even a full bladder stays below."""
_LEAST_DOSE_BQ = 1e4
_LONGEST_DELAY_SECONDS = 24 * 3600.0


def to_suv(series: Series) -> tuple[Float[np.ndarray, "d h w"], list[Warned]]:
    """Return the series' values as SUVbw.

    Args:
        series: PET from DICOM, or NIfTI that holds SUV already.

    Raises:
        InvalidInputError: Tags that the conversion needs are missing or impossible, or NIfTI values are no SUV.
    """
    array = series.volume.array
    if not series.dicom_modality:
        if float(np.percentile(array, 99.9)) > _LARGEST_SUV:
            raise InvalidInputError(
                "The PET values are too large to be SUV.", fix="Convert them to SUV by body weight (g/ml) first."
            )
        return array, [Warned("suv-assumed", "The PET file's values were taken as SUV by body weight.")]
    factors, warnings = _factors(series)
    suv = (array * factors[:, None, None]).astype(np.float32)
    if float(np.percentile(suv, 99.9)) > _LARGEST_SUV:
        warnings.append(Warned("suv-implausible", "The SUV of the PET series are implausibly large."))
    return suv, warnings


def _factors(series: Series) -> tuple[Float[np.ndarray, "d"], list[Warned]]:
    """Return the factor of every slice from stored units to g/ml."""
    tags = series.attributes
    ones = np.ones(series.volume.grid.shape[0])
    if series.units == "SUV":
        kind = str(tags.get("SUVType", "BW"))
        if kind != "BW":
            raise InvalidInputError(
                "The PET series holds SUV that are not by body weight.", fix="Send SUV by body weight, or activity."
            )
        return ones, []
    scale = 1.0
    if tags.get("Units") == "CNTS":
        if factor := _positive(tags, "PhilipsSUVScaleFactor"):
            return ones * factor, []
        scale = _positive(tags, "PhilipsActivityScaleFactor") or 0.0
    if series.units != "BQML" and not (tags.get("Units") == "CNTS" and scale):
        raise InvalidInputError(
            "The PET series' units cannot be turned into SUV.", fix="Send activity in Bq/ml, or SUV in g/ml."
        )
    weight_g = 1000.0 * _weight_kg(tags)
    dose_bq, warnings = _dose_bq(tags)
    half_life_seconds = _positive(tags, "RadionuclideHalfLife")
    if half_life_seconds is None:
        raise _lacking("radionuclide half life")
    delays_seconds, doubts = _delays_seconds(tags, len(ones))
    remaining_bq = dose_bq * np.exp2(-delays_seconds / half_life_seconds)
    return ones * scale * weight_g / remaining_bq, warnings + doubts


def _weight_kg(tags: Mapping[str, Any]) -> float:
    weight_kg = _positive(tags, "PatientWeight")
    if weight_kg is None:
        raise _lacking("patient weight")
    if not 0.3 <= weight_kg <= 500.0:
        raise InvalidInputError("The patient weight of the PET series is impossible.", fix="Correct it, in kilograms.")
    return weight_kg


def _dose_bq(tags: Mapping[str, Any]) -> tuple[float, list[Warned]]:
    dose_bq = _positive(tags, "RadionuclideTotalDose")
    if dose_bq is None:
        raise _lacking("injected dose")
    if dose_bq < _LEAST_DOSE_BQ:  # a known habit of some exports
        return dose_bq * 1e6, [Warned("dose-in-megabecquerel", "The injected dose was read as MBq, not Bq.")]
    return dose_bq, []


def _delays_seconds(tags: Mapping[str, Any], slices: int) -> tuple[Float[np.ndarray, "d"], list[Warned]]:
    """Return, for every slice, the time from injection to the moment that its values are decay-corrected to."""
    correction = str(tags.get("DecayCorrection", ""))
    warnings = []
    if not correction and "DecayCorrectionDateTime" not in tags:
        if "DECY" not in tags.get("CorrectedImage", ()):
            raise _lacking("decay correction")
        correction = "START"
        warnings.append(Warned("decay-correction-assumed", "PET decay was taken as corrected to the scan's start."))
    if correction == "ADMIN":
        return np.zeros(slices), warnings
    if correction == "NONE":
        moments = _acquisitions(tags)
        if len(moments) != slices or None in moments:
            raise _lacking("acquisition times")
    else:
        moments = [_scan_start(tags)] * slices
    return np.asarray([_since_injection_seconds(tags, moment) for moment in moments if moment]), warnings


def _scan_start(tags: Mapping[str, Any]) -> datetime:
    """Return the scan's start: the series time, unless it is later than the first acquisition (reprocessed series)."""
    if corrected_to := _moment(str(tags.get("DecayCorrectionDateTime", "")), ""):
        return corrected_to
    series = _moment(str(tags.get("SeriesDate", "")), str(tags.get("SeriesTime", "")))
    acquired = [moment for moment in _acquisitions(tags) if moment]
    if series and (not acquired or series <= min(acquired)):
        return series
    if private := _moment(str(tags.get("GEScanDateTime", "")), ""):
        return private
    if acquired:
        return min(acquired)
    raise _lacking("scan time")


def _acquisitions(tags: Mapping[str, Any]) -> list[datetime | None]:
    return [_moment(date or str(tags.get("SeriesDate", "")), time) for date, time in tags.get("AcquisitionTimes", ())]


def _since_injection_seconds(tags: Mapping[str, Any], moment: datetime) -> float:
    injected = _moment(str(tags.get("RadiopharmaceuticalStartDateTime", "")), "")
    if injected is None or abs(moment - injected) > timedelta(seconds=_LONGEST_DELAY_SECONDS):
        # Only the time of day is known, or the dates were shifted apart by a de-identification.
        clock = str(tags.get("RadiopharmaceuticalStartTime", "")) or (injected.strftime("%H%M%S") if injected else "")
        injected = _moment(moment.strftime("%Y%m%d"), clock)
        if injected is None:
            raise _lacking("injection time")
        if injected > moment:  # over midnight
            injected -= timedelta(days=1)
    delay_seconds = (moment - injected).total_seconds()
    if delay_seconds < 0.0:
        raise InvalidInputError("The PET scan began before the injection.", fix="Correct the times of the series.")
    return delay_seconds


def _moment(date: str, time: str) -> datetime | None:
    """Parse a DICOM DA and TM, or a DT in ``date``; the offset from UTC is dropped. None when unreadable."""
    digits = (date + time).split("+")[0].split("-")[0].replace(":", "")
    whole, _, fraction = digits.partition(".")
    if not (whole + fraction or "x").isdigit() or len(whole) < 10:
        return None
    try:
        moment = datetime.strptime(whole[:14].ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + timedelta(seconds=float(f"0.{fraction or 0}"))


def _positive(tags: Mapping[str, Any], keyword: str) -> float | None:
    try:
        value = float(tags.get(keyword, 0.0))
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) and value > 0.0 else None


def _lacking(what: str) -> InvalidInputError:
    return InvalidInputError(
        f"The PET series lacks its {what}; its activity cannot be turned into SUV.",
        fix="Send the original series with its tags, SUV in g/ml, or leave PET out.",
        details={"lacking": what},
    )
