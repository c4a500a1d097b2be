"""A loss for hypotheses as a whole: the energy score of their distribution over patches.

Cross-entropy judges each pixel's probability; it cannot tell coherent hypotheses from noise. The energy score
E‖S − y‖ − ½ E‖S − S'‖ over whole patches can: it is least where hypotheses S are distributed as the labels y.

Source: Gneiting & Raftery, J. Am. Stat. Assoc. 102 (2007) 359 (energy score); on patches of several sizes here.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

PATCHES = (6, 12, 24)
"""Sides of the patches in pixels, beside the whole crop."""
STRUCTURE = 9
"""Side of what hypotheses typically disagree about, in pixels: so many patches see it, and each size counts alike."""


def patch_distances(squares: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """Return the roots of the squares summed over patches, in total over the patches and averaged over n.

    The patches of a size are divided by the number of them that see one structure.
    """
    total = _root(squares.sum(dim=(-2, -1))).mean()
    for size in PATCHES:
        stride = size // 2
        if size < squares.shape[-1]:
            sums = F.avg_pool2d(squares, size, stride) * float(size * size)
            total = total + _root(sums).sum(dim=(-2, -1)).mean() * (stride / (STRUCTURE + size)) ** 2
    return total


def _root(squares: Tensor) -> Tensor:
    """Return the square root, smooth at zero."""
    return (squares + 0.25).sqrt() - 0.5


def energy_score(
    samples: Float[Tensor, "b k c h w"], labels: Float[Tensor, "b c h w"], slices: int = 2
) -> Float[Tensor, ""]:
    """Return the fair energy score of K hypotheses, over patches that reach through ``slices`` neighbouring slices.

    Args:
        samples: Soft masks; those of neighbouring slices follow each other in b and share their noise.
        labels: One-hot.
        slices: How many neighbours are one patch.
    """
    b, k, _, h, w = samples.shape

    def squares(difference: Tensor) -> Tensor:
        summed = difference.square().sum(dim=-3)  # over classes
        return summed.view(b // slices, slices, -1, h, w).sum(dim=1).reshape(-1, 1, h, w)

    from_truth = patch_distances(squares(samples - labels[:, None]))
    apart = [patch_distances(squares(samples[:, i] - samples[:, j])) for i in range(k) for j in range(i)]
    return from_truth - 0.5 * torch.stack(apart).mean()


def squared_bias(
    samples: Float[Tensor, "b k c h w"], marginal: Float[Tensor, "b c h w"], pool: int = 3
) -> Float[Tensor, ""]:
    """Return an unbiased estimate of ‖E S − p‖², summed over an image: the hypotheses' mean is to be the marginal.

    Products of different hypotheses' deviations are used, so that diversity costs nothing.

    Args:
        samples: Soft masks.
        marginal: p, a constant.
        pool: Side of the neighbourhoods that are compared, in pixels.
    """
    b, k, c, h, w = samples.shape
    apart = F.avg_pool2d((samples - marginal[:, None].detach()).reshape(b * k, c, h, w), pool, 1, pool // 2)
    apart = apart.view(b, k, c, h, w)
    total = apart.sum(dim=1).square() - apart.square().sum(dim=1)  # Σ over pairs i ≠ j
    return total.sum(dim=(1, 2, 3)).mean() / (k * (k - 1))
