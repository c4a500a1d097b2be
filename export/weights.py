"""Where the exporter takes its networks from."""

from pathlib import Path

from entrust.contract import Task
from entrust.networks.release import ServedNetworks, load_release, untrained_networks

PROJECT_ROOT = Path(__file__).resolve().parents[1]


def released_path(task: Task) -> Path:
    """Return where the project keeps the released weights of a task."""
    return PROJECT_ROOT / "weights" / f"{task.name}.safetensors"


def load_networks(task: Task, path: Path | None) -> ServedNetworks:
    """Return the networks to export.

    Args:
        task: The task.
        path: A released safetensors file with its JSON beside it; ``None`` for untrained networks (seed 0).

    Raises:
        NotFoundError: A file is missing.
        InvalidInputError: The files do not fit the task.
    """
    return untrained_networks(task) if path is None else load_release(task, path)
