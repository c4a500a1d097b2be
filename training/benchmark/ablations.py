"""EnTrust with one idea taken away: what each of them is worth.

An ablation changes the numbers of the fit, or puts a module without the idea in the place of one that has it. The
networks themselves know nothing of it, and everything else of the fit (both stages, batches, seeds) stays the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from entrust.networks.enfuse import FusionScale
from entrust.networks.segdiff import Denoiser
from training.config import FitConfig
from training.entrust_model import EnTrustNetworks


@dataclass(frozen=True)
class Ablation:
    """One idea taken away.

    Attributes:
        title: In tables.
        config: Changes the numbers of the fit.
        networks: Changes the fresh networks, in place.
    """

    title: str
    config: Callable[[FitConfig], FitConfig] = lambda config: config
    networks: Callable[[EnTrustNetworks], None] = lambda _: None


class Silence(nn.Module):
    """F_cf that says nothing, in the place of ``describe``; G goes on being learned.

    Args:
        channels: Of F_cf.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros [n, q, h, w] for any [n, f, h, w]."""
        return x.new_zeros(x.shape[0], self.channels, *x.shape[2:])


class FixedGate(nn.Module):
    """G* in the place of the learned gate: the parameter-free conflict is both the map and what lets F_cf through."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of G*, the last of the gate's input channels, [n, 1, h, w]."""
        return torch.logit(x[:, -1:].float(), eps=1e-4)


class WithoutMemory(Denoiser):
    """A denoiser that never sees its earlier answer."""

    def forward(self, x: Tensor, clean: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """Predict logits; see :class:`entrust.networks.segdiff.Denoiser`."""
        return super().forward(x, torch.zeros_like(clean), t, conditioning)


def fusion_scales(networks: EnTrustNetworks) -> list[FusionScale]:
    """Return EnFuse's fusions, finest first."""
    return [scale for scale in networks.enfuse.fusion if isinstance(scale, FusionScale)]


def _silence(networks: EnTrustNetworks) -> None:
    for scale in fusion_scales(networks):
        scale.describe = Silence(scale.config.conflict)  # type: ignore[assignment]


def _fix_gate(networks: EnTrustNetworks) -> None:
    for scale in fusion_scales(networks):
        scale.gate = FixedGate()  # type: ignore[assignment]


def _forget(networks: EnTrustNetworks) -> None:
    networks.denoiser = WithoutMemory(networks.denoiser.config)


ABLATIONS: Mapping[str, Ablation] = {
    "entrust-without-features": Ablation("without F_cf", networks=_silence),
    "entrust-without-gate": Ablation(
        "without the learned gate: G* in its place",
        config=lambda c: replace(c, losses=replace(c.losses, conflict=0.0)),
        networks=_fix_gate,
    ),
    "entrust-without-covariance": Ablation(
        "without cross-covariance", config=lambda c: replace(c, losses=replace(c.losses, cross_covariance=0.0))
    ),
    "entrust-without-self": Ablation(
        "without self-conditioning", config=lambda c: replace(c, self_conditioning=0.0), networks=_forget
    ),
}
"""By the name of the method that is fitted; the first stage of each is the same name with ``-base``."""
