"""The conflict map of TrustMap: who testifies that modalities contradict each other, and which of them do.

Symbols: G → ``gate``; D_m → ``leave_one_out``; C_mn → ``pair_conflict``; p_m → ``unimodal``; Δ_m → ``moved``; 1 − ν_m →
``sure``.
"""

from dataclasses import dataclass
from itertools import combinations
from math import log

import numpy as np
from jaxtyping import Bool, Float

from entrust.conflict import BASE, LEAVE_OUT, ProbeShifts, vacuity
from entrust.contract import FittedConstants, Task
from entrust.uncertainty import Hypotheses, entropy

PAIR_WEIGHTS = (5.0, 7.0, 2.5)
"""Of the witnesses of a pair: opinions that differ, pulls that differ, certainty of both.

Those of most likelihood on the conflicts of 120 simulated cases of three tasks together; they know nothing of a task or
a pair."""


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

    Where the map hears more than the gate, the pairs share it among them: the evidence is the map times the softmax,
    over the pairs that differ at all, of what testifies for each. Where it is the gate alone, the evidence is C_mn.

    Args:
        task: Gives the modalities and their pairs.
        hypotheses: Marginal, gate, C_mn, what each modality says alone, and the probes' answers.
        shifts: What the probes moved.
        constants: Give the weights of the witnesses.
    """
    if not constants.probe_share and not constants.doubt_share:
        return hypotheses.conflict, hypotheses.pair_conflict
    conflict = witnesses(task, hypotheses, shifts).weighed(constants.probe_share, constants.doubt_share)
    evidence = np.empty_like(hypotheses.pair_conflict)
    for z in range(len(conflict)):  # a slice at a time: the witnesses of all pairs are many maps
        evidence[:, z] = conflict[z] * shares_of_pairs(
            pair_score(task, hypotheses, z), hypotheses.pair_conflict[:, z] > 0.0
        )
    return conflict, evidence


def pair_score(task: Task, hypotheses: Hypotheses, z: int) -> Float[np.ndarray, "p h w"]:
    """Return how much testifies that two modalities contradict each other, in a slice.

    Opinions differ, ½‖p_m − p_n‖₁; the answer moves differently without the one and without the other,
    ½‖Δ_m − Δ_n‖₁, where a modality that was not probed moves nothing; and both are sure of what they see,
    (1 − ν_m)(1 − ν_n), for one that cannot know does not contradict. Weighed by :data:`PAIR_WEIGHTS`.

    Args:
        task: Gives the modalities and their pairs.
        hypotheses: Give p_m, and the probes' answers.
        z: Number of the slice.
    """
    said = hypotheses.unimodal[:, z]
    answers = {p.name: answer[z] for p, answer in zip(hypotheses.probes, hypotheses.probe_marginals, strict=True)}
    base = answers[BASE]
    moved = np.stack([answers.get(LEAVE_OUT + slug, base) - base for slug in task.slugs])
    sure = 1.0 - vacuity(hypotheses.unimodal[:, z : z + 1])[:, 0]
    pairs = list(combinations(range(task.num_modalities), 2))
    opinions, pulls, certainty = PAIR_WEIGHTS
    score = np.empty((len(pairs), *base.shape[1:]), said.dtype)
    for out, (m, n) in zip(score, pairs, strict=True):
        out[...] = 0.5 * opinions * np.abs(said[m] - said[n]).sum(axis=0)
        out += 0.5 * pulls * np.abs(moved[m] - moved[n]).sum(axis=0)
        out += certainty * sure[m] * sure[n]
    return score


def shares_of_pairs(score: Float[np.ndarray, "p *s"], differs: Bool[np.ndarray, "p *s"]) -> Float[np.ndarray, "p *s"]:
    """Return how a conflict is shared among the pairs: a softmax that sums to 1, or to 0 where no pair differs.

    Args:
        score: See :func:`pair_score`.
        differs: Which pairs are asked: those whose modalities are both there and do not say the same.
    """
    asked = np.where(differs, score, -np.inf)
    best = asked.max(axis=0)
    shares: np.ndarray = np.exp(asked - np.where(np.isfinite(best), best, 0.0))
    shares /= np.maximum(shares.sum(axis=0), 1.0)  # the best has 1 before
    return shares
