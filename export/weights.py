"""Where the exporter takes its networks from."""

from pathlib import Path

from entrust.contract import TASKS, Task, get_task
from entrust.errors import NotFoundError
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


def choose_weights(task: str, weights: Path | None, *, untrained: bool) -> list[tuple[Task, Path | None]]:
    """Return the tasks to export, each with its weights.

    Args:
        task: Name of the task; every task that has weights when empty.
        weights: A released safetensors file, or the folder that holds them; the project's own folder when not given.
        untrained: Random weights, which have no file.

    Raises:
        NotFoundError: No such task, or no weights of any.
    """
    chosen = [get_task(task)] if task else list(TASKS.values())
    if untrained:
        return [(one, None) for one in chosen]
    if weights is not None and weights.suffix == ".safetensors":
        return [(get_task(task or weights.stem), weights)]
    files = {one.name: (weights or PROJECT_ROOT / "weights") / released_path(one).name for one in chosen}
    found: list[tuple[Task, Path | None]] = [(one, files[one.name]) for one in chosen if files[one.name].is_file()]
    if not found:
        raise NotFoundError(
            f"There are no released weights of {task or 'any task'}.",
            fix="Train the task first, or name the folder of <task>.safetensors.",
        )
    return found
