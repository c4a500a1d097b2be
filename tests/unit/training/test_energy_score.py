"""The energy score prefers hypotheses that are distributed as the labels, and the bias term is no tax on diversity."""

import numpy as np
import torch

from training.energy_score import energy_score, squared_bias

SIZE, BLOB = 24, slice(8, 17)


def one_hot(foreground: torch.Tensor) -> torch.Tensor:
    """[..., h, w] → [..., 2, h, w]."""
    return torch.stack([1.0 - foreground, foreground], dim=-3)


def blob(on: torch.Tensor) -> torch.Tensor:
    """A square that is on to the given degree, for each entry of ``on``."""
    image = torch.zeros(*on.shape, SIZE, SIZE)
    image[..., BLOB, BLOB] = on[..., None, None].expand(*on.shape, 9, 9)
    return image


def pair(x: torch.Tensor) -> torch.Tensor:
    """Two neighbouring slices alike: [n, …] → [2n, …]."""
    return x.repeat_interleave(2, dim=0)


def mean_score(sampler: str, trials: int = 200, k: int = 6) -> float:
    rng = torch.Generator().manual_seed(0)
    labels = pair(one_hot(blob((torch.rand(trials, generator=rng) < 0.5).float())))
    coins = (torch.rand(trials, k, generator=rng) < 0.5).float()
    samples = {
        "truth": blob(coins),
        "constant": blob(torch.full((trials, k), 0.5)),
        "always on": blob(torch.ones(trials, k)),
        "pixels": blob(torch.ones(trials, k)) * (torch.rand(trials, k, SIZE, SIZE, generator=rng) < 0.5),
        "too seldom": blob((torch.rand(trials, k, generator=rng) < 0.1).float()),
    }[sampler]
    return float(energy_score(pair(one_hot(samples)), labels))


def test_draws_of_the_truth_have_the_least_energy_score() -> None:
    best = mean_score("truth")
    for other in ("constant", "always on", "pixels", "too seldom"):
        assert best < 0.9 * mean_score(other), other


def test_slices_that_toss_their_own_coins_are_found_out() -> None:
    rng = torch.Generator().manual_seed(1)
    labels = pair(one_hot(blob((torch.rand(300, generator=rng) < 0.5).float())))
    together = pair(one_hot(blob((torch.rand(300, 4, generator=rng) < 0.5).float())))
    apart = one_hot(blob((torch.rand(600, 4, generator=rng) < 0.5).float()))
    assert float(energy_score(together, labels)) < 0.95 * float(energy_score(apart, labels))


def test_bias_is_that_of_the_mean_whatever_the_diversity() -> None:
    rng = torch.Generator().manual_seed(2)
    n = 4000
    marginal = one_hot(blob(torch.full((n,), 0.5)))
    coins = one_hot(blob((torch.rand(n, 3, generator=rng) < 0.5).float()))
    seldom = one_hot(blob((torch.rand(n, 3, generator=rng) < 0.2).float()))
    exact = float(squared_bias(one_hot(blob(torch.full((n, 3), 0.2))), marginal))
    assert exact > 0
    np.testing.assert_allclose(float(squared_bias(coins, marginal)), 0.0, atol=0.05 * exact)
    np.testing.assert_allclose(float(squared_bias(seldom, marginal)), exact, rtol=0.1)
