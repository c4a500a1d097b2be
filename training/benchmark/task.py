"""The benchmark's tasks: those that are served, on the world's grid and with the benchmark's sampler."""

from dataclasses import replace

from entrust.contract import Task, get_task
from training.benchmark.plan import FEW_STEP_NOISE, OFFSETS, SCHEDULE
from training.datasets.phantoms.world.case import get_domain


def world_task(domain: str) -> Task:
    """Return the task of a domain as its networks are fitted and asked.

    Where a served task was fitted on patients (oncology), its grid and context differ from the world's.
    """
    world = get_domain(domain)
    return replace(
        get_task(domain),
        modalities=tuple(channel.role for channel in world.channels),
        spacing_mm=world.spacing_mm,
        context_offsets=OFFSETS,
        schedule=SCHEDULE,
        noise=FEW_STEP_NOISE,
        num_steps=2,
        eta=0.0,
    )
