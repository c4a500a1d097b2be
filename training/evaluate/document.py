"""Scores of a data set as a table and as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from entrust.contract import ModelCard, Task
from entrust.errors import InvalidInputError
from entrust.metrics import bootstrap
from training import cohort
from training.evaluate.public import FURTHER, SetScores, structure_titles


def as_table(found: SetScores) -> str:
    """Return the cohort's table in Markdown: each metric with its 95 % interval over cases."""
    run = [one.score for one in found.scores.values()]
    return cohort.table({"EnTrust": [run]}, further=_further(found))


def as_heading(found: SetScores, task: Task, card: ModelCard) -> str:
    """Return whose cases and which weights a table is about, on which grid, and what it does not say."""
    counted = f"{len(found.scores)} cases"
    counted += f" ({len(found.refused)} left out)" if found.refused else ""
    grid = " × ".join(f"{spacing:g}" for spacing in reversed(task.spacing_mm))
    heading = f"{found.public.title}: {counted}; weights of {task.name} {card.version}, on their grid of {grid} mm."
    return f"{heading} {found.public.caveat}".strip()


def as_document(found: SetScores, task: Task, card: ModelCard) -> dict[str, Any]:
    """Return everything that was found, as JSON has it: a number that does not exist is not there."""
    run = [one.score for one in found.scores.values()]
    return {
        "dataset": found.public.name,
        "title": found.public.title,
        "caveat": found.public.caveat,
        "task": task.name,
        "weights": {"version": card.version, "digest": card.digest},
        "grid_mm": list(task.spacing_mm),
        "hypotheses": task.num_hypotheses,
        "steps": task.num_steps,
        "metrics": {
            name: {"title": title, **numbers}
            for name, title in {**cohort.names([[run]]), **_further(found)}.items()
            if (numbers := _estimate(run, name))
        },
        "cases": {
            name: {
                "given": list(one.given),
                "raters": one.raters,
                "confidence": round(one.score.confidence, 5),
                "numbers": {k: round(float(v), 5) for k, v in one.score.numbers.items() if np.isfinite(v)},
            }
            for name, one in found.scores.items()
        },
        "refused": dict(found.refused),
        "unlabelled": len(found.unlabelled),
    }


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write the JSON; its folder is made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError("The results cannot be written there.", fix="Give --out a file that can be.") from error


def _further(found: SetScores) -> dict[str, str]:
    return structure_titles(found.public.task) | FURTHER


def _estimate(run: cohort.Run, name: str) -> dict[str, float]:
    """Return a metric with its interval; without one where too few cases have it; nothing where none has."""
    found = cohort.statistic(run, name)
    if found is None or not np.isfinite(found.value):
        return {}
    try:
        estimate = bootstrap(found)
    except InvalidInputError:
        return {"value": round(found.value, 5)}
    return {key: round(getattr(estimate, key), 5) for key in ("value", "low", "high")}
