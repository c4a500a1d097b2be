"""The conflict map of TrustMap: who testifies that modalities contradict each other, and which of them do.

Symbols: G → ``gate``; D_m → ``leave_one_out``; C_mn → ``pair_conflict``.
"""

from dataclasses import dataclass
from itertools import combinations
from math import log

import numpy as np
from jaxtyping import Bool, Float

from entrust.conflict import BASE, LEAVE_OUT, Probe, ProbeShifts
from entrust.contract import FittedConstants, Task
from entrust.uncertainty import Hypotheses, entropy


@dataclass(frozen=True, eq=False)
class Witnesses:
    """What each witness of a conflict says, in [0, 1] but for rounding.

    The gate sees that modalities differ, the probes that the answer moves without one of them, and entropy that it is
    open. Each alone has its own false alarms: tissue that one modality shows and nobody takes for a lesion; a lesion
    that one modality shows best; a soft edge.

    Attributes:
        gate: G of EnFuse.
        moved: max_m D_m divided by ln 2.
        doubt: Entropy of the marginal divided by ln C.
    """

    gate: Float[np.ndarray, "*s"]
    moved: Float[np.ndarray, "*s"]
    doubt: Float[np.ndarray, "*s"]

    def at(self, chosen: Bool[np.ndarray, "*s"]) -> "Witnesses":
        """Return the witnesses of some voxels."""
        return Witnesses(self.gate[chosen], self.moved[chosen], self.doubt[chosen])

    def weighed(self, probe_share: float, doubt_share: float) -> Float[np.ndarray, "*s"]:
        """Return where modalities contradict each other and the answer hangs on it: their weighted geometric mean.

        Args:
            probe_share: Weight of the probes; the gate's weight is what both leave.
            doubt_share: Weight of the entropy.
        """
        weights = (1.0 - probe_share - doubt_share, probe_share, doubt_share)
        product = np.ones_like(self.gate)
        for witness, weight in zip((self.gate, self.moved, self.doubt), weights, strict=True):
            if weight > 0.0:
                product *= np.clip(witness, 0.0, 1.0) ** weight
        return product


def witnesses(task: Task, hypotheses: Hypotheses, shifts: ProbeShifts) -> Witnesses:
    """Return what an answer of the networks says of conflicts, [d, h, w]."""
    return Witnesses(
        gate=hypotheses.conflict,
        moved=shifts.leave_one_out.max(axis=0) / log(2.0),
        doubt=entropy(hypotheses.marginal, axis=1) / log(task.num_classes),
    )


def weigh(
    task: Task, hypotheses: Hypotheses, shifts: ProbeShifts, constants: FittedConstants
) -> tuple[Float[np.ndarray, "d h w"], Float[np.ndarray, "p d h w"]]:
    """Return the conflict map, and the evidence for each pair of modalities, both in [0, 1].

    Args:
        task: Gives the modalities and their pairs.
        hypotheses: Marginal, gate, C_mn and the probes' answers.
        shifts: What the probes moved.
        constants: Give the weights of the witnesses.
    """
    conflict = witnesses(task, hypotheses, shifts).weighed(constants.probe_share, constants.doubt_share)
    if not constants.probe_share:
        return conflict, hypotheses.pair_conflict
    pulls = opposing_pull(task, hypotheses.probes, hypotheses.probe_marginals)
    return conflict, pair_evidence(hypotheses.pair_conflict, pulls, constants.probe_share, constants.doubt_share)


def opposing_pull(
    task: Task, probes: tuple[Probe, ...], probe_marginals: Float[np.ndarray, "v d c h w"]
) -> Float[np.ndarray, "p d h w"]:
    """Return how far each pair of modalities pulls the answer in opposite directions, in [0, 1].

    Without the modality that sees a lesion the foreground probability falls, without the one that denies it, it rises:
    the evidence for a pair is the geometric mean of the two. Zero for a modality that was not probed.

    Args:
        task: Gives the modalities and their pairs.
        probes: As planned by :func:`entrust.conflict.probe_plan`.
        probe_marginals: Softmax at t = 1 in the order of ``probes``.
    """
    foreground = {probe.name: 1.0 - answer[:, 0] for probe, answer in zip(probes, probe_marginals, strict=True)}
    base = foreground[BASE]
    rise = np.stack([foreground.get(LEAVE_OUT + slug, base) - base for slug in task.slugs])
    up, down = np.maximum(rise, 0.0), np.maximum(-rise, 0.0)
    pulls = [np.sqrt(up[i] * down[j] + up[j] * down[i]) for i, j in combinations(range(len(rise)), 2)]
    return np.stack(pulls) if pulls else np.zeros((0, *base.shape), base.dtype)


def pair_evidence(
    pair_conflict: Float[np.ndarray, "p d h w"],
    pulls: Float[np.ndarray, "p d h w"],
    probe_share: float,
    doubt_share: float,
) -> Float[np.ndarray, "p d h w"]:
    """Return the evidence for each pair: C_mn and the opposing pull, weighted as the map weighs gate and probes.

    Args:
        pair_conflict: C_mn of EnFuse.
        pulls: See :func:`opposing_pull`.
        probe_share: As in :meth:`Witnesses.weighed`, more than 0.
        doubt_share: As there; entropy knows no pairs.
    """
    share = probe_share / (1.0 - doubt_share)
    return np.asarray(pair_conflict ** (1.0 - share) * pulls**share)
