"""Tables and plots of the benchmark, from kept scores alone."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from entrust.metrics import Estimate
from training.benchmark import patients
from training.benchmark.claims import FLOOR, OURS, Claim, claims
from training.benchmark.kept import Scores, lines_of, number, read
from training.benchmark.plan import ENTRUST
from training.benchmark.plots import plot_all
from training.benchmark.tables import registry
from training.datasets.phantoms.world.case import DOMAINS
from training.datasets.phantoms.world.splits import SPLITS, TEST

BEGIN, END = "<!-- science: written by `make bench-science` -->", "<!-- science: end -->"
COLUMNS: Mapping[str, str] = {
    "dice": "Dice",
    "micro_ece.foreground": "ECE",
    "ece.foreground": "ECE by case",
    "ece_to_truth.foreground": "ECE to p*",
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
FURTHER: Mapping[str, str] = {
    "hd95_mm": "HD95, mm",
    "ace.foreground": "ACE",
    "kl.foreground": "KL to p*",
    "ece.image": "ECE by case, image",
    "slice_coherence": "coherence, slice to slice",
    "interval_score_ml": "interval score, ml",
    "error_aupr": "error AUPR",
    "augrc": "AUGRC",
    "conflict_aupr.off boundary": "conflict AUPR",
    "conflict_dice": "conflict Dice",
    "pointing": "pointing game",
    "attribution": "attribution",
}


def show(value: Estimate | None) -> str:
    """Write an estimate in a cell."""
    return "–" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def domain_table(scores: Scores, domain: str, columns: Mapping[str, str], split: str = TEST.name) -> str:
    """Return one line a method in Markdown, the first column with its interval."""
    rows = ["| method | " + " | ".join(columns.values()) + " |", "|" + "---|" * (len(columns) + 1)]
    for line in lines_of(scores, domain, split):
        cells = [number(scores, domain, split, line, name) for name in columns]
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


def claims_table(rows: list[Claim]) -> str:
    """Return the claims in Markdown."""
    lines = ["| task | claim | measured | bar | met | against |", "|---|---|---|---|---|---|"]
    for r in rows:
        value = "–" if r.value is None else f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]"
        met = "" if r.bar == FLOOR else {True: "yes", False: "**no**", None: "not measured"}[r.met]
        lines.append(f"| {r.task} | {r.claim} | {value} | {r.bar} | {met} | {r.against} |")
    return "\n".join(lines)


def write_report(folder: Path, docs: Path) -> str:
    """Print every table, and write it into ``benchmarks.md`` with plots and ``science.json``.

    Args:
        folder: Kept scores.
        docs: The documentation's folder.
    """
    scores, of_patients, (shared, further) = read(folder), patients.read(folder), registry.read(folder)
    machine = registry.machine_of(folder)
    rows = [*claims(scores, machine), *patients.claims(of_patients, machine), *shared]
    rows += [row for _, _, found in further for row in found]
    parts = [claims_table(rows), *patients.tables(of_patients)]
    for domain, splits in scores.items():
        if TEST.name in splits:
            found = next(iter(splits[TEST.name].values()))
            cases = len(found["oracle"].confidence)
            parts.append(
                f"### {DOMAINS[domain].title}\n\n{cases} test cases, seeds: {len(splits[TEST.name])}.\n\n"
                + domain_table(scores, domain, COLUMNS)
            )
            parts.append(domain_table(scores, domain, FURTHER))
            key = (OURS, f"{ENTRUST}+raw", "unet-ce+temperature", "ensemble+temperature", "ssn+temperature")
            lines = tuple(line for line in key if line in found)
            parts.append(shift_table(scores, domain, "micro_ece.foreground", lines))
            parts.append(shift_table(scores, domain, "dice", lines))
    for domain, told, _ in further:
        parts += [f"### {DOMAINS[domain].title}: further tables", *told]
    text = "\n\n".join(parts)
    page = docs / "benchmarks.md"
    before = page.read_text()
    if BEGIN in before:
        head, _, rest = before.partition(BEGIN)
        page.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    (docs / "benchmarks" / "science.json").write_text(
        json.dumps([asdict(r) for r in rows], indent=1, ensure_ascii=False) + "\n"
    )
    plot_all(scores, docs / "images")
    return text
