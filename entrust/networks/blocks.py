"""Building blocks that the networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def space_to_depth(x: Tensor) -> Tensor:
    """Fold each 2 × 2 neighbourhood into channels: [n, c, h, w] → [n, 4c, h/2, w/2]."""
    return F.pixel_unshuffle(x, 2)


def depth_to_space(x: Tensor) -> Tensor:
    """Undo :func:`space_to_depth`: [n, 4c, h, w] → [n, c, 2h, 2w]."""
    return F.pixel_shuffle(x, 2)


def upsample2(x: Tensor) -> Tensor:
    """Double the size bilinearly: [n, f, h, w] → [n, f, 2h, 2w]."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class DomainBatchNorm(nn.Module):
    """Batch normalisation with its own statistics and affine pair per domain (here: per modality).

    The trunk's weights are shared between modalities; what differs between them, contrast, is absorbed here. In the
    exported graph the layer is a constant scale and shift, so a slice's result depends on nothing beside it.

    Args:
        channels: Feature channels f.
        num_domains: The batch dimension is [n · domains] with the domain fastest.

    Source: domain-specific normalisation as in ShaSpec, arXiv 2307.14126.
    """

    def __init__(self, channels: int, num_domains: int = 1) -> None:
        super().__init__()
        self.num_domains = num_domains
        self.norm = nn.BatchNorm2d(num_domains * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [n · domains, f, h, w], the domain fastest."""
        f, h, w = x.shape[-3:]
        # [n·m, f, h, w] → [n, m·f, h, w] → [n·m, f, h, w]
        grouped = x.reshape(-1, self.num_domains * f, h, w) if self.num_domains > 1 else x
        normed: Tensor = self.norm(grouped)
        return normed.reshape(-1, f, h, w) if self.num_domains > 1 else normed


class ConvBlock(nn.Module):
    """Residual pair of 3 × 3 convolutions with norms, ReLU, and optional feature-wise modulation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        num_domains: See :class:`DomainBatchNorm`.
        embedding: Width of a conditioning vector for scale and shift (FiLM, zero-initialised); 0 for none.
        dropout: Spatial dropout between the convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, num_domains: int = 1, embedding: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = DomainBatchNorm(out_channels, num_domains)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = DomainBatchNorm(out_channels, num_domains)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        self.drop = nn.Dropout2d(dropout)
        self.film: nn.Linear | None = None
        if embedding:
            self.film = nn.Linear(embedding, 2 * out_channels)
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Map [n, c, h, w] to [n, c2, h, w], modulated by ``embedding`` [n, e] where there is one."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(self.drop(y)))
        if self.film is not None and embedding is not None:
            scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)  # each [n, f, 1, 1]
            y = y * (1.0 + scale) + shift
        return F.relu(y + self.skip(x))


class UNet(nn.Module):
    """A small U-Net over already embedded features; returns the decoder's features, finest first.

    Args:
        channels: Width per level, finest first; each level halves the size.
        num_domains: See :class:`DomainBatchNorm`.
        embedding: See :class:`ConvBlock`.
        dropout: Spatial dropout in the two coarsest levels.
    """

    def __init__(
        self, channels: tuple[int, ...], *, num_domains: int = 1, embedding: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        rates = [0.0] * max(len(channels) - 2, 0) + [dropout] * min(len(channels), 2)

        def block(cin: int, cout: int, rate: float) -> ConvBlock:
            return ConvBlock(cin, cout, num_domains=num_domains, embedding=embedding, dropout=rate)

        self.encoder = nn.ModuleList(block(channels[max(i - 1, 0)], c, rates[i]) for i, c in enumerate(channels))
        self.decoder = nn.ModuleList(
            block(channels[i] + channels[i + 1], channels[i], rates[i]) for i in range(len(channels) - 1)
        )

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> list[Tensor]:
        """Map [n, f0, h, w] to features per level: [n, f_l, h/2^l, w/2^l], finest first."""
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(F.avg_pool2d(x, 2) if level else x, embedding)
            skips.append(x)
        outputs = [x]
        for block, skip in zip(reversed(self.decoder), reversed(skips[:-1]), strict=True):
            x = block(torch.cat([skip, upsample2(x)], dim=1), embedding)
            outputs.insert(0, x)
        return outputs
