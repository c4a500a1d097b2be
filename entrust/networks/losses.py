"""What EnFuse and the calibration head are trained with, beside the cross-entropy of the segmentation itself.

Everything is computed in float32, whatever the autocast mode of the caller, and averaged over the voxels where the
modalities concerned are present; weights and warm-up are the trainer's business.

Symbols (paper → name): L_xcov → ``cross_covariance_loss``; L_al → ``alignment_loss``; L_uni → ``unimodal_loss``;
L_cf → ``conflict_loss``; L_dom → ``domain_loss``; L_rec → ``reconstruction_loss``; S → ``edited``; G* → ``agreement``.
"""

from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.enfuse import EnFuseConfig, FusedScale

_VARIANCE_FLOOR = 1e-6


class AuxiliaryHeads(nn.Module):
    """Heads that only training needs: which modality do the cues come from, and what did the image look like.

    Args:
        config: Sizes of the EnFuse they belong to.
        hidden: Width of the reconstruction's hidden layer.
    """

    def __init__(self, config: EnFuseConfig, hidden: int = 16) -> None:
        super().__init__()
        self.modality = nn.Linear(config.cues, config.num_modalities)
        self.reconstruction = nn.Sequential(
            nn.Conv2d(config.shared + config.cues, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, 1, 1)
        )


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of ``values`` under ``weights`` that broadcast to it; 0 where there is no weight."""
    weights = weights.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp_min(1.0)


def cross_correlation(
    a: Float[Tensor, "n p"], b: Float[Tensor, "n q"], weights: Float[Tensor, "n"] | None = None
) -> Float[Tensor, ""]:
    """Return ‖R‖²_F / (p q) of the columns' correlations R: 0 for decorrelated, 1 for p = q = 1 and equal columns.

    Raw covariance could be driven to zero by shrinking the features, so the columns are standardised; their mean and
    deviation are constants to the gradient.

    Args:
        a: One group of features at n positions.
        b: Another group at the same positions.
        weights: Weight of each position; all equal if not given.

    Source: Bardes et al., arXiv 2105.04906 (covariance regularisation), on correlations here.
    """
    a, b = a.float(), b.float()
    w = (torch.ones_like(a[:, 0]) if weights is None else weights.float())[:, None]
    total = w.sum().clamp_min(1.0)

    def standardise(columns: Tensor) -> Tensor:
        with torch.no_grad():
            mean = (columns * w).sum(dim=0) / total
            variance = ((columns - mean) ** 2 * w).sum(dim=0) / total
        return (columns - mean) * torch.rsqrt(variance + _VARIANCE_FLOOR)

    correlation = (standardise(a) * w).t() @ standardise(b) / total
    return correlation.square().mean()


def cross_covariance_loss(
    scale: FusedScale, num_positions: int = 2048, generator: torch.Generator | None = None
) -> Float[Tensor, ""]:
    """Return how far the three parts of EnFuse still say the same thing (L_xcov).

    Sum of the mean squared correlations between F_c and F_{u,m}, F_c and F_cf, F_{u,m} and F_cf, F_{u,m} and F_{u,n}.

    Args:
        scale: One scale of EnFuse.
        num_positions: Random positions of the batch at which the features are compared.
        generator: Source of the positions; the CPU's own if not given.
    """
    with torch.autocast(scale.shared_anatomy.device.type, enabled=False):
        n, m = scale.modality_cues.shape[:2]
        h, w = scale.shared_anatomy.shape[-2:]
        where = "cpu" if generator is None else generator.device
        index = torch.randint(n * h * w, (num_positions,), generator=generator, device=where)
        picked = (index // (h * w), index // w % h, index % w)

        def gather(features: Tensor) -> Tensor:
            return features.movedim(1, -1)[picked].float()

        present = gather(scale.presence[:, :, 0])  # [positions, m]
        anatomy, conflict = gather(scale.shared_anatomy), gather(scale.conflict_features)
        cues = [gather(scale.modality_cues[:, i]) for i in range(m)]
        groups = [
            [cross_correlation(anatomy, cues[i], present[:, i]) for i in range(m)],
            [cross_correlation(anatomy, conflict, present.amax(dim=1))],
            [cross_correlation(cues[i], conflict, present[:, i]) for i in range(m)],
            [cross_correlation(cues[i], cues[j], present[:, i] * present[:, j]) for i, j in combinations(range(m), 2)],
        ]
        return torch.stack([torch.stack(group).mean() for group in groups if group]).sum()


def alignment_loss(scale: FusedScale) -> Float[Tensor, ""]:
    """Return the distance of the modalities' shared codes where they do not conflict (L_al): (1 − G)·|c_m − c_n|.

    G is a constant here: the codes may differ where there is a conflict, but a conflict may not be invented for it.

    Args:
        scale: One scale of EnFuse.
    """
    calm = 1.0 - torch.sigmoid(scale.conflict_logit.detach().float())  # [n, 1, h, w]
    codes, present = scale.shared_codes.float(), scale.presence.float()
    pairs = list(combinations(range(codes.shape[1]), 2))
    distance = torch.stack([(codes[:, i] - codes[:, j]).abs() for i, j in pairs], dim=1)  # [n, p, f, h, w]
    both = torch.stack([present[:, i] * present[:, j] for i, j in pairs], dim=1)  # [n, p, 1, h, w]
    return weighted_mean(distance * calm[:, None], both)


def pooled_targets(labels: Int[Tensor, "b h w"], num_classes: int, like: Tensor) -> Float[Tensor, "n c hs ws"]:
    """Return the share of each class under every pixel of a coarser map, repeated for the variants of a slice.

    Args:
        labels: Class numbers at full resolution.
        num_classes: C.
        like: A map [n, …, hs, ws] whose first and last two sizes the result takes; n = b · variants.
    """
    one_hot = F.one_hot(labels.long(), num_classes).movedim(-1, 1).float()
    return _pooled(one_hot, like)


def _pooled(full: Tensor, like: Tensor) -> Tensor:
    pooled = F.avg_pool2d(full.float(), full.shape[-1] // like.shape[-1])
    return pooled.repeat_interleave(like.shape[0] // pooled.shape[0], dim=0)


def unimodal_loss(scale: FusedScale, shown: Int[Tensor, "b m h w"]) -> Float[Tensor, ""]:
    """Return the cross-entropy of each present modality's own segmentation (L_uni).

    Cross-entropy and not Dice: a modality that sees nothing must be unsure, or ignorance would look like conflict.

    Args:
        scale: One scale of EnFuse.
        shown: Class numbers that each modality shows, at full resolution; -1 is not judged.
    """
    logits = scale.unimodal_logits.float()  # [n, m, c, h, w]
    each = range(logits.shape[1])
    targets = torch.stack(
        [pooled_targets(shown[:, m].clamp_min(0), logits.shape[2], logits[:, m]) for m in each], dim=1
    )
    judged = torch.stack([_pooled((shown[:, m : m + 1] >= 0), logits[:, m]) for m in each], dim=1)  # [n, m, 1, h, w]
    cross_entropy = -(targets * logits.log_softmax(dim=2)).sum(dim=2, keepdim=True)
    return weighted_mean(cross_entropy, scale.presence.float() * (judged == 1.0))


def conflict_loss(
    scale: FusedScale, edited: Float[Tensor, "b h w"], was_edited: Bool[Tensor, "b"], sparsity: float = 0.01
) -> Float[Tensor, ""]:
    """Return how far G is from where a conflict is known or evident (L_cf).

    Target: the synthetic edit S united with the parameter-free conflict G*, which is a constant here. Binary
    cross-entropy over all voxels where at least two modalities are present, Dice over the edited slices, and a light
    pull to zero on unedited slices where nothing is in conflict.

    Args:
        scale: One scale of EnFuse.
        edited: Where one modality of the slice was made to contradict the others, 0..1, at full resolution.
        was_edited: Whether the slice was edited at all.
        sparsity: Weight of the mean of G on unedited, agreeing tissue.
    """
    logit = scale.conflict_logit.float()
    valid = (scale.presence.float().sum(dim=1) > 1.0).float()  # [n, 1, h, w]
    target = torch.maximum(_pooled(edited[:, None], logit), scale.agreement.detach().float()) * valid
    touched = was_edited.float().repeat_interleave(logit.shape[0] // was_edited.shape[0])[:, None, None, None]
    cross_entropy = weighted_mean(F.binary_cross_entropy_with_logits(logit, target, reduction="none"), valid)
    gate = torch.sigmoid(logit)
    claimed, known = gate * valid * touched, target * touched
    dice = 1.0 - (2.0 * (claimed * known).sum() + 1.0) / (claimed.sum() + known.sum() + 1.0)
    return cross_entropy + dice + sparsity * weighted_mean(gate * (1.0 - target), valid * (1.0 - touched))


def domain_loss(scale: FusedScale, heads: AuxiliaryHeads) -> Float[Tensor, ""]:
    """Return the cross-entropy of telling the modality from its pooled cues (L_dom), so that F_u stays its own.

    Args:
        scale: One scale of EnFuse.
        heads: The modality classifier is used.
    """
    area = scale.presence.float().sum(dim=(-2, -1))  # [n, m, 1]
    pooled = scale.modality_cues.float().sum(dim=(-2, -1)) / area.clamp_min(1.0)  # [n, m, u]
    logits = heads.modality(pooled).float()
    n, m = logits.shape[:2]
    identity = torch.arange(m, device=logits.device).repeat(n)
    cross_entropy = F.cross_entropy(logits.reshape(n * m, m), identity, reduction="none")
    return weighted_mean(cross_entropy, (area > 0.0).float().reshape(-1))


def reconstruction_loss(
    scale: FusedScale, heads: AuxiliaryHeads, centre: Float[Tensor, "b m h w"]
) -> Float[Tensor, ""]:
    """Return the mean absolute error of the slice as seen from F_c and F_{u,m} (L_rec), so that F_u does not die out.

    Args:
        scale: One scale of EnFuse.
        heads: The reconstruction is used.
        centre: The slice of interest as EnFuse was given it, at full resolution.
    """
    n, m, _, h, w = scale.modality_cues.shape
    truth = _pooled(centre, scale.presence)[:, :, None]  # [n, m, 1, h, w]
    anatomy = scale.shared_anatomy[:, None].expand(n, m, -1, h, w)
    features = torch.cat([anatomy, scale.modality_cues.to(anatomy.dtype)], dim=2).reshape(n * m, -1, h, w)
    seen = heads.reconstruction(features).float().reshape(n, m, 1, h, w)
    return weighted_mean((seen - truth).abs(), scale.presence.float())


def soft_binned_ace(
    probability: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    domain: Float[Tensor, "b h w"] | None = None,
    num_bins: int = 20,
) -> Float[Tensor, ""]:
    """Return the average calibration error over bins and classes, differentiable in the probabilities.

    Each probability belongs to its two nearest bin centres in proportion to its nearness. Every bin with at least one
    voxel's worth of weight counts the same.

    Args:
        probability: Class probabilities.
        labels: True class numbers.
        domain: Weight of each voxel, 0..1; everywhere if not given.
        num_bins: Bins of equal width on [0, 1].

    Source: Barfoot et al., arXiv 2506.03942 (soft-binned marginal L1 average calibration error).
    """
    num_classes = probability.shape[1]
    p = probability.float().movedim(1, 0).reshape(num_classes, -1)
    y = F.one_hot(labels.long(), num_classes).movedim(-1, 0).reshape(num_classes, -1).to(p.dtype)
    weights = torch.ones_like(p[0]) if domain is None else domain.reshape(-1).to(p.dtype)
    place = (p * num_bins - 0.5).clamp(0.0, num_bins - 1.0)
    low = place.detach().floor().clamp_max(num_bins - 2)
    nearness = place - low
    gap = (p - y) * weights
    sums, counts = (torch.zeros(num_classes, num_bins, dtype=p.dtype, device=p.device) for _ in range(2))
    for bins, share in ((low.long(), 1.0 - nearness), (low.long() + 1, nearness)):
        sums = sums.scatter_add(1, bins, gap * share)
        counts = counts.scatter_add(1, bins, share * weights)
    filled = (counts.detach() >= 1.0).to(p.dtype)
    return weighted_mean(sums.abs() / counts.clamp_min(1.0), filled)
