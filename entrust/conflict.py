"""Where modalities contradict each other, and questions that show how much the answer hangs on it.

A probe is data: which modalities to keep and how loud the conflict features are. All probes of a slice go to the
denoiser at t = 1 as one batch, so probing costs no sampling.

Symbols: C_mn → ``pair_conflict``; G* → ``union_conflict`` (``agreement`` in EnFuse); ν_m → vacuity; a_m → ``presence``;
D_m → ``leave_one_out``; G → ``gate``; S_cf → ``sensitivity``; ε → ``epsilon``; F_cf's factor → ``conflict_gain``.
"""

from dataclasses import dataclass
from itertools import combinations
from math import log

import numpy as np
from jaxtyping import Bool, Float, Shaped

from entrust.contract import Task
from entrust.errors import InvalidInputError

BASE, UP, DOWN, OFF = "base", "conflict_up", "conflict_down", "conflict_off"
LEAVE_OUT = "without_"
LOG_FLOOR = 1e-6
"""Lower clip of a probability inside ν_m; the same number as in EnFuse, so that both sides agree."""


@dataclass(frozen=True)
class Probe:
    """One question to the networks about the same study.

    Attributes:
        name: ``base``, ``without_<slug>``, ``conflict_up``, ``conflict_down`` or ``conflict_off``.
        keep: Whether each modality of the task is used.
        conflict_gain: Factor on F_cf.
    """

    name: str
    keep: tuple[bool, ...]
    conflict_gain: float


@dataclass(frozen=True, eq=False)
class ProbeShifts:
    """How far the probes moved the marginal.

    Attributes:
        leave_one_out: D_m, Jensen–Shannon divergence in nats (0..ln 2) between the answer with all and without m;
            zeros for a modality that was not probed.
        sensitivity: S_cf, the change of the answer per unit of conflict gain, at least 0.
    """

    leave_one_out: Float[np.ndarray, "m d h w"]
    sensitivity: Float[np.ndarray, "d h w"]


def probe_plan(task: Task, available: tuple[bool, ...], epsilon: float = 0.5) -> tuple[Probe, ...]:
    """Return the questions to ask about a study.

    Args:
        task: Gives the modalities and their order.
        available: Whether the study has each modality.
        epsilon: Step of the conflict gain around 1, in (0, 1].

    Returns:
        ``base`` first, then one probe without each available modality (if there are several), then the gains
        1 + ε, 1 − ε and 0.

    Raises:
        InvalidInputError: No modality at all, a wrong number of flags, or an ε outside (0, 1].
    """
    if len(available) != task.num_modalities or not any(available):
        raise InvalidInputError(
            "A study needs at least one modality of its task.", fix=f"Send one of: {', '.join(task.slugs)}."
        )
    if not 0.0 < epsilon <= 1.0:
        raise InvalidInputError("The step of the conflict gain is outside (0, 1].", fix="Use 0.5.")
    without = [
        Probe(LEAVE_OUT + slug, tuple(a and j != i for j, a in enumerate(available)), 1.0)
        for i, slug in enumerate(task.slugs)
        if available[i] and sum(available) > 1
    ]
    gains = {UP: 1.0 + epsilon, DOWN: 1.0 - epsilon, OFF: 0.0}
    return (Probe(BASE, available, 1.0), *without, *(Probe(name, available, gain) for name, gain in gains.items()))


def jensen_shannon(p: Float[np.ndarray, "..."], q: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Return the Jensen–Shannon divergence along ``axis`` in nats, between 0 and ln 2."""
    middle = np.maximum(0.5 * (p + q), 1e-12)
    log_middle = np.log(middle)
    total = np.zeros_like(middle)
    for r in (p, q):
        total += r * (np.log(np.maximum(r, 1e-12)) - log_middle)
    divergence = np.asarray(0.5 * total.sum(axis=axis))
    return np.clip(divergence, 0.0, log(2.0), out=divergence)  # outside by rounding only


def probe_shifts(task: Task, probes: tuple[Probe, ...], probe_marginals: Float[np.ndarray, "v d c h w"]) -> ProbeShifts:
    """Aggregate the probes' answers into what each modality and the conflict features contribute.

    Args:
        task: Gives the modalities and their order.
        probes: As planned by :func:`probe_plan`; any subset that has a base.
        probe_marginals: Softmax at t = 1 in the order of ``probes``.

    Raises:
        InvalidInputError: The base is missing or the numbers of probes and answers differ.
    """
    answers = dict(zip((probe.name for probe in probes), probe_marginals, strict=False))
    if len(probes) != len(probe_marginals) or BASE not in answers:
        raise InvalidInputError("The probes and their answers do not belong together.")
    base = answers[BASE]
    leave_one_out = np.zeros((task.num_modalities, base.shape[0], *base.shape[2:]), dtype=base.dtype)
    for i, slug in enumerate(task.slugs):
        if LEAVE_OUT + slug in answers:
            leave_one_out[i] = jensen_shannon(base, answers[LEAVE_OUT + slug], axis=1)
    sensitivity = np.zeros_like(base[:, 0])
    if UP in answers and DOWN in answers:
        gains = {probe.name: probe.conflict_gain for probe in probes}
        epsilon = 0.5 * (gains[UP] - gains[DOWN])
        sensitivity = 0.5 * np.abs(answers[UP] - answers[DOWN]).sum(axis=1) / epsilon
    return ProbeShifts(leave_one_out, sensitivity)


def vacuity(unimodal: Float[np.ndarray, "m d c h w"]) -> Float[np.ndarray, "m d h w"]:
    """Return ν_m = H(p_m) / ln C: how little a modality alone knows, in [0, 1]."""
    terms: np.ndarray = unimodal * np.log(np.maximum(unimodal, LOG_FLOOR))
    nu: np.ndarray = terms.sum(axis=2)
    return nu / -log(unimodal.shape[2])


def pair_conflict(
    unimodal: Float[np.ndarray, "m d c h w"], presence: Shaped[np.ndarray, "m d h w"]
) -> Float[np.ndarray, "p d h w"]:
    """Return C_mn, the confident disagreement of each pair of modalities, in [0, 1].

    Projected distance times conjunctive certainty: a modality that does not know (high entropy) is ignorant, not in
    conflict. This is the numpy twin of what EnFuse computes in its graph.

    Args:
        unimodal: p_m, softmax over c.
        presence: a_m, bool or share in [0, 1].
    """
    certainty = (1.0 - vacuity(unimodal)) * presence.astype(unimodal.dtype)
    pairs = list(combinations(range(len(unimodal)), 2))
    conflict = np.zeros((len(pairs), *certainty.shape[1:]), dtype=unimodal.dtype)
    for out, (i, j) in zip(conflict, pairs, strict=True):
        out[...] = 0.5 * np.abs(unimodal[i] - unimodal[j]).sum(axis=1) * certainty[i] * certainty[j]
    return conflict


def union_conflict(pairs: Float[np.ndarray, "p d h w"]) -> Float[np.ndarray, "d h w"]:
    """Return G* = 1 − Π (1 − C_mn): whether any pair conflicts, without a parameter."""
    nobody: np.ndarray = np.prod(1.0 - pairs, axis=0)
    return 1.0 - nobody


def shows_foreground(unimodal: Float[np.ndarray, "m d c h w"]) -> Bool[np.ndarray, "m d h w"]:
    """Tell which modality alone would call a voxel foreground: the direction of a conflict."""
    return unimodal[:, :, 0] < 0.5
