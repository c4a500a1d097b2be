"""Batches ahead of time: processes draw and augment them while the GPU works on the one before."""

import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from training.augment import Batch

MAX_WORKERS = 8


def workers_for(where: torch.device) -> int:
    """Return how many processes should draw: none beside a CPU that has the network to compute."""
    return 0 if where.type == "cpu" else max(1, min(MAX_WORKERS, (os.cpu_count() or 1) - 2))


class _Iterations(Dataset[dict[str, np.ndarray]]):
    """The batches of a source by iteration, as arrays: those go through a pipe and need no shared memory."""

    def __init__(self, source: Callable[[int], Batch]) -> None:
        self.source = source

    def __getitem__(self, iteration: int) -> dict[str, np.ndarray]:
        batch = self.source(iteration)
        return {field.name: getattr(batch, field.name).numpy() for field in fields(Batch)}


def _unchanged(arrays: Any) -> Any:
    return arrays


def batches(source: Callable[[int], Batch], iterations: range, workers: int) -> Iterator[Batch]:
    """Yield the batches of some iterations in order; they are the same for any number of workers.

    Args:
        source: A pure function of the iteration.
        iterations: Which ones.
        workers: Processes; 0 draws in this one, when asked.
    """
    if not workers:
        yield from map(source, iterations)
        return
    loader = DataLoader(
        _Iterations(source),
        batch_size=None,
        sampler=iterations,
        num_workers=workers,
        collate_fn=_unchanged,
        multiprocessing_context="fork",
    )
    for arrays in loader:
        yield Batch(**{name: torch.from_numpy(array) for name, array in arrays.items()})
