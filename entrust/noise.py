"""Noise with a share that is smooth: what a hypothesis decides, it decides for a place and not for a pixel.

White noise asks the denoiser to average over a whole structure before it can take a side, which small networks do
badly: half of a structure turns on. A part of the noise is therefore a smooth Gaussian field, of unit variance
everywhere. Training and sampling use the same mixture, so the diffusion's mathematics stays as it is (in the
coordinates in which the noise is white).

Symbols: ρ → ``smooth_share``; W → ``smoothing_matrix``.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class NoiseModel:
    """The covariance of the noise.

    Args:
        smooth_share: ρ in [0, 1], the share of the variance that is smooth; 0 is white noise.
        cell: Distance of the smooth field's nodes in pixels.
    """

    smooth_share: float = 0.0
    cell: int = 8

    def nodes(self, size: int) -> int:
        """Return how many nodes a side of ``size`` pixels has."""
        return -(-size // self.cell) + 3

    def smoothing_matrix(self, size: int) -> Float32[np.ndarray, "size nodes"]:
        """Return W: a Gaussian kernel on the nodes, of rows of unit length, so that W g has variance 1 everywhere."""
        positions = np.arange(size)[:, None] + 0.5
        nodes = (np.arange(self.nodes(size))[None] - 1) * self.cell
        weights = np.exp(-0.5 * ((positions - nodes) / (0.6 * self.cell)) ** 2)
        return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), dtype=np.float32)


WHITE = NoiseModel()
"""Noise without a smooth share."""
