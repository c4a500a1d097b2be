"""Tissue → signal: the textbook equations of the sequences, in units of 1000 for MR.

Source: Bernstein, King, Zhou, Handbook of MRI Pulse Sequences, 2004; relaxation times as commonly given for 3 T.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, exp, radians, sin

Signal = Callable[["Tissue"], float]


@dataclass(frozen=True)
class Tissue:
    """What scanners measure of a tissue.

    Attributes:
        pd: Proton density, 1 for water.
        t1_ms: Longitudinal relaxation.
        t2_ms: Transverse relaxation.
        t1_contrast_ms: Longitudinal relaxation after gadolinium; ``None``: takes none up.
        adc: Apparent diffusion coefficient in 10⁻³ mm²/s.
        flow: Share of the signal that flows away before the echo (blood in black-blood sequences).
        hu: CT number.
        suv: Uptake of FDG.
    """

    pd: float = 0.0
    t1_ms: float = 1000.0
    t2_ms: float = 50.0
    t1_contrast_ms: float | None = None
    adc: float = 0.0
    flow: float = 0.0
    hu: float = -1000.0
    suv: float = 0.0


def spin_echo(tr_ms: float, te_ms: float, *, contrast: bool = False, black_blood: bool = False) -> Signal:
    """Return the signal of a spin echo, after gadolinium where ``contrast``."""

    def signal(tissue: Tissue) -> float:
        t1 = tissue.t1_contrast_ms if contrast and tissue.t1_contrast_ms else tissue.t1_ms
        still = 1 - tissue.flow if black_blood else 1.0
        return 1000 * still * tissue.pd * (1 - exp(-tr_ms / t1)) * exp(-te_ms / tissue.t2_ms)

    return signal


def inversion_recovery(tr_ms: float, ti_ms: float, te_ms: float, *, contrast: bool = False) -> Signal:
    """Return the phase-sensitive signal of an inversion recovery, negative cut to 0.

    FLAIR nulls fluid, late enhancement (``contrast``) nulls healthy myocardium.
    """

    def signal(tissue: Tissue) -> float:
        t1 = tissue.t1_contrast_ms if contrast and tissue.t1_contrast_ms else tissue.t1_ms
        recovered = max(1 - 2 * exp(-ti_ms / t1) + exp(-tr_ms / t1), 0.0)
        return 1000 * tissue.pd * recovered * exp(-te_ms / tissue.t2_ms)

    return signal


def balanced_ssfp(flip_degrees: float) -> Signal:
    """Return the steady state of a balanced gradient echo with a short repetition time."""
    c, s = cos(radians(flip_degrees)), sin(radians(flip_degrees))

    def signal(tissue: Tissue) -> float:
        ratio = tissue.t1_ms / tissue.t2_ms
        return 1000 * tissue.pd * s / (1 + c + (1 - c) * ratio)

    return signal


def diffusion(b: float, te_ms: float) -> Signal:
    """Return the trace image of a diffusion-weighted echo; ``b`` in s/mm²."""

    def signal(tissue: Tissue) -> float:
        return 1000 * tissue.pd * exp(-te_ms / tissue.t2_ms) * exp(-b * tissue.adc * 1e-3)

    return signal


def diffusion_coefficient(tissue: Tissue) -> float:
    """Return the ADC in 10⁻⁶ mm²/s."""
    return 1000 * tissue.adc


def attenuation(tissue: Tissue) -> float:
    """Return the CT number in HU."""
    return tissue.hu


def uptake(tissue: Tissue) -> float:
    """Return the uptake of FDG in SUV."""
    return tissue.suv
