"""Tables, bars and plots of the benchmark, from kept scores alone."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from entrust import metrics
from entrust.errors import InvalidInputError
from entrust.metrics import Estimate, Statistic
from training.benchmark.plan import ENTRUST
from training.benchmark.plots import plot_all
from training.benchmark.scores import MethodScores, load
from training.cohort import statistic
from training.datasets.phantoms.world.case import DOMAINS
from training.datasets.phantoms.world.splits import SPLITS, TEST

BEGIN, END = "<!-- science: written by `make bench-science` -->", "<!-- science: end -->"
COMMAND = "make bench-science"
NUM = 2000
"""Resamples of the bootstrap."""

Scores = Mapping[str, Mapping[str, Mapping[int, Mapping[str, MethodScores]]]]
"""Domain → split → seed → line → scores."""

COLUMNS: Mapping[str, str] = {
    "dice": "Dice",
    "ece.foreground": "ECE",
    "brier.foreground": "Brier",
    "nll.foreground": "NLL",
    "probability_error.foreground": "∣p − p*∣",
    "ged": "GED",
    "mode_frequency_error": "mode freq.",
    "coherence": "coherence",
    "joint_state": "joint state",
    "volume_crps_ml": "CRPS, ml",
    "covered": "coverage",
    "error_auroc": "error AUROC",
    "aurc": "AURC",
}
SINGLE = ("unet-ce", "unet-dicece", "mc-dropout", "tta", "evidential", "evidential-fusion", "ssn", "decoders")
"""Rivals of one model."""
NEGATIVES = ("boundary", "complementary", "low-contrast", "noise")
OURS = f"{ENTRUST}+head"


def read(folder: Path) -> Scores:
    """Read all kept scores."""
    found: dict[str, dict[str, dict[int, Mapping[str, MethodScores]]]] = {}
    for domain in DOMAINS:
        for split in SPLITS:
            for path in sorted(folder.glob(f"{domain}-{split}-[0-9]*.npz")):
                seed = int(path.stem.rpartition("-")[2])
                found.setdefault(domain, {}).setdefault(split, {})[seed] = load(path)
    return found


def estimate(by_seed: list[Statistic | None], null: float = 0.0) -> Estimate | None:
    """Return a statistic of several seeds with its interval; None where it cannot be had."""
    usable = [s for s in by_seed if s is not None and np.isfinite(s.value)]
    if not usable or len(usable) < len(by_seed):
        return None
    try:
        return metrics.bootstrap(usable, null=null, num=NUM)
    except InvalidInputError:
        return None


def number(scores: Scores, domain: str, split: str, line: str, name: str) -> Estimate | None:
    """Return a line's metric on a split of a domain."""
    seeds = scores.get(domain, {}).get(split, {})
    runs = [found[line].run for found in seeds.values() if line in found]
    return estimate([statistic(run, name) for run in runs]) if runs else None


def lines_of(scores: Scores, domain: str, split: str) -> list[str]:
    """Return the lines of a table that every seed has, the oracle first."""
    seeds = scores.get(domain, {}).get(split, {})
    return [line for line in next(iter(seeds.values()), {}) if all(line in s for s in seeds.values())]


def show(value: Estimate | None) -> str:
    """Write an estimate in a cell."""
    return "–" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def domain_table(scores: Scores, domain: str, split: str = TEST.name) -> str:
    """Return one line a method in Markdown."""
    rows = ["| method | " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    for line in lines_of(scores, domain, split):
        cells = [number(scores, domain, split, line, name) for name in COLUMNS]
        short = ["–" if c is None else f"{c.value:.3f}" for c in cells]
        short[0] = show(cells[0])
        rows.append(f"| {line} | " + " | ".join(short) + " |")
    return "\n".join(rows)


def shift_table(scores: Scores, domain: str, name: str, lines: tuple[str, ...]) -> str:
    """Return a metric on every split, in Markdown."""
    splits = [split for split in SPLITS if split in scores.get(domain, {})]
    rows = [f"| {COLUMNS.get(name, name)} | " + " | ".join(splits) + " |", "|" + "---|" * (len(splits) + 1)]
    for line in lines:
        cells = [number(scores, domain, split, line, name) for split in splits]
        rows.append(f"| {line} | " + " | ".join("–" if c is None else f"{c.value:.3f}" for c in cells) + " |")
    return "\n".join(rows)


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


Check = Callable[[float], bool]


def _compare(scores: Scores, domain: str, splits: list[str], ours: str, theirs: str, name: str, kind: str) -> Estimate | None:
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
            common = np.isfinite(values).all(axis=0)
            if not common.any():
                return None
            a, b = (metrics.patient_mean(v, common) for v in values)
        if a is None or b is None:
            return None
        paired.append(a - b if kind == "difference" else a / b)
    return estimate(paired, null=0.0 if kind == "difference" else 1.0)


def best(scores: Scores, domain: str, name: str, lines: list[str], *, highest: bool) -> str | None:
    """Return the line that is best in a metric on the test split."""
    values = {line: number(scores, domain, TEST.name, line, name) for line in lines}
    known = {line: v.value for line, v in values.items() if v is not None}
    if not known:
        return None
    return max(known, key=lambda k: known[k]) if highest else min(known, key=lambda k: known[k])


def claims(scores: Scores, machine: str) -> list[Claim]:
    """Return every claim with its bar, for every domain that was scored."""
    rows: list[Claim] = []
    for domain in scores:
        if TEST.name not in scores[domain]:
            continue
        seeds = len(scores[domain][TEST.name])
        present = lines_of(scores, domain, TEST.name)
        every = [split for split in SPLITS if split in scores[domain]]

        def add(claim: str, found: Estimate | None, bar: str, met: Check, against: str = "", task: str = domain, n: int = seeds) -> None:
            known = found is not None
            rows.append(
                Claim(
                    claim,
                    task,
                    round(found.value, 4) if known else None,
                    round(found.low, 4) if known else None,
                    round(found.high, 4) if known else None,
                    bar,
                    bool(met(found.value)) if known else None,
                    against,
                    n,
                    COMMAND,
                    machine,
                )
            )

        def compared(name: str, theirs: str | None, kind: str, splits: list[str] | None = None, ours: str = OURS) -> Estimate | None:
            return None if theirs is None else _compare(scores, domain, splits or [TEST.name], ours, theirs, name, kind)

        singles = [line for line in present if line.partition("+")[0] in SINGLE and line.endswith("+raw")]
        tempered = [line for line in present if line.partition("+")[0] in SINGLE and line.endswith("+temperature")]
        rival = best(scores, domain, "dice", singles, highest=True)
        add("accuracy: Dice minus the best single rival", compared("dice", rival, "difference"), "≥ 0", lambda v: v >= 0, rival or "")
        add("accuracy: Dice minus the ensemble", compared("dice", "ensemble+raw", "difference"), "≥ −.005", lambda v: v >= -0.005, "ensemble+raw")
        rival = best(scores, domain, "ece.foreground", tempered, highest=False)
        add("calibration: ECE over the strongest single rival with temperature, all splits", compared("ece.foreground", rival, "ratio", every), "≤ .60", lambda v: v <= 0.6, rival or "")
        add("calibration: ECE over the ensemble with pooled temperature, all splits", compared("ece.foreground", "ensemble+temperature", "ratio", every), "≤ 1.0", lambda v: v <= 1.0, "ensemble+temperature")
        for name, title in (("brier.foreground", "Brier"), ("nll.foreground", "NLL")):
            add(f"calibration: {title} over the strongest single rival's", compared(name, rival, "ratio", every), "≤ 1.0", lambda v: v <= 1.0, rival or "")
        add("joint: GED over the ensemble's", compared("ged", "ensemble+raw", "ratio"), "≤ .75", lambda v: v <= 0.75, "ensemble+raw")
        add("joint: GED over SSN's", compared("ged", "ssn+raw", "ratio"), "≤ 1.0", lambda v: v <= 1.0, "ssn+raw")
        nested = best(scores, domain, "joint_state", [line for line in present if line.endswith("+nested")], highest=False)
        for other in ("ssn+raw", nested or "unet-ce+nested"):
            add("joint: joint-state error minus the rival's", compared("joint_state", other, "difference"), "< 0", lambda v: v < 0, other)
            add("joint: volume CRPS minus the rival's, ml", compared("volume_crps_ml", other, "difference"), "< 0", lambda v: v < 0, other)
        add("joint: coherence", number(scores, domain, TEST.name, OURS, "coherence"), "≥ .9", lambda v: v >= 0.9)
        add("joint: coherence of the truth's own draws", number(scores, domain, TEST.name, "oracle", "coherence"), "(floor)", lambda v: True)
        add("joint: mode frequency error", number(scores, domain, TEST.name, OURS, "mode_frequency_error"), "≤ .10", lambda v: v <= 0.10)
        add("where: error AUROC minus the ensemble's", compared("error_auroc", "ensemble+temperature", "difference"), "≥ 0", lambda v: v >= 0, "ensemble+temperature")
        add("where: AURC minus the ensemble's", compared("aurc", "ensemble+raw", "difference"), "≤ 0", lambda v: v <= 0, "ensemble+raw")
        for kind in NEGATIVES:
            name = f"conflict_aupr.against {kind}"
            add(f"why: AUPR of G over that of entropy, against {kind}", compared(name, f"{ENTRUST}+entropy", "ratio"), "≥ 2", lambda v: v >= 2, f"{ENTRUST}+entropy")
        seen = number(scores, domain, TEST.name, OURS, "attribution")
        add("why: attribution of conflicts to a pair", seen, "≥ .9", lambda v: v >= 0.9)
        unseen = number(scores, domain, "shift-conflict", OURS, "conflict_aupr.off boundary")
        known = number(scores, domain, TEST.name, OURS, "conflict_aupr.off boundary")
        if unseen is not None and known is not None:
            add("why: AUPR of G on the unseen type and pair", unseen, f"≥ .8 × {known.value:.3f}", lambda v: v >= 0.8 * known.value)
        add("intervals: coverage of 90 % volume intervals", number(scores, domain, TEST.name, OURS, "covered"), ".87 to .93", lambda v: 0.87 <= v <= 0.93)
    return rows


def claims_table(rows: list[Claim]) -> str:
    """Return the claims in Markdown."""
    lines = ["| task | claim | measured | bar | met | against |", "|---|---|---|---|---|---|"]
    for r in rows:
        value = "–" if r.value is None else f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]"
        met = "" if r.bar == "(floor)" else {True: "yes", False: "**no**", None: "not measured"}[r.met]
        lines.append(f"| {r.task} | {r.claim} | {value} | {r.bar} | {met} | {r.against} |")
    return "\n".join(lines)


def write_report(folder: Path, docs: Path) -> str:
    """Print every table, and write it into ``benchmarks.md`` with plots and ``science.json``.

    Args:
        folder: Kept scores.
        docs: The documentation's folder.
    """
    scores = read(folder)
    facts = folder / "machine.txt"
    machine = facts.read_text().strip() if facts.exists() else platform.processor() or platform.machine()
    rows = claims(scores, machine)
    parts = [claims_table(rows)]
    for domain, splits in scores.items():
        if TEST.name in splits:
            found = next(iter(splits[TEST.name].values()))
            cases = len(found["oracle"].confidence)
            parts.append(f"### {DOMAINS[domain].title}\n\n{cases} test cases, seeds: {len(splits[TEST.name])}.\n\n" + domain_table(scores, domain))
            key = (OURS, f"{ENTRUST}+raw", "unet-ce+temperature", "ensemble+temperature", "ssn+temperature")
            lines = tuple(line for line in key if line in found)
            parts.append(shift_table(scores, domain, "ece.foreground", lines))
            parts.append(shift_table(scores, domain, "dice", lines))
    text = "\n\n".join(parts)
    page = docs / "benchmarks.md"
    before = page.read_text()
    if BEGIN in before:
        head, _, rest = before.partition(BEGIN)
        page.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    (docs / "benchmarks" / "science.json").write_text(json.dumps([asdict(r) for r in rows], indent=1, ensure_ascii=False) + "\n")
    plot_all(scores, docs / "images")
    return text
