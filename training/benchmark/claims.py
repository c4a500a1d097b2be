"""What is claimed of EnTrust, each claim with its bar, the rival it is held against, and whether it is met."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, le, lt

import numpy as np

from entrust import metrics
from entrust.metrics import Estimate, Statistic
from training.benchmark.kept import Scores, estimate, lines_of, number
from training.benchmark.plan import ENTRUST
from training.cohort import POOLED, Run, column, pooled
from training.datasets.phantoms.world.splits import SPLITS, TEST

COMMAND = "make bench-science"
SINGLE = ("unet-ce", "unet-dicece", "mc-dropout", "tta", "evidential", "evidential-fusion", "ssn", "decoders")
"""Rivals of one model."""
CALIBRATIONS = ("raw", "temperature", "head")
"""A rival's calibration is the one that is best on the test cases themselves: no bar is met only because a temperature,
fitted on few cases, did harm."""
NEGATIVES = ("boundary", "complementary", "low-contrast", "noise")
OURS = f"{ENTRUST}+head"
ORACLE, ENSEMBLE, SSN, NESTED = "oracle", "ensemble+raw", "ssn+raw", "unet-ce+nested"
FLOOR = "(floor)"
ECES: Mapping[str, str] = {
    "micro_ece.foreground": "ECE of a split's voxels together",
    "ece.foreground": "ECE by case",
    "ece_to_truth.foreground": "ECE by case to p*",
}
"""Class-wise ECE in the foreground domain. One label has few independent places in one case: there, a gap between what
was said and what happened is mostly chance, and p* itself has more of it than what is smoother. Over many cases, or
against p* in place of the label, the truth has least."""


@dataclass(frozen=True)
class Claim:
    """A row of ``science.json``.

    Attributes:
        claim: What is claimed.
        task: A domain, or ``all`` for the mean of those that were scored.
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


class Evidence(ABC):
    """What was measured in one domain, and claims about it.

    Attributes:
        domain: Name of a domain.
        machine: Where the networks were fitted.
    """

    domain: str
    machine: str

    @property
    @abstractmethod
    def num_seeds(self) -> int:
        """How many training seeds were measured."""

    def claim(
        self,
        claim: str,
        found: Estimate | None,
        bar: str,
        holds: Holds | None = None,
        bound: float = 0.0,
        against: str = "",
    ) -> Claim:
        """Return a claim that is held against its bar.

        Args:
            claim: What is claimed.
            found: What was measured; ``None`` where nothing could be.
            bar: What was asked, in words.
            holds: Compares the value with the bound; ``None`` where nothing is asked, as of the truth itself.
            bound: The bar's number.
            against: The rival.
        """
        value, low, high = (
            (None, None, None) if found is None else (round(x, 4) for x in (found.value, found.low, found.high))
        )
        met = None if found is None or holds is None else bool(holds(found.value, bound))
        return Claim(claim, self.domain, value, low, high, bar, met, against, self.num_seeds, COMMAND, self.machine)


def _columns(sides: Sequence[Sequence[Run]], name: str) -> list[Statistic] | None:
    """Return a metric of each side, a run for each split, over the cases that have it on all sides.

    What is pooled within a split is averaged over the splits.
    """
    if name in POOLED:
        return [metrics.mean_of_groups([pooled(run, name) for run in side]) for side in sides]
    values = [np.concatenate([column(run, name) for run in side]) for side in sides]
    common = np.asarray(np.isfinite(values).all(axis=0))
    return [metrics.patient_mean(v, common) for v in values] if common.any() else None


def versus(by_seed: Sequence[Sequence[Statistic]], kind: str) -> Estimate | None:
    """Return ours minus, or over, theirs; ``None`` where nothing was measured."""
    found = [ours - theirs if kind == "difference" else ours / theirs for ours, theirs in by_seed]
    return estimate(found, null=0.0 if kind == "difference" else 1.0) if found else None


def _best(known: Mapping[str, float], *, highest: bool) -> str:
    """Return the line with the lowest or highest value, the first of equals; empty where there is none."""
    return (max if highest else min)(known, key=lambda line: known[line], default="")


class Scored(Evidence):
    """Scores of one or several domains, and the claims that are the same for both."""

    @abstractmethod
    def value(self, line: str, name: str) -> Estimate | None:
        """Return a metric of a line on the test split."""

    @abstractmethod
    def compared(self, name: str, theirs: str, kind: str) -> Estimate | None:
        """Return our metric minus, or over, a rival's, on the test split."""

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

    def intervals(self) -> Iterator[Claim]:
        """Volumes."""
        yield self.claim(
            "intervals: coverage of 90 % volume intervals",
            self.value(OURS, "covered"),
            ".87 to .93",
            lambda value, _: 0.87 <= value <= 0.93,
        )


@dataclass(frozen=True)
class Judge(Scored):
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
    def num_seeds(self) -> int:
        """How many training seeds were scored."""
        return len(self.scores[self.domain][TEST.name])

    @property
    def every(self) -> list[str]:
        """The splits that were scored."""
        return [split for split in SPLITS if split in self.scores[self.domain]]

    def lines(self, rivals: Sequence[str]) -> list[str]:
        """Return the lines of rivals, calibrated in any way."""
        present = lines_of(self.scores, self.domain, TEST.name)
        wanted = {f"{rival}+{way}" for rival in rivals for way in CALIBRATIONS}
        return [line for line in present if line in wanted]

    def best(self, name: str, lines: list[str], *, highest: bool = False) -> str:
        """Return the line that is best in a metric on the test split; empty where none has it."""
        found = {line: self.value(line, name) for line in lines}
        known = {line: v.value for line, v in found.items() if v is not None}
        return _best(known, highest=highest)

    def value(self, line: str, name: str, split: str = TEST.name) -> Estimate | None:
        """Return a metric of a line."""
        return number(self.scores, self.domain, split, line, name)

    def compared(
        self, name: str, theirs: str, kind: str, splits: list[str] | None = None, ours: str = OURS
    ) -> Estimate | None:
        """Return our metric minus, or over, a rival's, on the test split or on several."""
        return versus(self.columns(name, [ours, theirs], splits or [TEST.name]), kind)

    def over_splits(self, line: str, name: str) -> Estimate | None:
        """Return a metric of a line over the test and all shift splits."""
        found = self.columns(name, [line], self.every)
        return estimate([s for (s,) in found]) if found else None

    def columns(self, name: str, lines: Sequence[str], splits: Sequence[str]) -> list[list[Statistic]]:
        """Return a metric of several lines over the cases of several splits, by seed; empty where one has it not."""
        found = []
        for seed in self.scores[self.domain][TEST.name]:
            kept = [self.scores[self.domain][split].get(seed, {}) for split in splits]
            if not all(line in by_line for by_line in kept for line in lines):
                return []
            statistics = _columns([[by_line[line].run for by_line in kept] for line in lines], name)
            if statistics is None:
                return []
            found.append(statistics)
        return found

    def accuracy(self) -> Iterator[Claim]:
        """Dice."""
        rival = self.best("dice", self.lines(SINGLE), highest=True)
        for other, bar, least in ((rival, "≥ 0", 0.0), (ENSEMBLE, "≥ −.005", -0.005)):
            found = self.compared("dice", other, "difference")
            yield self.claim("accuracy: Dice minus the rival's", found, bar, ge, least, other)

    def calibration(self) -> Iterator[Claim]:
        """ECE, Brier and NLL over the test and all shift splits; ECE in three ways, each beside the truth's own.

        What the truth itself has of the strongest single model's error is the least that can be reached.
        """
        for name, title in ECES.items():
            single, pooled = (self.best(name, self.lines(rivals)) for rivals in (SINGLE, ("ensemble",)))
            for other, bar in ((single, 0.6), (pooled, 1.0)):
                found = self.compared(name, other, "ratio", self.every)
                yield self.claim(
                    f"calibration: {title} over the rival's, all splits", found, f"≤ {bar:.2f}", le, bar, other
                )
            floor = self.over_splits(ORACLE, name)
            yield self.claim(f"calibration: {title} of the truth itself, all splits", floor, FLOOR)
            least = self.compared(name, single, "ratio", self.every, ORACLE)
            if least is not None and least.value > 0.0:  # to p*, the truth has no error
                claim = f"calibration: {title} of the truth itself over the rival's, all splits"
                yield self.claim(claim, least, FLOOR, against=single)
        for name, title in (("brier.foreground", "Brier"), ("nll.foreground", "NLL")):
            other = self.best(name, self.lines(SINGLE))
            found = self.compared(name, other, "ratio", self.every)
            yield self.claim(f"calibration: {title} over the rival's, all splits", found, "≤ 1.00", le, 1.0, other)

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


@dataclass(frozen=True)
class Overall(Scored):
    """Holds the claims about the mean of all domains that were scored with the same seeds.

    Attributes:
        judges: One for each domain.
        machine: Where the networks were fitted.
    """

    judges: Sequence[Judge]
    machine: str
    domain: str = "all"

    @property
    def num_seeds(self) -> int:
        """How many training seeds were scored in every domain."""
        return min(judge.num_seeds for judge in self.judges)

    def mean(self, name: str, line: str, *, shifts: bool = False) -> list[Statistic]:
        """Return a line's mean over the domains by seed, on the test or on all splits; empty where one has it not."""
        by_domain = [j.columns(name, [line], j.every if shifts else [TEST.name])[: self.num_seeds] for j in self.judges]
        if not all(by_domain):
            return []
        return [metrics.mean_of_groups([s for (s,) in seed]) for seed in zip(*by_domain, strict=True)]

    def value(self, line: str, name: str) -> Estimate | None:
        """Return the mean of a metric of a line."""
        found = self.mean(name, line)
        return estimate(found) if found else None

    def compared(self, name: str, theirs: str, kind: str, *, shifts: bool = False, ours: str = OURS) -> Estimate | None:
        """Return our mean minus, or over, a rival's."""
        sides = [self.mean(name, line, shifts=shifts) for line in (ours, theirs)]
        return versus(list(zip(*sides, strict=True)), kind) if all(sides) else None

    def best(self, name: str, rivals: Sequence[str], *, highest: bool = False) -> str:
        """Return the line of some rivals, calibrated in any way, whose mean on the test split is best."""
        shared = set.intersection(*(set(judge.lines(rivals)) for judge in self.judges))
        found = {line: self.mean(name, line) for line in sorted(shared)}
        known = {line: float(np.mean([s.value for s in seeds])) for line, seeds in found.items() if seeds}
        return _best(known, highest=highest)

    def accuracy(self) -> Iterator[Claim]:
        """Mean Dice."""
        for other, bar, least in (
            (self.best("dice", SINGLE, highest=True), "≥ 0", 0.0),
            (ENSEMBLE, "≥ −.005", -0.005),
        ):
            found = self.compared("dice", other, "difference")
            yield self.claim("accuracy: mean Dice minus the rival's", found, bar, ge, least, other)

    def calibration(self) -> Iterator[Claim]:
        """Mean ECE over the test and all shift splits, and the least of the single models' that can be reached."""
        for name, title in ECES.items():
            single, pooled = (self.best(name, rivals) for rivals in (SINGLE, ("ensemble",)))
            for other, bar in ((single, 0.6), (pooled, 1.0)):
                found = self.compared(name, other, "ratio", shifts=True)
                yield self.claim(f"calibration: mean {title} over the rival's", found, f"≤ {bar:.2f}", le, bar, other)
            least = self.compared(name, single, "ratio", shifts=True, ours=ORACLE)
            if least is not None and least.value > 0.0:
                claim = f"calibration: mean {title} of the truth itself over the rival's"
                yield self.claim(claim, least, FLOOR, against=single)


def claims(scores: Scores, machine: str) -> list[Claim]:
    """Return every claim with its bar: about the mean of all domains that were scored, and for each of them."""
    judges = [Judge(scores, domain, machine) for domain in scores if TEST.name in scores[domain]]
    rows: list[Claim] = []
    if len(judges) > 1:
        overall = Overall(judges, machine)
        for part in (overall.accuracy, overall.calibration, overall.joint, overall.where, overall.intervals):
            rows += part()
    for judge in judges:
        for part in (judge.accuracy, judge.calibration, judge.joint, judge.where, judge.why, judge.intervals):
            rows += part()
    return rows
