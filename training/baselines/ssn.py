"""Stochastic segmentation networks: a normal distribution of low rank over all logits of an image.

Symbols: μ → ``mean``; P → ``factor``; D^½ → ``deviation``; η = μ + P ζ + D^½ ε, with ζ → ``latent``, ε → ``noise``.
Source: Monteiro et al., arXiv 2006.06015.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import UNet, depth_to_space
from training.augment import Batch
from training.baselines.draw import Draw, hypothesis_generator
from training.baselines.unet import EarlyFusion, EarlyFusionConfig, stack_modalities
from training.precision import autocast

RANK = 10
TRAINING_DRAWS = 20
"""Draws behind each step's likelihood."""
MARGINAL_DRAWS = 64
"""The marginal is the mean of at least so many draws: of K = 8 alone it would be noisy, and a draw costs little."""
PRETRAINING = 0.25
"""Share of the fit in which the mean alone learns; with its covariance from the start the loss is unstable."""
START_LOG_DEVIATION = -2.0
MAX_LOG_DEVIATION = 4.0
"""A logit that scatters by 55 says nothing; beyond, the exponential would run away."""


@dataclass
class LogitNormal:
    """η ~ N(mean, factorᵀ factor + diag(deviation²)), over all classes and pixels of a slice.

    Attributes:
        mean: [b, c, h, w].
        deviation: At least 0, [b, c, h, w].
        factor: [b, r, c, h, w].
    """

    mean: Tensor
    deviation: Tensor
    factor: Tensor

    def logits(self, latent: Tensor, noise: Tensor) -> Tensor:
        """Return logits of k draws [b, k, c, h, w] from standard normal ``latent`` [b, k, r] and ``noise``.

        Either may have b = 1 for one and the same noise on every slice; ``noise`` is [b, k, c, h, w].
        """
        latent = latent.expand(len(self.mean), -1, -1)
        shared = torch.einsum("bkr,brchw->bkchw", latent, self.factor)
        return self.mean[:, None] + shared + self.deviation[:, None] * noise


class StochasticUNet(nn.Module):
    """The early-fusion U-Net with three heads.

    Args:
        config: Sizes.
        rank: Of the covariance that pixels share; 0 for independent pixels.
    """

    def __init__(self, config: EarlyFusionConfig, rank: int = RANK) -> None:
        super().__init__()
        self.config, self.rank = config, rank
        width, answers = config.widths[0], 4 * config.num_classes
        self.stem = nn.Conv2d(config.num_modalities * 8 * config.num_context, width, 3, padding=1)
        self.unet = UNet(config.widths, dropout=config.dropout)
        self.mean = nn.Conv2d(width, answers, 1)
        self.log_deviation = nn.Conv2d(width, answers, 1)
        self.factor = nn.Conv2d(width, rank * answers, 1)
        assert self.log_deviation.bias is not None  # noqa: S101
        nn.init.constant_(self.log_deviation.bias, START_LOG_DEVIATION)

    def forward(self, images: Tensor, presence: Tensor) -> LogitNormal:
        """Map [b, m, z, h, w] twice to the distribution of the logits."""
        features = self.unet(self.stem(stack_modalities(images, presence)))[0]
        mean = depth_to_space(self.mean(features)).float()
        factor = depth_to_space(self.factor(features)).float()  # [b, r·c, h, w]
        return LogitNormal(
            mean=mean,
            deviation=depth_to_space(self.log_deviation(features)).float().clamp(max=MAX_LOG_DEVIATION).exp(),
            factor=factor.reshape(len(mean), self.rank, *mean.shape[1:]),
        )


def _distribution(module: nn.Module, images: Tensor, presence: Tensor) -> LogitNormal:
    with autocast(images.device.type):
        found = module(images, presence)
    if not isinstance(found, LogitNormal):
        raise TypeError("this rival needs a network whose answer is a distribution of logits")
    return found


def likelihood_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Return −ln of the mean over draws of the whole image's likelihood, per pixel, [b, k, c, h, w] → scalar."""
    b, k, c, h, w = logits.shape
    labels = label[:, None].expand(b, k, h, w)
    nats = F.cross_entropy(logits.reshape(b * k, c, h, w), labels.reshape(b * k, h, w), reduction="none")
    per_draw = nats.reshape(b, k, h * w).sum(dim=2)  # of one draw: pixels are independent given the logits
    return ((log(k) - torch.logsumexp(-per_draw, dim=1)) / (h * w)).mean()


def stochastic_loss(module: nn.Module, batch: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the cross-entropy of the mean at first, then the Monte-Carlo likelihood.

    See :data:`training.fit.LossFunction`.
    """
    found = _distribution(module, batch.images, batch.presence)
    if progress < PRETRAINING:
        return {"total": F.cross_entropy(found.mean, batch.label)}
    b, where = len(found.mean), found.mean.device
    half = TRAINING_DRAWS // 2
    latent = torch.randn(b, half, found.factor.shape[1], generator=generator, device=where)
    noise = torch.randn(b, half, *found.mean.shape[1:], generator=generator, device=where)
    # mirrored pairs: their mean is the distribution's own
    logits = found.logits(torch.cat([latent, -latent], dim=1), torch.cat([noise, -noise], dim=1))
    return {"total": likelihood_loss(logits, batch.label)}


@dataclass(frozen=True)
class Stochastic(EarlyFusion):
    """The network of which each hypothesis is one draw of the logits, coherent over pixels and slices."""

    def build(self, num_modalities: int, num_classes: int, num_context: int) -> nn.Module:
        """Return a fresh module for a task."""
        return StochasticUNet(EarlyFusionConfig(num_modalities, num_classes, num_context, self.widths, self.dropout))

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return K draws, and the mean of at least :data:`MARGINAL_DRAWS`, of which they are the first."""
        (module,) = modules
        found = _distribution(module, images, presence)
        draws = max(num_hypotheses, MARGINAL_DRAWS)
        total, samples = torch.zeros_like(found.mean), []
        for k in range(draws):
            generator = hypothesis_generator(seed, k)
            latent = torch.randn(1, 1, found.factor.shape[1], generator=generator).to(found.mean)
            noise = torch.randn(1, 1, *found.mean.shape[1:], generator=generator).to(found.mean)
            sample = found.logits(latent, noise)[:, 0].softmax(dim=1)
            total += sample
            if k < num_hypotheses:
                samples.append(sample)
        return Draw(total / draws, torch.stack(samples, dim=1))
