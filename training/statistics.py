"""Statistics of batch normalisation, measured after a fit on what the network will be shown: whole planes.

During a fit they are a running mean over crops and whole planes, of weights that still move. A scan is whole planes
alone, and a network whose statistics are another mixture's draws too small and takes shading for tissue.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from training.augment import Batch
from training.fit import LossFunction, device, to_device


class _Asked(nn.Module):
    """What is called with each batch, as a module whose only child is the part that is measured."""

    def __init__(self, part: nn.Module, ask: Callable[[Batch], object]) -> None:
        super().__init__()
        self.part = part
        self.forward = ask


def measure_statistics(
    part: nn.Module, module: nn.Module, loss: LossFunction, source: Callable[[int], Batch], num: int, seed: int
) -> None:
    """Replace the statistics of a fitted network's normalisation by their plain mean over fresh batches.

    Args:
        part: Whose statistics: the module, or what of it learned.
        module: In evaluation mode, on the device of :func:`training.fit.device`; only statistics change.
        loss: That it was fitted with.
        source: Whole planes of training cases.
        num: Batches.
        seed: Of noise and dropout.
    """
    where = device()
    torch.manual_seed(seed)
    generator = torch.Generator(device=where).manual_seed(seed)

    def ask(batch: Batch) -> None:
        loss(module, to_device(batch, where), 1.0, generator)

    update_bn(map(source, range(num)), _Asked(part, ask).eval())
