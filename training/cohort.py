"""Tables of a cohort from its cases' scores: every metric with its interval, paired comparisons, floors.

A method is scored on each patient, once for each training seed. The oracle, scored like a method, is a column of every
table: the floor that no method gets below in expectation.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from entrust import metrics
from entrust.errors import InvalidInputError
from entrust.metrics import Domain, Estimate, Statistic
from training.scorecard import CaseScore

Run = Sequence[CaseScore]
"""One score per patient, the same patients in the same order in every run."""

Method = Sequence[Run]
"""One run per training seed; a single one for what was not trained."""

CALIBRATION: Mapping[str, str] = {
    "ece": "ECE",
    "ace": "ACE",
    "brier": "Brier",
    "nll": "NLL, nats",
    "ece_to_truth": "ECE to p*",
    "probability_error": "error of p",
    "kl": "KL to p*, nats",
}

CONFLICT: Mapping[str, str] = {
    "conflict_auroc": "conflict AUROC",
    "conflict_aupr": "conflict AUPR",
    "conflict_best_dice": "conflict Dice, best threshold",
    "prevalence": "conflict prevalence",
}

POOLED: Mapping[str, str] = {
    **{f"micro_ece.{name}": f"ECE, {name}, micro" for name in Domain},
    "micro_error_auroc": "error AUROC, foreground, micro",
    "aurc": "AURC",
    "excess_aurc": "excess AURC",
    "augrc": "AUGRC",
}
"""Those that are no mean of a number per patient."""

TITLES: Mapping[str, str] = {
    "dice": "Dice",
    "hd95_mm": "HD95, mm",
    **{f"{key}.{name}": f"{title}, {name}" for name in Domain for key, title in CALIBRATION.items()},
    "ged": "GED",
    "mode_frequency_error": "mode frequency error",
    "coherence": "coherence",
    "slice_coherence": "coherence, slice to slice",
    "joint_state": "joint state, several conflicts",
    "volume_crps_ml": "volume CRPS, ml",
    "covered": "coverage",
    "interval_score_ml": "interval score, ml",
    "error_auroc": "error AUROC, foreground",
    "error_aupr": "error AUPR, foreground",
    "error_overlap": "uncertainty–error overlap, foreground",
    "conflict_dice": "conflict Dice",
    "pointing": "pointing game",
    "attribution": "attribution",
    **POOLED,
}
"""Name → title of what every cohort has, in order; the kinds of negatives of a conflict come on top."""

Kind = Literal["difference", "ratio"]

NOTHING = "–"
"""In the cell of a metric that a method does not have."""


def names(methods: Sequence[Method]) -> dict[str, str]:
    """Return name → title of every metric that any method has, the conflict's by domain and kind of negatives last."""
    found = {name for method in methods for run in method for score in run for name in score.numbers}
    conflict = {
        f"{key}.{place}": f"{title}, {place}"
        for place in sorted({name.partition(".")[2] for name in found if name.partition(".")[0] in CONFLICT})
        for key, title in CONFLICT.items()
    }
    return {name: title for name, title in {**TITLES, **conflict}.items() if name in found or name in POOLED}


def column(run: Run, name: str) -> Float[np.ndarray, "n"]:
    """Return one number per patient; nan for those to whom the metric does not apply."""
    return np.array([score.numbers.get(name, np.nan) for score in run])


def statistic(run: Run, name: str) -> Statistic | None:
    """Return a metric of a run; None where it applies to no patient."""
    if name in POOLED:
        return pooled(run, name)
    values = column(run, name)
    applies = np.isfinite(values)
    return metrics.patient_mean(values, applies) if applies.any() else None


def pooled(run: Run, name: str) -> Statistic:
    """Return one of the :data:`POOLED` metrics of a run."""
    if name.startswith("micro_ece."):
        domain = Domain(name.partition(".")[2])
        return metrics.pooled_reliability([s.diagrams[domain] for s in run], lambda d: d.expected_error)
    if name == "micro_error_auroc":
        return metrics.pooled_detection([s.errors for s in run], lambda c: c.auroc)
    area = {
        "aurc": metrics.patient_aurc,
        "excess_aurc": metrics.patient_excess_aurc,
        "augrc": metrics.patient_augrc,
    }[name]
    return area(np.array([s.confidence for s in run]), 1.0 - column(run, "dice"))


def comparison(
    ours: Method,
    theirs: Method,
    name: str,
    kind: Kind = "difference",
    *,
    floor: Run | None = None,
    num: int = 10_000,
) -> Estimate | None:
    """Return our metric minus, or divided by, theirs, over the patients that have it on all sides; None if none has.

    Args:
        ours: Our runs.
        theirs: As many, paired in order, or a single one for all of ours.
        name: A metric.
        kind: ``difference`` (null 0) or ``ratio`` (null 1).
        floor: The oracle's scores, taken from both sides: a ratio is then that of what could be had.
        num: Resamples.
    """
    rivals = list(theirs) * len(ours) if len(theirs) == 1 else theirs
    floors = [] if floor is None else [floor]
    paired = []
    for mine, other in zip(ours, rivals, strict=True):
        found = _paired([mine, other, *floors], name)
        if found is None:
            return None
        a, b, *least = found
        if least:
            a, b = a - least[0], b - least[0]
        paired.append(a - b if kind == "difference" else a / b)
    return metrics.bootstrap(paired, null=0.0 if kind == "difference" else 1.0, num=num)


def _paired(runs: Sequence[Run], name: str) -> list[Statistic] | None:
    if name in POOLED:
        areas = [pooled(run, name) for run in runs]
        return areas if np.isfinite([s.value for s in areas]).all() else None
    values = [column(run, name) for run in runs]
    common = np.asarray(np.isfinite(values).all(axis=0))
    return [metrics.patient_mean(v, common) for v in values] if common.any() else None


def table(methods: Mapping[str, Method], num: int = 10_000, further: Mapping[str, str] | None = None) -> str:
    """Return every metric of every method with its 95 % interval, in Markdown; what no method has is left out.

    Args:
        methods: Title → its runs; of phantoms, give the oracle as one of them.
        num: Resamples.
        further: Name → title of metrics that this cohort has beside the usual ones.
    """
    lines = ["| metric | " + " | ".join(methods) + " |", "|" + "---|" * (len(methods) + 1)]
    for name, title in {**names(list(methods.values())), **(further or {})}.items():
        cells = [_show([statistic(run, name) for run in method], num) for method in methods.values()]
        if any(cell != NOTHING for cell in cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _show(by_seed: Sequence[Statistic | None], num: int) -> str:
    """Write value and interval; the value alone where too few patients have it for an interval."""
    found = [s for s in by_seed if s is not None and np.isfinite(s.value)]
    if len(found) < len(by_seed):
        return NOTHING
    try:
        estimate = metrics.bootstrap(found, num=num)
    except InvalidInputError:
        return f"{np.mean([s.value for s in found]):.3f}"
    spread = "" if estimate.seed_spread is None else f" ± {estimate.seed_spread:.3f}"
    return f"{estimate.value:.3f}{spread} [{estimate.low:.3f}, {estimate.high:.3f}]"
