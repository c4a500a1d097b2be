"""The early-fusion U-Net: all modalities stacked at the input, one deterministic answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import UNet, depth_to_space, space_to_depth
from training.augment import Batch
from training.baselines.draw import Draw
from training.fit import LossFunction
from training.precision import autocast

WIDTHS = (32, 52, 80, 100)
"""U-Net widths of every rival, from half resolution downwards."""


@dataclass(frozen=True)
class EarlyFusionConfig:
    """Sizes; by parameters (0.70 M) it is between EnFuse alone (0.64 M) and EnFuse with the denoiser (0.84 M).

    Attributes:
        num_modalities: M.
        num_classes: C.
        num_context: Z.
        widths: U-Net widths from half resolution downwards.
        dropout: Spatial dropout in the coarse levels.
    """

    num_modalities: int = 3
    num_classes: int = 2
    num_context: int = 5
    widths: tuple[int, ...] = WIDTHS
    dropout: float = 0.1


def stack_modalities(images: Tensor, presence: Tensor) -> Tensor:
    """Return what an early-fusion stem sees: [b, m, z, h, w] twice → [b, 8·m·z, h/2, w/2]."""
    b, m, z, h, w = images.shape
    return space_to_depth(torch.cat([images * presence, presence], dim=2).reshape(b, 2 * m * z, h, w))


class EarlyFusionUNet(nn.Module):
    """Images and presence of all modalities → logits.

    Args:
        config: Sizes.
    """

    def __init__(self, config: EarlyFusionConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.num_modalities * 8 * config.num_context
        self.stem = nn.Conv2d(inputs, config.widths[0], 3, padding=1)
        self.unet = UNet(config.widths, dropout=config.dropout)
        self.head = nn.Conv2d(config.widths[0], 4 * config.num_classes, 1)

    def forward(self, images: Tensor, presence: Tensor) -> Tensor:
        """Map [b, m, z, h, w] twice to logits [b, c, h, w]."""
        return depth_to_space(self.head(self.unet(self.stem(stack_modalities(images, presence)))[0])).float()


def logits_of(module: nn.Module, images: Tensor, presence: Tensor) -> Tensor:
    """Return a module's answer in float32, computed in bfloat16 where the operation allows."""
    with autocast(images.device.type):
        answer: Tensor = module(images, presence)
    return answer.float()


def cross_entropy_loss(
    module: nn.Module, batch: Batch, progress: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the loss of one batch; see :data:`training.fit.LossFunction`."""
    del progress, generator
    return {"total": F.cross_entropy(logits_of(module, batch.images, batch.presence), batch.label)}


def soft_dice_loss(probability: Tensor, label: Tensor, smooth: float = 1e-5) -> Tensor:
    """Return 1 − Dice of the soft foreground classes, each over the whole batch, then their mean.

    Args:
        probability: [b, c, h, w].
        label: [b, h, w], int64.
        smooth: Added to both sides of the fraction: a class that nobody sees costs nothing.

    Source: Isensee et al. (nnU-Net), doi:10.1038/s41592-020-01008-z: Dice over the batch, without the background.
    """
    truth = F.one_hot(label, probability.shape[1]).movedim(-1, 1).to(probability.dtype)
    both = (probability * truth).sum(dim=(0, 2, 3))[1:]
    either = (probability + truth).sum(dim=(0, 2, 3))[1:]
    return (1.0 - (2.0 * both + smooth) / (either + smooth)).mean()


def dice_cross_entropy_loss(
    module: nn.Module, batch: Batch, progress: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return Dice and cross-entropy with equal weight; see :data:`training.fit.LossFunction`."""
    del progress, generator
    logits = logits_of(module, batch.images, batch.presence)
    terms = {
        "cross_entropy": F.cross_entropy(logits, batch.label),
        "dice": soft_dice_loss(logits.softmax(dim=1), batch.label),
    }
    return {**terms, "total": terms["cross_entropy"] + terms["dice"]}


@dataclass(frozen=True)
class EarlyFusion:
    """The U-Net as a rival: its softmax, and no hypotheses.

    Attributes:
        name: Of the rival.
        fitted_as: Name of the rival whose fitted modules it takes; its own where it has a fit of its own.
        loss: What it is fitted with.
        num_modules: How many fits, each from another seed, it needs.
        widths: U-Net widths.
        dropout: Spatial dropout in the coarse levels.
    """

    name: str
    fitted_as: str
    loss: LossFunction
    num_modules: int = 1
    widths: tuple[int, ...] = WIDTHS
    dropout: float = 0.1

    def build(self, num_modalities: int, num_classes: int, num_context: int) -> nn.Module:
        """Return a fresh module for a task."""
        return EarlyFusionUNet(
            EarlyFusionConfig(num_modalities, num_classes, num_context, self.widths, self.dropout),
        )

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return the softmax of the one module."""
        del num_hypotheses, seed
        (module,) = modules
        return Draw(logits_of(module, images, presence).softmax(dim=1))


@dataclass(frozen=True)
class Ensemble(EarlyFusion):
    """Members fitted from different seeds; the members are the hypotheses, whatever K is asked for.

    Source: Lakshminarayanan et al., arXiv 1612.01474.
    """

    num_modules: int = 5

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return the mean of the members' softmax, and the members."""
        del num_hypotheses, seed
        samples = torch.stack([logits_of(module, images, presence).softmax(dim=1) for module in modules], dim=1)
        return Draw(samples.mean(dim=1), samples)
