"""One encoder, five decoders: an ensemble at about half the parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import UNet, depth_to_space, upsample2
from training.augment import Batch
from training.baselines.draw import Draw
from training.baselines.unet import EarlyFusion, EarlyFusionConfig, logits_of, stack_modalities

NUM_DECODERS = 5


class MultiDecoderUNet(nn.Module):
    """The early-fusion U-Net with several decoders and heads over one encoder.

    Args:
        config: Sizes of one U-Net.
        num_decoders: K.
    """

    def __init__(self, config: EarlyFusionConfig, num_decoders: int = NUM_DECODERS) -> None:
        super().__init__()
        width = config.widths[0]
        self.stem = nn.Conv2d(config.num_modalities * 8 * config.num_context, width, 3, padding=1)
        self.encoder = UNet(config.widths, dropout=config.dropout).encoder
        self.decoders = nn.ModuleList(UNet(config.widths, dropout=config.dropout).decoder for _ in range(num_decoders))
        self.heads = nn.ModuleList(nn.Conv2d(width, 4 * config.num_classes, 1) for _ in range(num_decoders))

    def forward(self, images: Tensor, presence: Tensor) -> Tensor:
        """Map [b, m, z, h, w] twice to logits [b, k, c, h, w]."""
        x, skips = self.stem(stack_modalities(images, presence)), []
        for level, block in enumerate(self.encoder):
            x = block(F.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        answers = []
        for decoder, head in zip(self.decoders, self.heads, strict=True):
            assert isinstance(decoder, nn.ModuleList)  # noqa: S101
            y = skips[-1]
            for block, skip in zip(reversed(decoder), reversed(skips[:-1]), strict=True):
                y = block(torch.cat([skip, upsample2(y)], dim=1))
            answers.append(depth_to_space(head(y)))
        return torch.stack(answers, dim=1).float()


def mean_cross_entropy_loss(
    module: nn.Module, batch: Batch, progress: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the mean of the decoders' cross-entropies: each learns alone, the encoder learns from all."""
    del progress, generator
    logits = logits_of(module, batch.images, batch.presence)
    labels = batch.label[:, None].expand(-1, logits.shape[1], -1, -1)
    return {"total": F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1))}


@dataclass(frozen=True)
class MultiDecoder(EarlyFusion):
    """The decoders are the hypotheses, whatever K is asked for.

    Source: Lee et al., arXiv 1511.06314 (ensembles that share their first layers).
    """

    def build(self, num_modalities: int, num_classes: int, num_context: int) -> nn.Module:
        """Return a fresh module for a task."""
        return MultiDecoderUNet(EarlyFusionConfig(num_modalities, num_classes, num_context, self.widths, self.dropout))

    @torch.inference_mode()
    def predict(
        self, modules: Sequence[nn.Module], images: Tensor, presence: Tensor, *, num_hypotheses: int, seed: int
    ) -> Draw:
        """Return the decoders' softmax and their mean."""
        del num_hypotheses, seed
        (module,) = modules
        samples = logits_of(module, images, presence).softmax(dim=2)
        return Draw(samples.mean(dim=1), samples)
