"""Evidential fusion: each modality gives masses, each is discounted by class, Dempster's rule joins them.

A mass function here has focal sets {k} and Ω alone. Its contour function is pl_k = m_k + m_Ω, which is also its
commonality of {k}; commonalities multiply under the conjunctive rule, so products of pl and of m_Ω are all it takes.

Symbols: m_k, m_Ω → ``Masses``; pl_k → ``plausibility``; β_m,k → ``reliability``; s_i → ``activation``; u_ik →
``membership``; p_i → ``prototypes``; γ_i → ``steepness``; α_i → ``strength``; K_DS → :func:`dempster_conflict`.
Source: Huang et al., arXiv 2206.11739 and 2309.05919 (contextual discounting of segmentation); Denœux 2000,
doi:10.1109/3468.833094 (the evidential layer).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import UNet, depth_to_space, space_to_depth
from training.augment import Batch
from training.baselines.draw import Draw
from training.baselines.unet import EarlyFusion, EarlyFusionConfig
from training.precision import autocast

NUM_FEATURES = 8
NUM_PROTOTYPES = 20
START_RELIABILITY = 2.0
"""Logit of β before the fit: .88."""
FLOOR = 1e-6


@dataclass
class Masses:
    """One mass function per modality and pixel; ``singletons`` and ``ignorance`` sum to 1.

    Attributes:
        singletons: m_k [b, m, c, h, w].
        ignorance: m_Ω [b, m, h, w].
    """

    singletons: Tensor
    ignorance: Tensor

    @property
    def plausibility(self) -> Tensor:
        """pl_k [b, m, c, h, w]."""
        return self.singletons + self.ignorance[:, :, None]


def dempster_conflict(masses: Masses, modalities: Sequence[int]) -> Tensor:
    """Return K_DS of some modalities, the mass that their conjunction gives to the empty set, [b, h, w].

    Taken before discounting: it says what the modalities claim, not what the fusion made of it.
    """
    chosen = list(modalities)
    classes = masses.plausibility[:, chosen].prod(dim=1)  # commonality of {k}
    everything = masses.ignorance[:, chosen].prod(dim=1)  # commonality of Ω
    supported = classes.sum(dim=1) - (classes.shape[1] - 1) * everything
    return (1.0 - supported).clamp(0.0, 1.0)


def discounted_log_plausibility(plausibility: Tensor, reliability: Tensor) -> Tensor:
    """Return Σ_m ln(1 − β + β pl): [b, m, c, h, w] and β [m, c] → [b, c, h, w]; its softmax is the fused answer."""
    beta = reliability[None, :, :, None, None]
    return (1.0 - beta + beta * plausibility).clamp_min(FLOOR).log().sum(dim=1)


class EvidentialLayer(nn.Module):
    """Features → masses, by distance to prototypes, each modality with its own.

    Args:
        num_modalities: M.
        num_classes: C.
    """

    def __init__(self, num_modalities: int, num_classes: int) -> None:
        super().__init__()
        m, i = num_modalities, NUM_PROTOTYPES
        self.prototypes = nn.Parameter(torch.randn(m, i, NUM_FEATURES))
        self.membership = nn.Parameter(torch.randn(m, i, num_classes))
        self.strength = nn.Parameter(torch.zeros(m, i))
        self.steepness = nn.Parameter(torch.full((m, i), 0.3))

    def forward(self, features: Tensor) -> Masses:
        """Map [b, m, e, h, w] to masses by Dempster's rule over the prototypes."""
        squares = features.square().sum(dim=2)[:, :, None]  # [b, m, 1, h, w]
        products = torch.einsum("bmehw,mie->bmihw", features, self.prototypes)
        norms = self.prototypes.square().sum(dim=2)[None, :, :, None, None]
        distances = (squares - 2.0 * products + norms).clamp_min(0.0)  # [b, m, i, h, w]
        strength = torch.sigmoid(self.strength)[None, :, :, None, None]
        activation = strength * torch.exp(-self.steepness.square()[None, :, :, None, None] * distances)
        membership = self.membership.softmax(dim=2)
        classes = torch.stack(  # ln of the commonality of {k}
            [
                torch.log1p(-activation * (1.0 - membership[None, :, :, k, None, None])).sum(dim=2)
                for k in range(membership.shape[2])
            ],
            dim=2,
        )  # [b, m, c, h, w]
        everything = torch.log1p(-activation).sum(dim=2)  # [b, m, h, w], never above any class
        top = classes.amax(dim=2)
        classes, everything = (classes - top[:, :, None]).exp(), (everything - top).exp()
        total = classes.sum(dim=2) - (classes.shape[2] - 1) * everything  # at least 1
        return Masses((classes - everything[:, :, None]) / total[:, :, None], everything / total)


class EvidentialFusion(nn.Module):
    """One trunk for all modalities with stem and normalisation of their own, an evidential layer, and discounting.

    Args:
        config: Sizes.
    """

    def __init__(self, config: EarlyFusionConfig) -> None:
        super().__init__()
        self.config = config
        m, width = config.num_modalities, config.widths[0]
        self.stem = nn.Conv2d(m * 8 * config.num_context, m * width, 3, padding=1, groups=m)
        self.unet = UNet(config.widths, num_domains=m, dropout=config.dropout)
        self.features = nn.Conv2d(width, 4 * NUM_FEATURES, 1)
        self.evidence = EvidentialLayer(m, config.num_classes)
        self.reliability_logit = nn.Parameter(torch.full((m, config.num_classes), START_RELIABILITY))

    @property
    def reliability(self) -> Tensor:
        """β [m, c] in (0, 1)."""
        return torch.sigmoid(self.reliability_logit)

    def forward(self, images: Tensor, presence: Tensor) -> Masses:
        """Map [b, m, z, h, w] twice to masses; a modality that is absent at a pixel knows nothing there."""
        b, m, z, h, w = images.shape
        folded = space_to_depth(torch.cat([images * presence, presence], dim=2).reshape(b, m * 2 * z, h, w))
        trunk = self.unet(self.stem(folded).reshape(b * m, -1, h // 2, w // 2))[0]
        features = depth_to_space(self.features(trunk)).reshape(b, m, NUM_FEATURES, h, w)
        with torch.autocast(images.device.type, enabled=False):  # products of many numbers near 1
            masses = self.evidence(features.float())
            singletons = masses.singletons * presence[:, :, z // 2, None]
            return Masses(singletons, (1.0 - singletons.sum(dim=2)).clamp_min(0.0))


def _masses(module: nn.Module, images: Tensor, presence: Tensor) -> tuple[Masses, Tensor]:
    """Return masses and reliability."""
    if not isinstance(module, EvidentialFusion):
        raise TypeError("this rival needs a network that answers with masses")
    with autocast(images.device.type):
        return module(images, presence), module.reliability.float()


def fusion_loss(module: nn.Module, batch: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the cross-entropy of the fused answer and the mean one of each modality alone.

    See :data:`training.fit.LossFunction`.
    """
    del progress, generator
    masses, reliability = _masses(module, batch.images, batch.presence)
    plausibility = masses.plausibility
    b, m, c, h, w = plausibility.shape
    alone = plausibility.clamp_min(FLOOR).log().reshape(b * m, c, h, w)
    labels = batch.label[:, None].expand(b, m, h, w).reshape(b * m, h, w)
    nats = F.cross_entropy(alone, labels, reduction="none").reshape(b, m, h, w)
    present = batch.presence[:, :, batch.presence.shape[2] // 2]
    terms = {
        "fused": F.cross_entropy(discounted_log_plausibility(plausibility, reliability), batch.label),
        "alone": (nats * present).sum() / present.sum().clamp_min(1.0),
    }
    return {**terms, "total": terms["fused"] + terms["alone"]}


@dataclass(frozen=True)
class DempsterShafer(EarlyFusion):
    """The fused contour function, normalised, and the conflict of Dempster's rule as conflict map."""

    def build(self, num_modalities: int, num_classes: int, num_context: int) -> nn.Module:
        """Return a fresh module for a task."""
        return EvidentialFusion(EarlyFusionConfig(num_modalities, num_classes, num_context, self.widths, self.dropout))

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return the fused probabilities and the conflict of all modalities and of each pair."""
        del num_hypotheses, seed
        (module,) = modules
        masses, reliability = _masses(module, images, presence)
        m = masses.ignorance.shape[1]
        pairs = [dempster_conflict(masses, pair) for pair in combinations(range(m), 2)]
        return Draw(
            marginal=discounted_log_plausibility(masses.plausibility, reliability).softmax(dim=1),
            conflict=dempster_conflict(masses, range(m)),
            pair_conflict=torch.stack(pairs, dim=1) if pairs else None,
        )
