"""Networks of odd weights for tests: nothing is at its initial value, so nothing holds by accident of zeros."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from entrust.networks.enfuse import EnFuse, EnFuseConfig, FusedScale

Network = TypeVar("Network", bound=nn.Module)

SMALL_ENFUSE = EnFuseConfig(trunk=(8, 12, 16, 20), shared=6, cues=4, conflict=4, conditioning=8)


def shaken(module: Network, seed: int = 0) -> Network:
    """Return the module in evaluation mode with every parameter and running statistic moved at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.1 * torch.randn(buffer.shape, generator=generator)
            elif name.endswith("running_var"):
                buffer *= 0.5 + torch.rand(buffer.shape, generator=generator)
    return module.eval()


def small_enfuse(seed: int = 0) -> EnFuse:
    """Return a small EnFuse of odd weights in evaluation mode."""
    torch.manual_seed(seed)
    return shaken(EnFuse(SMALL_ENFUSE), seed)


def fused_scale(n: int = 2, m: int = 3, size: int = 8, **parts: Tensor) -> FusedScale:
    """Return one scale of EnFuse with all modalities present and all maps zero, except the given ``parts``."""
    zeros = {
        "shared_anatomy": torch.zeros(n, 2, size, size),
        "modality_cues": torch.zeros(n, m, 2, size, size),
        "conflict_features": torch.zeros(n, 2, size, size),
        "conflict_logit": torch.zeros(n, 1, size, size),
        "agreement": torch.zeros(n, 1, size, size),
        "pair_conflict": torch.zeros(n, m * (m - 1) // 2, size, size),
        "unimodal_logits": torch.zeros(n, m, 2, size, size),
        "shared_codes": torch.zeros(n, m, 2, size, size),
        "presence": torch.ones(n, m, 1, size, size),
    }
    return FusedScale(**(zeros | parts))
