"""Evidential classification: the network answers with a Dirichlet distribution over class probabilities.

Symbols: e → ``evidence``; α = e + 1; S = Σ α; vacuity C / S; λ_t → ``ramp``.
Source: Sensoy et al., arXiv 1806.01768 (Bayes risk of the cross-entropy, and the regulariser of misleading evidence).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from training.augment import Batch
from training.baselines.draw import Draw
from training.baselines.unet import EarlyFusion, logits_of

ANNEALING = 0.2
"""Share of the fit in which λ grows to 1; ten of fifty epochs in the paper."""


def concentration(logits: Tensor) -> Tensor:
    """Return α = softplus(logits) + 1."""
    return F.softplus(logits) + 1.0


def vacuity(alpha: Tensor) -> Tensor:
    """Return how little is known, C / S in (0, 1]: [b, c, h, w] → [b, h, w]."""
    return alpha.shape[1] / alpha.sum(dim=1)


def expected_cross_entropy(alpha: Tensor, label: Tensor) -> Tensor:
    """Return the mean over pixels of E[−ln p_y] under Dir(α) = ψ(S) − ψ(α_y)."""
    of_label = alpha.gather(1, label[:, None])[:, 0]
    return (torch.digamma(alpha.sum(dim=1)) - torch.digamma(of_label)).mean()


def misleading_evidence(alpha: Tensor, label: Tensor) -> Tensor:
    """Return the mean over pixels of KL(Dir(α̃) ‖ Dir(1)), α̃ being α without the true class' evidence."""
    truth = F.one_hot(label, alpha.shape[1])
    others = torch.where(truth.bool(), 1.0, alpha.movedim(1, -1))  # [b, h, w, c]
    flat = Dirichlet(torch.ones_like(others), validate_args=False)
    return kl_divergence(Dirichlet(others, validate_args=False), flat).mean()


def evidential_loss(module: nn.Module, batch: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Return risk and annealed regulariser; see :data:`training.fit.LossFunction`."""
    del generator
    alpha = concentration(logits_of(module, batch.images, batch.presence))
    ramp = min(progress / ANNEALING, 1.0)
    terms = {
        "risk": expected_cross_entropy(alpha, batch.label),
        "misleading": misleading_evidence(alpha, batch.label),
    }
    return {**terms, "total": terms["risk"] + ramp * terms["misleading"]}


@dataclass(frozen=True)
class Evidential(EarlyFusion):
    """The U-Net whose outputs are evidence; it has no hypotheses, a Dirichlet knows nothing of neighbouring pixels."""

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return the expected probabilities α / S."""
        del num_hypotheses, seed
        (module,) = modules
        alpha = concentration(logits_of(module, images, presence))
        return Draw(alpha / alpha.sum(dim=1, keepdim=True))
