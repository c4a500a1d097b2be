"""The one training loop: seeded, resumable, bf16 autocast on CPUs, with a running mean of the weights.

The proposal and its baselines differ in module and loss alone.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from training.augment import Batch
from training.config import FitConfig
from training.prefetch import batches, workers_for

LossFunction = Callable[[nn.Module, Batch, float, torch.Generator], dict[str, Tensor]]
"""(module, batch, progress in [0, 1], generator) → named losses; ``total`` is minimised."""


CHECKPOINT = "checkpoint.pt"


class Progress(Protocol):
    """Hears how the fit goes."""

    def __call__(self, iteration: int, losses: dict[str, float], seconds: float) -> None:
        """Receive the mean losses since the last call and the seconds per iteration."""


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_device(batch: Batch, where: torch.device) -> Batch:
    """Move a batch."""
    return Batch(**{name: value.to(where, non_blocking=True) for name, value in vars(batch).items()})


def fit(
    module: nn.Module,
    loss: LossFunction,
    make_source: Callable[[], Callable[[int], Batch]],
    config: FitConfig,
    folder: Path,
    progress: Progress | None = None,
    finish: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """Fit a module, or go on where an interrupted run stopped.

    Args:
        module: Freshly initialised module; its weights are overwritten from the checkpoint when one exists.
        loss: Named losses of a batch.
        make_source: Returns the batches by iteration; asked only when there is something left to fit.
        config: The run.
        folder: Where ``checkpoint.pt`` is kept; the run must be the same as the one that wrote it. In the end it holds
            the answer alone.
        progress: Called every 50 iterations.
        finish: Called with the running mean after the last iteration; what it changes is kept.

    Returns:
        The running mean of the weights, in evaluation mode.
    """
    where = device()
    module.to(where).train()
    mean = AveragedModel(module, multi_avg_fn=None, avg_fn=_running_mean(config.ema), use_buffers=True)
    optimiser = torch.optim.AdamW(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.learning_rate, total_steps=config.iterations, pct_start=0.08, final_div_factor=100.0
    )
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, start = folder / CHECKPOINT, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=where, weights_only=True)
        if state["config"] == repr(asdict(config)):
            mean.load_state_dict(state["mean"])
            start = state["iteration"]
            if start < config.iterations:
                module.load_state_dict(state["module"])
                optimiser.load_state_dict(state["optimiser"])
                schedule.load_state_dict(state["schedule"])
    fitted: nn.Module = mean.module
    if start >= config.iterations:
        return fitted.eval()
    source = make_source()
    sums: dict[str, float] = {}
    clock = time.perf_counter()
    iterations = range(start, config.iterations)
    for iteration, drawn in zip(iterations, batches(source, iterations, workers_for(where)), strict=True):
        generator = torch.Generator(device=where).manual_seed(config.seed * 1_000_003 + iteration)
        torch.manual_seed(config.seed * 1_000_003 + iteration)  # dropout
        batch = to_device(drawn, where)
        losses = loss(module, batch, iteration / config.iterations, generator)
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        mean.update_parameters(module)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if (iteration + 1) % 50 == 0 and progress is not None:
            progress(iteration + 1, {k: v / 50 for k, v in sums.items()}, (time.perf_counter() - clock) / 50)
            sums, clock = {}, time.perf_counter()
        finished = iteration + 1 == config.iterations
        if finished and finish is not None:
            finish(fitted.eval())
        if (iteration + 1) % config.checkpoint_every == 0 or finished:
            state = {"config": repr(asdict(config)), "iteration": iteration + 1, "mean": mean.state_dict()}
            if not finished:  # what goes on needs more than what is done: four times as much
                state |= {
                    "module": module.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                }
            save_state(checkpoint, state)
    return fitted.eval()


def _running_mean(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the update of an exponential mean that starts as a plain mean."""

    def update(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        if not mean.is_floating_point():
            return value
        n = float(count)
        return mean.lerp(value, 1.0 - min(decay, (1.0 + n) / (10.0 + n)))

    return update


def save_state(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint so that a kill never leaves half a file."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)
