"""Tell MR sequences apart by what technologists write and, failing that, by the physics of the contrast."""

import re
from collections.abc import Mapping
from typing import Any

from service.study import Series

_NOT_ANATOMY = {
    *("localizer", "localiser", "scout", "survey", "loc", "smartbrain", "calibration", "calib", "asl", "fmri", "bold"),
    *("perf", "perfusion", "pwi", "dsc", "dce", "swi", "swan", "swip", "t2star", "t2starw", "tof", "mra", "angio"),
    *("dti", "fieldmap", "b0map", "b1map"),
}
_NAMES = {
    "adc": ("adc", "apparent"),
    "dwi": ("dwi", "diff", "diffusion", "trace", "tracew"),
    "flair": ("flair", "darkfluid", "tirm"),
    "t1": ("mprage", "mp2rage", "spgr", "fspgr", "bravo", "vibe", "lava", "thrive", "tfl", "tfe"),
    "t2": ("stir", "haste", "ssfse"),
}
_CONTRAST = {
    *(
        "gd",
        "gad",
        "gado",
        "ce",
        "post",
        "postcontrast",
        "postgd",
        "contrast",
        "kontrast",
        "km",
        "t1c",
        "t1ce",
        "t1post",
    ),
}
_NO_CONTRAST = ("pre", "precontrast", "without", "wo", "non", "noncontrast", "nativ", "native")
_FAT_SATURATION = ("fs", "fatsat", "fat", "sat", "spir", "spair", "dixon", "stir")


def words(text: str) -> list[str]:
    """Split a description into lower-case words."""
    return [word for word in re.split(r"[^a-z0-9+*]+", text.lower()) if word]


def mr_sequence(series: Series) -> str:
    """Return ``t1``, ``t1c`` (with contrast agent), ``t2``, ``flair``, ``dwi``, ``adc``, ``other``; empty if unknown.

    The description decides where it names a sequence; otherwise echo, repetition and inversion times do. The times are
    the usual ranges at 1.5 and 3 T: short TE and TR weigh T1; long ones T2; a long inversion time nulls fluid.
    """
    spoken = words(series.description)
    kind = _by_words(spoken, series.attributes) or _by_times(series.attributes)
    return "t1c" if kind == "t1" and _has_contrast(spoken, series.attributes) else kind


def is_fat_saturated(series: Series) -> bool:
    """Tell whether the fat's signal was suppressed, which changes the contrast that a T1 network knows."""
    options = series.attributes.get("ScanOptions", ())
    options = (options,) if isinstance(options, str) else options
    return "FS" in options or any(word in _FAT_SATURATION for word in words(series.description))


def _by_words(spoken: list[str], attributes: Mapping[str, Any]) -> str:
    image_type = {str(v).upper() for v in attributes.get("ImageType", ())}
    if image_type & {"ADC"}:
        return "adc"
    weighted = {w[:2] for w in spoken if re.fullmatch(r"t[12](w|wi|c|ce|se|tse|fse|post|\+c)?", w)}
    if any(w in _NOT_ANATOMY or w.startswith("t2*") for w in spoken) or image_type & {"LOCALIZER", "P", "PHASE MAP"}:
        return "other"
    if "flair" in spoken and "t1" in weighted:  # a T1 inversion recovery by its vendor's name
        return "t1"
    for kind in ("adc", "dwi", "flair"):
        if any(word in _NAMES[kind] for word in spoken):
            return kind
    if len(weighted) == 1:
        return weighted.pop()
    named = [kind for kind in ("t1", "t2") if any(word in _NAMES[kind] for word in spoken)]
    return named[0] if len(named) == 1 and not weighted else ""


def _by_times(attributes: Mapping[str, Any]) -> str:
    echo_ms, repetition_ms = _number(attributes, "EchoTime"), _number(attributes, "RepetitionTime")
    inversion_ms = _number(attributes, "InversionTime")
    if _number(attributes, "DiffusionBValue"):
        return "dwi"
    if echo_ms is None or repetition_ms is None:
        return ""
    if inversion_ms and inversion_ms >= 1500 and echo_ms >= 60:
        return "flair"
    if echo_ms >= 60 and repetition_ms >= 1500:
        return "t2"
    sequence = attributes.get("ScanningSequence", ())
    gradient_echo = "GR" in ((sequence,) if isinstance(sequence, str) else sequence)
    if echo_ms <= (12 if gradient_echo else 30) and repetition_ms <= 1200:
        return "t1"
    return ""


def _has_contrast(spoken: list[str], attributes: Mapping[str, Any]) -> bool:
    if any(word in _NO_CONTRAST for word in spoken):
        return False
    agent = str(attributes.get("ContrastBolusAgent", "")).strip().lower()
    said = any(word in _CONTRAST or word in ("+c", "c+", "t1+c") or word.startswith("gado") for word in spoken)
    return said or agent not in ("", "none", "no", "n", "0")


def _number(attributes: Mapping[str, Any], keyword: str) -> float | None:
    value = attributes.get(keyword)
    value = value[0] if isinstance(value, tuple) and value else value
    return float(value) if isinstance(value, int | float) else None
