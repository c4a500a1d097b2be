"""The early-fusion U-Net: all modalities stacked at the input, one deterministic answer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import UNet, depth_to_space, space_to_depth
from training.augment import Batch


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
    widths: tuple[int, ...] = (32, 52, 80, 100)
    dropout: float = 0.1


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
        b, m, z, h, w = images.shape
        stacked = torch.cat([images * presence, presence], dim=2).reshape(b, 2 * m * z, h, w)
        return depth_to_space(self.head(self.unet(self.stem(space_to_depth(stacked)))[0])).float()


def cross_entropy_loss(
    module: nn.Module, batch: Batch, progress: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the loss of one batch; see :data:`training.fit.LossFunction`."""
    del progress, generator
    with torch.autocast(batch.label.device.type, dtype=torch.bfloat16):
        logits = module(batch.images, batch.presence)
    return {"total": F.cross_entropy(logits.float(), batch.label)}
