"""Tell MR sequences apart, and contrast agent from none, by what technologists write and the physics of the signal."""

import re
from collections.abc import Mapping
from typing import Any

from service.selection.tags import texts
from service.study import SeriesHeader

_NOT_ANATOMY = {
    *("localizer", "localiser", "scout", "survey", "loc", "smartbrain", "calibration", "calib", "asl", "fmri", "bold"),
    *("perf", "perfusion", "pwi", "dsc", "dce", "swi", "swan", "swip", "t2star", "t2starw", "tof", "mra", "angio"),
    *("dti", "fieldmap", "b0map", "b1map", "eadc", "t1map", "t2map", "molli", "shmolli", "ecv", "tagging", "flow"),
}
_MAPS = {"map", "maps", "mapping"}
"""Quantitative maps; an ADC map is one, and is named before they are looked for."""
_NAMES = {
    "adc": ("adc", "apparent"),
    "dwi": ("dwi", "diff", "diffusion", "trace", "tracew"),
    "flair": ("flair", "darkfluid", "tirm"),
    "lge": ("lge", "psir", "delayed", "mde", "viability"),
    "bssfp": ("trufisp", "truefisp", "trufi", "bssfp", "ssfp", "fiesta", "bffe", "btfe", "cine"),
    "t1": ("mprage", "mp2rage", "spgr", "fspgr", "bravo", "vibe", "lava", "thrive", "tfl", "tfe"),
    "t2": ("stir", "haste", "ssfse"),
}
_CONTRAST = {
    *("gd", "gad", "gado", "ce", "post", "postcontrast", "postgd", "contrast", "kontrast", "km"),
    *("t1c", "t1ce", "t1post"),
}
_NO_CONTRAST = ("pre", "precontrast", "without", "wo", "non", "noncontrast", "nativ", "native")


def words(text: str) -> list[str]:
    """Split a description into lower-case words."""
    return [word for word in re.split(r"[^a-z0-9+*]+", text.lower()) if word]


def mr_sequence(series: SeriesHeader) -> str:
    """Return the sequence as rules name it; empty if unknown.

    ``t1``, ``t1c`` (with contrast agent), ``t2``, ``flair``, ``dwi``, ``adc``, ``lge`` (late enhancement), ``bssfp``,
    or ``other``. The description decides where it names a sequence; otherwise echo, repetition and inversion times do.
    The times are the usual ranges at 1.5 and 3 T: short TE and TR weigh T1; long ones T2; a long inversion time nulls
    fluid, a short one after contrast agent nulls myocardium.
    """
    return recognise(series)[0]


def recognise(series: SeriesHeader) -> tuple[str, str]:
    """Return the sequence as :func:`mr_sequence` names it, and what told: ``description``, ``times`` or nothing."""
    kind, by = _by_words(words(series.description), series.attributes), "description"
    if not kind:
        kind, by = _by_times(series.attributes), "times"
    if kind == "t1" and has_contrast(series):
        kind = "t1c"
    return kind, by if kind else ""


def has_contrast(series: SeriesHeader) -> bool:
    """Tell whether a contrast agent was given.

    Words against it (``pre``, ``native``, ``without`` …) decide first; then words for it (``gd``, ``+c``, ``post`` …)
    or a ContrastBolusAgent that is not ``none``.
    """
    spoken = words(series.description)
    if any(word in _NO_CONTRAST for word in spoken):
        return False
    said = any(word in _CONTRAST or word in ("+c", "c+", "t1+c") or word.startswith("gado") for word in spoken)
    return said or _has_agent(series.attributes)


def _has_agent(attributes: Mapping[str, Any]) -> bool:
    return str(attributes.get("ContrastBolusAgent", "")).strip().lower() not in ("", "none", "no", "n", "0")


def _by_words(spoken: list[str], attributes: Mapping[str, Any]) -> str:
    image_type = {text.upper() for text in texts(attributes.get("ImageType"))}
    if image_type & {"ADC"}:
        return "adc"
    weighted = {w[:2] for w in spoken if re.fullmatch(r"t[12](w|wi|c|ce|se|tse|fse|post|\+c)?", w)}
    if any(w in _NOT_ANATOMY or w.startswith("t2*") for w in spoken) or "LOCALIZER" in image_type:
        return "other"
    if any(w in _NAMES["adc"] for w in spoken):
        return "adc"
    if any(w in _NAMES["lge"] for w in spoken) or _says_late_enhancement(spoken):
        return "lge"  # before phase images are left out, for a phase-sensitive reconstruction may be called one
    if image_type & {"P", "PHASE MAP"} or _MAPS & set(spoken):
        return "other"
    if "flair" in spoken and "t1" in weighted:  # a T1 inversion recovery by its vendor's name
        return "t1"
    for kind in ("dwi", "flair"):
        if any(word in _NAMES[kind] for word in spoken):
            return kind
    if len(weighted) == 1:
        return weighted.pop()
    named = [kind for kind in ("bssfp", "t1", "t2") if any(word in _NAMES[kind] for word in spoken)]
    return named[0] if len(named) == 1 and not weighted else ""


def _says_late_enhancement(spoken: list[str]) -> bool:
    return "late" in spoken and any(word.startswith(("gad", "enh")) for word in spoken)


def _by_times(attributes: Mapping[str, Any]) -> str:
    name = next(iter(texts(attributes.get("SequenceName"))), "").lower()
    if re.match(r"\*?tfi[23]d", name):  # a vendor's name of balanced steady-state free precession
        return "bssfp"
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
    gradient_echo = "GR" in texts(attributes.get("ScanningSequence"))
    if gradient_echo and inversion_ms and 150 <= inversion_ms <= 380 and echo_ms <= 12 and _has_agent(attributes):
        return "lge"
    if echo_ms <= (12 if gradient_echo else 30) and repetition_ms <= 1200:
        return "t1"
    return ""


def _number(attributes: Mapping[str, Any], keyword: str) -> float | None:
    value = attributes.get(keyword)
    value = value[0] if isinstance(value, tuple) and value else value
    return float(value) if isinstance(value, int | float) else None
