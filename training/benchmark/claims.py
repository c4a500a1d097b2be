"""What is claimed of EnTrust, each claim with its bar, the rival it is held against, and whether it is met."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import ge, le, lt

import numpy as np

from entrust import metrics
from entrust.metrics import Estimate
from training.benchmark.kept import Scores, estimate, lines_of, number
from training.benchmark.plan import ENTRUST
from training.cohort import statistic
from training.datasets.phantoms.world.splits import SPLITS, TEST

COMMAND = "make bench-science"
SINGLE = ("unet-ce", "unet-dicece", "mc-dropout", "tta", "evidential", "evidential-fusion", "ssn", "decoders")
"""Rivals of one model."""
NEGATIVES = ("boundary", "complementary", "low-contrast", "noise")
OURS = f"{ENTRUST}+head"
ORACLE, ENSEMBLE, SSN, NESTED = "oracle", "ensemble+raw", "ssn+raw", "unet-ce+nested"
FLOOR = "(floor)"


@dataclass(frozen=True)
class Claim:
    """A row of ``science.json``.

    Attributes:
        claim: What is claimed.
        task: A domain.
        value: What was measured; null where nothing could be.
        low: Lower end of its 95 % interval.
        high: Upper end.
        bar: What was asked.
        met: Whether the value reaches the bar; null where nothing was measured.
        against: The rival, where there is one.
        seeds: Training seeds.
        command: What prints it.
        machine: Where the networks were fitted.
    """

    claim: str
    task: str
    value: float | None
    low: float | None
    high: float | None
    bar: str
    met: bool | None
    against: str
    seeds: int
    command: str
    machine: str


Holds = Callable[[float, float], bool]
"""(measured, bound) → whether the bar is met."""


def judged(
    claim: str,
    task: str,
    found: Estimate | None,
    bar: str,
    holds: Holds | None,
    bound: float,
    *,
    against: str,
    seeds: int,
    machine: str,
) -> Claim:
    """Return a claim that is held against its bar.

    Args:
        claim: What is claimed.
        task: A domain.
        found: What was measured; ``None`` where nothing could be.
        bar: What was asked, in words.
        holds: Compares the value with the bound; ``None`` where nothing is asked, as of the truth itself.
        bound: The bar's number.
        against: The rival.
        seeds: Training seeds.
        machine: Where the networks were fitted.
    """
    value, low, high = (
        (None, None, None) if found is None else (round(x, 4) for x in (found.value, found.low, found.high))
    )
    met = None if found is None or holds is None else bool(holds(found.value, bound))
    return Claim(claim, task, value, low, high, bar, met, against, seeds, COMMAND, machine)


def _compare(
    scores: Scores, domain: str, splits: list[str], ours: str, theirs: str, name: str, kind: str
) -> Estimate | None:
    """Return our metric minus, or over, theirs, over the cases of several splits, paired by case and seed."""
    paired = []
    for seed in scores[domain][TEST.name]:
        sides = []
        for line in (ours, theirs):
            runs = [scores[domain][s][seed].get(line) for s in splits if seed in scores[domain].get(s, {})]
            if not runs or any(r is None for r in runs):
                return None
            sides.append([score for r in runs if r is not None for score in r.run])
        if name in ("aurc",):
            a, b = (statistic(side, name) for side in sides)
        else:
            values = [np.array([s.numbers.get(name, np.nan) for s in side]) for side in sides]
            common = np.asarray(np.isfinite(values).all(axis=0))
            if not common.any():
                return None
            a, b = (metrics.patient_mean(v, common) for v in values)
        if a is None or b is None:
            return None
        paired.append(a - b if kind == "difference" else a / b)
    return estimate(paired, null=0.0 if kind == "difference" else 1.0)


@dataclass(frozen=True)
class Judge:
    """Holds the claims of one domain against their bars.

    Attributes:
        scores: All kept scores.
        domain: Name of a domain.
        machine: Where the networks were fitted.
    """

    scores: Scores
    domain: str
    machine: str

    @property
    def every(self) -> list[str]:
        """The splits that were scored."""
        return [split for split in SPLITS if split in self.scores[self.domain]]

    def lines(self, ending: str) -> list[str]:
        """Return the single models' lines with an ending."""
        present = lines_of(self.scores, self.domain, TEST.name)
        return [line for line in present if line.partition("+")[0] in SINGLE and line.endswith(ending)]

    def best(self, name: str, lines: list[str], *, highest: bool = False) -> str:
        """Return the line that is best in a metric on the test split; empty where none has it."""
        found = {line: self.value(line, name) for line in lines}
        known = {line: v.value for line, v in found.items() if v is not None}
        if not known:
            return ""
        return max(known, key=lambda k: known[k]) if highest else min(known, key=lambda k: known[k])

    def value(self, line: str, name: str, split: str = TEST.name) -> Estimate | None:
        """Return a metric of a line."""
        return number(self.scores, self.domain, split, line, name)

    def compared(self, name: str, theirs: str, kind: str, splits: list[str] | None = None) -> Estimate | None:
        """Return our metric minus, or over, a rival's, on the test split or on several."""
        if not theirs:
            return None
        return _compare(self.scores, self.domain, splits or [TEST.name], OURS, theirs, name, kind)

    def claim(
        self,
        claim: str,
        found: Estimate | None,
        bar: str,
        holds: Holds | None = None,
        bound: float = 0.0,
        against: str = "",
    ) -> Claim:
        """Return one row; see :func:`judged`."""
        seeds = len(self.scores[self.domain][TEST.name])
        return judged(claim, self.domain, found, bar, holds, bound, against=against, seeds=seeds, machine=self.machine)

    def accuracy(self) -> Iterator[Claim]:
        """Dice."""
        rival = self.best("dice", self.lines("+raw"), highest=True)
        for other, bar, least in ((rival, "≥ 0", 0.0), (ENSEMBLE, "≥ −.005", -0.005)):
            found = self.compared("dice", other, "difference")
            yield self.claim("accuracy: Dice minus the rival's", found, bar, ge, least, other)

    def calibration(self) -> Iterator[Claim]:
        """ECE, Brier and NLL over the test and all shift splits."""
        rival, pooled = self.best("ece.foreground", self.lines("+temperature")), "ensemble+temperature"
        for other, name, title, bar in (
            (rival, "ece.foreground", "ECE", 0.6),
            (pooled, "ece.foreground", "ECE", 1.0),
            (rival, "brier.foreground", "Brier", 1.0),
            (rival, "nll.foreground", "NLL", 1.0),
        ):
            found = self.compared(name, other, "ratio", self.every)
            yield self.claim(
                f"calibration: {title} over the rival's, all splits", found, f"≤ {bar:.2f}", le, bar, other
            )
        floor = self.value(ORACLE, "ece.foreground")
        yield self.claim("calibration: the truth's own ECE, on one label a case", floor, FLOOR)

    def joint(self) -> Iterator[Claim]:
        """Hypotheses as draws of the truth."""
        for other, bar in ((ENSEMBLE, 0.75), (SSN, 1.0)):
            found = self.compared("ged", other, "ratio")
            yield self.claim("joint: GED over the rival's", found, f"≤ {bar:.2f}", le, bar, other)
        for other in (SSN, NESTED, f"{ENTRUST}+nested"):
            for name, title in (("joint_state", "joint-state error"), ("volume_crps_ml", "volume CRPS in ml")):
                found = self.compared(name, other, "difference")
                yield self.claim(f"joint: {title} minus the rival's", found, "< 0", lt, 0.0, other)
        yield self.claim("joint: coherence", self.value(OURS, "coherence"), "≥ .90", ge, 0.9)
        yield self.claim("joint: the truth's own coherence", self.value(ORACLE, "coherence"), FLOOR)
        error = self.value(OURS, "mode_frequency_error")
        yield self.claim("joint: mode frequency error", error, "≤ .10", le, 0.1)
        yield self.claim(
            "joint: the truth's own mode frequency error", self.value(ORACLE, "mode_frequency_error"), FLOOR
        )

    def where(self) -> Iterator[Claim]:
        """Errors of voxels and of cases."""
        found = self.compared("error_auroc", "ensemble+temperature", "difference")
        yield self.claim("where: error AUROC minus the rival's", found, "≥ 0", ge, 0.0, "ensemble+temperature")
        found = self.compared("aurc", ENSEMBLE, "difference")
        yield self.claim("where: AURC minus the rival's", found, "≤ 0", le, 0.0, ENSEMBLE)

    def why(self) -> Iterator[Claim]:
        """Conflicts."""
        entropy = f"{ENTRUST}+entropy"
        for kind in NEGATIVES:
            found = self.compared(f"conflict_aupr.against {kind}", entropy, "ratio")
            yield self.claim(f"why: AUPR of G over that of entropy, against {kind}", found, "≥ 2", ge, 2.0, entropy)
        yield self.claim("why: attribution to a pair", self.value(OURS, "attribution"), "≥ .90", ge, 0.9)
        name = "conflict_aupr.off boundary"
        seen, unseen = self.value(OURS, name), self.value(OURS, name, "shift-conflict")
        least = 0.8 * seen.value if seen is not None else np.nan
        yield self.claim(
            "why: AUPR of G on the unseen type and pair", unseen, f"≥ .8 of the seen: {least:.3f}", ge, least
        )

    def intervals(self) -> Iterator[Claim]:
        """Volumes."""
        yield self.claim(
            "intervals: coverage of 90 % volume intervals",
            self.value(OURS, "covered"),
            ".87 to .93",
            lambda value, _: 0.87 <= value <= 0.93,
        )


def claims(scores: Scores, machine: str) -> list[Claim]:
    """Return every claim with its bar, for every domain that was scored."""
    rows: list[Claim] = []
    for domain in scores:
        if TEST.name in scores[domain]:
            judge = Judge(scores, domain, machine)
            for part in (judge.accuracy, judge.calibration, judge.joint, judge.where, judge.why, judge.intervals):
                rows += part()
    return rows
