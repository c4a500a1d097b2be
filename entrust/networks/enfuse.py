"""EnFuse: split several modalities' features into shared anatomy, modality cues and spatial conflict.

Symbols (paper → name): x_m → ``images[:, m]``; a_m → ``presence`` (a map) and ``keep`` (a switch); h_m → ``trunk``
features; F_c → ``shared_anatomy``; F_{u,m} → ``modality_cues``; F_cf → ``conflict_features``; G → ``conflict``;
C_mn → ``pair_conflict``; p_m → ``unimodal``; w_m → ``weights``; ν_m → ``vacuity``.

The trunk runs once per slice. Fusion is cheap and runs for V *variants* of the same slice inside the graph: each
variant keeps a subset of the modalities and scales F_cf by a gain. That is how the probes of TrustMap cost no second
pass over the images.
"""

from dataclasses import dataclass
from itertools import combinations
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.blocks import ConvBlock, UNet, space_to_depth, upsample2


@dataclass(frozen=True)
class EnFuseConfig:
    """Sizes of EnFuse.

    Attributes:
        num_modalities: M.
        num_classes: C, background included.
        num_context: Z, slices per modality around the slice of interest.
        trunk: Trunk widths from half resolution downwards.
        shared: Channels of F_c at each fused scale.
        cues: Channels of each F_{u,m}.
        conflict: Channels of F_cf.
        conditioning: Channels handed to the denoiser.
        dropout: Spatial dropout in the trunk's coarse levels.
    """

    num_modalities: int = 3
    num_classes: int = 2
    num_context: int = 5
    trunk: tuple[int, ...] = (24, 40, 64, 80)
    shared: int = 24
    cues: int = 8
    conflict: int = 8
    conditioning: int = 32
    dropout: float = 0.1


@dataclass
class FusedScale:
    """What EnFuse finds at one scale; n = batch · variants."""

    shared_anatomy: Tensor  # F_c [n, f, h, w]
    modality_cues: Tensor  # F_{u,m} [n, m, u, h, w]
    conflict_features: Tensor  # F_cf [n, q, h, w], before the gain
    conflict_logit: Tensor  # logit of G [n, 1, h, w]
    agreement: Tensor  # parameter-free G* [n, 1, h, w]
    pair_conflict: Tensor  # C_mn [n, p, h, w]
    unimodal_logits: Tensor  # [n, m, c, h, w]
    shared_codes: Tensor  # c_m [n, m, f, h, w]
    presence: Tensor  # a_m [n, m, 1, h, w]


@dataclass
class EnFuseOutput:
    """Conditioning and what explains it; v = variants."""

    conditioning: Tensor  # [b, v, f, h/2, w/2]
    scales: list[FusedScale]  # finest first; leading dimension b · v


class FusionScale(nn.Module):
    """The split at one scale.

    Args:
        config: Sizes.
        in_channels: Trunk width at this scale.
    """

    def __init__(self, config: EnFuseConfig, in_channels: int) -> None:
        super().__init__()
        self.config = config
        m, c, f, u = config.num_modalities, config.num_classes, config.shared, config.cues
        self.pairs = tuple(combinations(range(m), 2))
        self.to_shared = nn.Conv2d(in_channels, f, 1)
        self.to_cues = nn.Conv2d(m * in_channels, m * u, 1, groups=m)
        self.to_reliability = nn.Conv2d(m * in_channels, m, 1, groups=m)
        self.unimodal_head = nn.Conv2d(f + u, c, 1)
        self.modality_embedding = nn.Parameter(torch.zeros(m, f + u, 1, 1))
        gate_answer = nn.Conv2d(16, 1, 3, padding=1)
        assert gate_answer.bias is not None  # noqa: S101
        nn.init.constant_(gate_answer.bias, -3.0)
        self.gate = nn.Sequential(nn.Conv2d(f + len(self.pairs) + 1, 16, 3, padding=1), nn.SiLU(), gate_answer)
        self.describe = nn.Sequential(
            nn.Conv2d(f + m * c, config.conflict, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(config.conflict, config.conflict, 1),
        )

    def forward(self, trunk: Tensor, presence: Tensor) -> FusedScale:
        """Fuse one scale.

        Args:
            trunk: h_m [n, m, f_in, h, w].
            presence: a_m in [0, 1], [n, m, 1, h, w].
        """
        n, m, f_in, h, w = trunk.shape
        cfg = self.config
        shared_codes = self.to_shared(trunk.reshape(n * m, f_in, h, w)).view(n, m, cfg.shared, h, w)
        stacked = trunk.reshape(n, m * f_in, h, w)
        cues = self.to_cues(stacked).view(n, m, cfg.cues, h, w) * presence
        reliability = self.to_reliability(stacked).view(n, m, 1, h, w)

        head_input = torch.cat([shared_codes, cues], dim=2) + self.modality_embedding
        logits = self.unimodal_head(head_input.reshape(n * m, -1, h, w)).view(n, m, cfg.num_classes, h, w)
        p = logits.float().softmax(dim=2)

        # w_m = softmax_m(r_m + log a_m): exactly zero for an absent modality, and all zero where none is present
        here = presence.float()
        scores = torch.where(here > 0.0, reliability.float() + torch.log(here.clamp_min(1e-6)), -1e4)
        weights = scores.softmax(dim=1) * (presence.amax(dim=1, keepdim=True) > 0)
        shared_anatomy = (weights * shared_codes).sum(dim=1)

        # confident disagreement: projected distance × conjunctive certainty
        vacuity = -(p * p.clamp_min(1e-6).log()).sum(dim=2, keepdim=True) / log(cfg.num_classes)
        certainty = (1.0 - vacuity) * presence  # [n, m, 1, h, w]
        pair_conflict = torch.cat(
            [
                0.5 * (p[:, i] - p[:, j]).abs().sum(dim=1, keepdim=True) * certainty[:, i] * certainty[:, j]
                for i, j in self.pairs
            ],
            dim=1,
        )  # [n, p, h, w]
        agreement = 1.0 - torch.prod(1.0 - pair_conflict, dim=1, keepdim=True)

        delta = (weights * (shared_codes - shared_anatomy[:, None]) ** 2).sum(dim=1)  # δ [n, f, h, w]
        pooled = (weights * p).sum(dim=1, keepdim=True)
        signed = ((p - pooled) * presence).reshape(n, m * cfg.num_classes, h, w)
        conflict_logit = self.gate(torch.cat([delta, pair_conflict, agreement], dim=1))
        several = presence.sum(dim=1) > 1.0  # one modality alone cannot disagree
        conflict_logit = torch.where(several, conflict_logit.float(), -20.0)
        gate = torch.sigmoid(conflict_logit) * several
        conflict_features = gate * self.describe(torch.cat([delta, signed], dim=1))
        return FusedScale(
            shared_anatomy=shared_anatomy,
            modality_cues=cues,
            conflict_features=conflict_features,
            conflict_logit=conflict_logit,
            agreement=agreement,
            pair_conflict=pair_conflict,
            unimodal_logits=logits,
            shared_codes=shared_codes,
            presence=presence,
        )


class EnFuse(nn.Module):
    """Images of several modalities → conditioning for SegDiff, and where they disagree.

    Args:
        config: Sizes.
    """

    num_fused_scales = 3

    def __init__(self, config: EnFuseConfig) -> None:
        super().__init__()
        self.config = config
        m, width = config.num_modalities, config.trunk[0]
        # images and presence, folded to half resolution: 2 · Z · 4 channels per modality
        self.stem = nn.Conv2d(m * 8 * config.num_context, m * width, 3, padding=1, groups=m)
        self.trunk = UNet(config.trunk, num_domains=m, dropout=config.dropout)
        scales = config.trunk[: self.num_fused_scales]
        self.fusion = nn.ModuleList(FusionScale(config, f) for f in scales)
        fused = config.shared + m * config.cues + config.conflict
        widths = (config.conditioning, *scales[1:])
        self.merge = nn.ModuleList(
            ConvBlock(fused + (widths[i + 1] if i + 1 < len(scales) else 0), widths[i]) for i in range(len(scales))
        )

    def forward(self, images: Tensor, presence: Tensor, keep: Tensor, conflict_gain: Tensor) -> EnFuseOutput:
        """Fuse a batch of slices in V variants.

        Args:
            images: Normalised intensities [b, m, z, h, w]; zero where absent.
            presence: 1 where the modality was acquired, else 0, [b, m, z, h, w].
            keep: 1 to use a modality in a variant, 0 to leave it out, [b, v, m].
            conflict_gain: Factor on F_cf per variant, [b, v].
        """
        b, m, z, h, w = images.shape
        v = keep.shape[1]
        folded = space_to_depth(torch.cat([images * presence, presence], dim=2).reshape(b, m * 2 * z, h, w))
        x = self.stem(folded)  # [b, m·f, h/2, w/2], modality-major as pixel_unshuffle keeps channel order
        x = x.reshape(b * m, -1, h // 2, w // 2)
        levels = self.trunk(x)

        centre = presence[:, :, z // 2].reshape(b, m, h, w)
        merged: Tensor | None = None
        scales: list[FusedScale] = []
        for i in reversed(range(self.num_fused_scales)):
            f_in, hs, ws = levels[i].shape[1:]
            trunk = levels[i].view(b, 1, m, f_in, hs, ws).expand(b, v, m, f_in, hs, ws).reshape(b * v, m, f_in, hs, ws)
            a = F.avg_pool2d(centre, 2 ** (i + 1)).view(b, 1, m, 1, hs, ws) * keep.view(b, v, m, 1, 1, 1)
            fused = self.fusion[i](trunk, a.reshape(b * v, m, 1, hs, ws))
            gain = conflict_gain.reshape(b * v, 1, 1, 1)
            parts = [
                fused.shared_anatomy,
                fused.modality_cues.reshape(b * v, -1, hs, ws),
                gain * fused.conflict_features,
            ]
            if merged is not None:
                parts.append(upsample2(merged))
            merged = self.merge[i](torch.cat([part.to(trunk.dtype) for part in parts], dim=1))
            scales.insert(0, fused)
        assert merged is not None  # at least one scale  # noqa: S101
        return EnFuseOutput(merged.view(b, v, -1, h // 2, w // 2), scales)
