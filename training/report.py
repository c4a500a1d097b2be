"""Tables of results: means over patients with bootstrap intervals, paired differences, and where they are kept."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from entrust.metrics import Estimate, Statistic, bootstrap, patient_aurc, patient_mean

Scores = list[dict[str, Any]]

COMPLETE = "ct+pet+t1"

CROSS_VALIDATED = "entrust"
"""The method of the paired and per-patient tables: as many iterations as the baseline."""

COLUMNS: tuple[tuple[str, str], ...] = (
    ("dice", "Dice"),
    ("ece", "ECE, foreground"),
    ("brier", "Brier"),
    ("nll", "NLL, nats"),
    ("error_auroc", "error AUROC"),
    ("volume_crps_ml", "volume CRPS, ml"),
)

RIVALS: tuple[tuple[str, str], ...] = (
    ("unet-ce", "early-fusion U-Net"),
    ("unet-ce+temperature", "early-fusion U-Net + temperature"),
    ("unet-dicece", "early-fusion U-Net, Dice loss"),
    ("unet-dicece+temperature", "early-fusion U-Net, Dice loss + temperature"),
    ("ensemble", "five early-fusion U-Nets"),
    ("ensemble+temperature", "five early-fusion U-Nets + temperature"),
)
METHODS: tuple[tuple[str, str], ...] = (
    *RIVALS,
    ("entrust, uncalibrated", "EnTrust, first stage, before the calibration head"),
    ("entrust", "EnTrust, first stage"),
    ("entrust+conflict, uncalibrated", "EnTrust, before the calibration head"),
    ("entrust+conflict", "EnTrust"),
)


def write_scores(path: Path, scores: Iterable[Mapping[str, Any]]) -> None:
    """Write scores."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(scores), indent=1) + "\n")


def load_scores(path: Path) -> Scores:
    """Read what :func:`write_scores` wrote."""
    scores: Scores = json.loads(path.read_text())
    return scores


def read_scores(folder: Path) -> Scores:
    """Read the scores of all folds."""
    return [score for path in sorted(folder.glob("fold*/scores.json")) for score in load_scores(path)]


def select(scores: Scores, method: str, available: str = COMPLETE) -> Scores:
    """Return the scores of a method on cases with these modalities, in order of patient."""
    chosen = [s for s in scores if s["method"] == method and s["available"] == available]
    return sorted(chosen, key=lambda s: str(s["patient"]))


def column(scores: Scores, name: str) -> np.ndarray:
    """Return one number per patient."""
    return np.asarray([s[name] for s in scores], dtype=float)


def mean_of(scores: Scores, name: str) -> Estimate:
    """Return the mean over patients; patients without the number are left out."""
    values = column(scores, name)
    return bootstrap(patient_mean(values[np.isfinite(values)]))


def case_aurc(scores: Scores) -> Statistic:
    """Return the area under the risk–coverage curve with risk 1 − Dice."""
    return patient_aurc(column(scores, "confidence"), 1.0 - column(scores, "dice"))


def coverage(scores: Scores) -> Statistic:
    """Return the share of patients whose volume interval holds the reference volume."""
    low, high = column(scores, "interval_low_ml"), column(scores, "interval_high_ml")
    truth = column(scores, "truth_ml")
    return patient_mean(((low <= truth) & (truth <= high)).astype(float))


def show(estimate: Estimate) -> str:
    """Write an estimate as ``value [low, high]``."""
    digits = 3 if abs(estimate.value) < 10 else 0
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def numbers(estimate: Estimate) -> dict[str, float]:
    """Return an estimate under the keys that released weights have."""
    return {"mean": estimate.value, "low": estimate.low, "high": estimate.high}


def table(scores: Scores) -> str:
    """Return the main table in Markdown."""
    head = ["method", *(title for _, title in COLUMNS), "AURC", "coverage of the 90 % volume interval"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method, title in METHODS:
        chosen = select(scores, method)
        if not chosen:
            continue
        cells = [title, *(show(mean_of(chosen, name)) for name, _ in COLUMNS), show(bootstrap(case_aurc(chosen)))]
        has_interval = np.isfinite(column(chosen, "interval_low_ml")).all()
        cells.append(show(bootstrap(coverage(chosen))) if has_interval else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(scores: Scores, theirs: str) -> dict[str, Estimate]:
    """Return EnTrust minus a rival, paired by patient."""
    ours, rival = select(scores, CROSS_VALIDATED), select(scores, theirs)
    return {
        name: bootstrap(patient_mean(column(ours, name)) - patient_mean(column(rival, name)))
        for name in ("dice", "ece", "brier", "nll", "volume_crps_ml")
    }


def difference_table(scores: Scores) -> str:
    """Return the paired differences in Markdown."""
    lines = ["| EnTrust minus | Dice | ECE | Brier | NLL | volume CRPS, ml |", "|---|---|---|---|---|---|"]
    for rival, title in RIVALS:
        if select(scores, rival):
            lines.append(f"| {title} | " + " | ".join(show(e) for e in differences(scores, rival).values()) + " |")
    return "\n".join(lines)


def missing_table(scores: Scores) -> str:
    """Return what EnTrust says when modalities are missing, in Markdown; of the patients scored with every set."""
    lines = [
        "| modalities given | patients | Dice | ECE | mean error probability | interval width / volume | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    given = sorted({s["available"] for s in scores if s["method"] == CROSS_VALIDATED}, key=lambda a: (-a.count("+"), a))
    by_set = {available: select(scores, CROSS_VALIDATED, available) for available in given}
    shared = set.intersection(*({s["patient"] for s in chosen} for chosen in by_set.values()))
    for available in given:
        chosen = [score for score in by_set[available] if score["patient"] in shared]
        width = column(chosen, "interval_high_ml") - column(chosen, "interval_low_ml")
        median = float(np.median(width / np.maximum(column(chosen, "volume_ml"), 1.0)))
        held = coverage(chosen).value
        lines.append(
            f"| {available} | {len(chosen)} | {show(mean_of(chosen, 'dice'))} | {show(mean_of(chosen, 'ece'))} | "
            f"{show(mean_of(chosen, 'mean_error_probability'))} | {median:.2f} (median) | {held:.2f} |"
        )
    return "\n".join(lines)


def failure_table(scores: Scores) -> str:
    """Return the patients that went worst and what the service would have said, in Markdown."""
    chosen = sorted(select(scores, CROSS_VALIDATED), key=lambda s: s["dice"])
    lines = [
        "| patient | Dice | volume (90 % interval) / reference, ml | hypotheses' agreement | mean error probability |",
        "|---|---|---|---|---|",
    ]
    for s in chosen:
        lines.append(
            f"| {s['patient']} | {s['dice']:.2f} | {s['volume_ml']:.0f} ({s['interval_low_ml']:.0f}–"
            f"{s['interval_high_ml']:.0f}) / {s['truth_ml']:.0f} | {s['confidence']:.2f} | "
            f"{s['mean_error_probability']:.2f} |"
        )
    return "\n".join(lines)


def summary(scores: Scores) -> dict[str, Any]:
    """Return the numbers that travel with the released weights."""
    return {
        method: {
            **{name: numbers(mean_of(chosen, name)) for name, _ in COLUMNS},
            "aurc": numbers(bootstrap(case_aurc(chosen))),
            "patients": len(chosen),
        }
        for method, _ in METHODS
        if (chosen := select(scores, method))
    }
