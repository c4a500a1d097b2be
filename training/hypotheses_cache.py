"""Hypotheses of a run's cases, computed once and kept on disk: calibration and evaluation both need them."""

from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from entrust.conflict import probe_plan
from entrust.uncertainty import Hypotheses
from training.datasets.case import TrainingCase
from training.entrust_model import EnTrustNetworks
from training.predict import predict_hypotheses
from training.runs import Run

SEED = 0
"""Seed of the noise in every evaluation."""


def without(case: TrainingCase, indices: Iterable[int]) -> TrainingCase:
    """Return the case as if some modalities had not been acquired."""
    presence, images = case.presence.copy(), case.images.copy()
    for index in indices:
        presence[index] = False
        images[index] = 0.0
    return replace(case, presence=presence, images=images)


def hypotheses_of(run: Run, model: str, networks: EnTrustNetworks, case: TrainingCase) -> Hypotheses:
    """Return the hypotheses of a case; which modalities it has is part of its key.

    Args:
        run: Names the folder.
        model: Which of :data:`training.runs.STAGES`.
        networks: The run's fitted networks.
        case: A patient, perhaps without some modalities.
    """
    available = tuple(bool(p.any()) for p in case.presence)
    mask = "".join(str(int(a)) for a in available)
    path = run.folder / model / "hypotheses" / f"{case.name}-{mask}.npz"
    probes = probe_plan(run.task, available)
    arrays = [f.name for f in fields(Hypotheses) if f.name != "probes"]
    if path.exists():
        with np.load(path) as stored:
            return Hypotheses(probes=probes, **{name: stored[name].astype(np.float32) for name in arrays})
    found = predict_hypotheses(
        networks.enfuse,
        networks.denoiser,
        run.task,
        case,
        num_hypotheses=run.task.num_hypotheses,
        num_steps=run.task.num_steps,
        seed=SEED,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    _store(path, {name: getattr(found, name).astype(np.float16) for name in arrays})
    return found


def _store(path: Path, arrays: dict[str, np.ndarray]) -> None:
    partial = path.with_suffix(".part.npz")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    partial.replace(path)
