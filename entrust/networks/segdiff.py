"""SegDiff: a light denoiser that turns noise and EnFuse's conditioning into segmentation hypotheses.

It predicts the clean mask as class logits and is trained with cross-entropy, so that its answer at t = 1 is the
pixelwise marginal and its answers after several steps are draws of the joint. The K hypotheses of a slice are a
dimension inside the graph: the conditioning is sent and embedded once, not K times.

Symbols: x_t → ``x``; x̂0 (self-conditioning) → ``clean``; t → ``t``.
Source: Chen et al., arXiv 2208.04202 (self-conditioning, analog bits); Ji et al., arXiv 2303.17559 (encode once).
"""

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import UNet, depth_to_space, space_to_depth


@dataclass(frozen=True)
class SegDiffConfig:
    """Sizes of the denoiser.

    Attributes:
        num_classes: C, background included.
        conditioning: Channels of EnFuse's conditioning.
        widths: U-Net widths from half resolution downwards.
        embedding: Width of the time embedding.
    """

    num_classes: int = 2
    conditioning: int = 32
    widths: tuple[int, ...] = (24, 40, 56)
    embedding: int = 48


class TimeEmbedding(nn.Module):
    """Sinusoidal features of t, then two layers; kept in float32.

    Args:
        width: Width of the embedding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        frequencies = torch.exp(torch.linspace(log(0.5 * pi), log(64.0 * pi), width // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, t: Tensor) -> Tensor:
        """Embed t: [n, 1] → [n, width]."""
        angles = t * self.frequencies[None]
        embedded: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))
        return embedded


class Denoiser(nn.Module):
    """x_t, x̂0, t and conditioning → logits of the clean mask, for K hypotheses of each slice.

    Args:
        config: Sizes.
    """

    def __init__(self, config: SegDiffConfig) -> None:
        super().__init__()
        self.config = config
        width = config.widths[0]
        self.embed_masks = nn.Conv2d(8 * config.num_classes, width, 3, padding=1, bias=False)
        self.embed_conditioning = nn.Conv2d(config.conditioning, width, 3, padding=1)
        self.time = TimeEmbedding(config.embedding)
        self.unet = UNet(config.widths, embedding=config.embedding)
        self.head = nn.Conv2d(width + config.conditioning, 4 * config.num_classes, 1)

    def forward(self, x: Tensor, clean: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """Predict logits.

        Args:
            x: x_t [b, k, c, h, w].
            clean: Previous x̂0 in [−1, 1], zeros at the first step, [b, k, c, h, w].
            t: Diffusion time [b, 1].
            conditioning: [b, f, h/2, w/2].

        Returns:
            Logits of the clean mask [b, k, c, h, w].
        """
        b, k, c, h, w = x.shape
        masks = space_to_depth(torch.cat([x, clean], dim=2).reshape(b * k, 2 * c, h, w))
        # conv([x, cond]) = conv_x(x) + conv_c(cond): the conditioning's share is computed once for all K
        shared = self.embed_conditioning(conditioning)
        features = self.embed_masks(masks).view(b, k, -1, h // 2, w // 2) + shared[:, None]
        embedding = self.time(t.float())
        embedding = embedding[:, None].expand(b, k, embedding.shape[1]).reshape(b * k, -1)
        features = self.unet(F.relu(features.reshape(b * k, -1, h // 2, w // 2)), embedding)[0]
        spread = conditioning[:, None].expand(b, k, *conditioning.shape[1:]).reshape(b * k, -1, h // 2, w // 2)
        logits = depth_to_space(self.head(torch.cat([features, spread.to(features.dtype)], dim=1)))
        return logits.float().view(b, k, c, h, w)
