"""Samplers without I/O: generators that yield a denoise call and receive the clean estimate.

One maths, several drivers: torch in training, the gateway's asynchronous Triton loop, a closed-form Gaussian denoiser
in the tests. Arrays may be numpy or torch: only arithmetic with Python scalars touches them.

    sampler = ddim(schedule, x_T, num_steps=4, eta=1.0, noise=noise)
    call = next(sampler)
    while True:
        clean = denoise(call)                    # x̂0 in [−1, 1]
        try:
            call = sampler.send(clean)
        except StopIteration as stop:
            result = stop.value                  # the last x̂0
            break

Symbols: x_t → ``x``; x̂0 → ``clean``; γ → ``signal_power``; η → ``eta``; σ → ``sigma``; ε̂ → ``eps``.
Source: Song et al., arXiv 2010.02502 (DDIM); Lu et al., arXiv 2211.01095 (DPM-Solver++ 2M, data prediction).
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float32

from entrust.errors import InvalidInputError
from entrust.noise import WHITE, NoiseModel
from entrust.schedule import Schedule

Array = Any
"""A numpy array or a torch tensor of shape [..., k, c, h, w]."""


@dataclass(frozen=True)
class DenoiseCall:
    """One question to the denoiser.

    Attributes:
        index: Step number, from 0.
        t: Diffusion time in (0, 1].
        x: Noisy masks x_t, unit variance.
        clean: The previous step's x̂0 for self-conditioning; ``None`` at the first step, where the network sees zeros.
    """

    index: int
    t: float
    x: Array
    clean: Array | None


Sampler = Generator[DenoiseCall, Array, Array]
SMOOTH_STREAM = 2**32
"""Number of the stream of the smooth noise, beyond that of any pair of hypotheses."""

NoiseSource = Callable[[int], Array]
"""Step number → standard normal noise that broadcasts to x."""


def ddim(
    schedule: Schedule, x_start: Array, *, num_steps: int, eta: float = 1.0, noise: NoiseSource | None = None
) -> Sampler:
    """Sample with DDIM; ``eta`` = 1 is ancestral (diverse), 0 is deterministic given x_T.

    Args:
        schedule: Noise schedule.
        x_start: x_T, standard normal.
        num_steps: S, the number of denoiser calls.
        eta: Share of fresh noise in [0, 1].
        noise: Source of fresh noise, required when ``eta`` > 0 and ``num_steps`` > 1.

    Yields:
        One :class:`DenoiseCall` per step; expects x̂0 in answer.

    Returns:
        The x̂0 of the last step.

    Raises:
        InvalidInputError: Fresh noise is wanted and there is no source of it.
    """
    if eta > 0 and num_steps > 1 and noise is None:
        raise InvalidInputError("Sampling with fresh noise (eta above 0) needs a noise source.")
    times = schedule.times(num_steps)
    x, clean = x_start, None
    for index, t in enumerate(times):
        clean = yield DenoiseCall(index, t, x, clean)
        if index + 1 == num_steps:
            break
        g, g_next = schedule.signal_power(t), schedule.signal_power(times[index + 1])
        eps = (x - math.sqrt(g) * clean) / math.sqrt(1.0 - g)
        sigma = eta * math.sqrt((1.0 - g_next) / (1.0 - g)) * math.sqrt(max(1.0 - g / g_next, 0.0))
        x = math.sqrt(g_next) * clean + math.sqrt(max(1.0 - g_next - sigma**2, 0.0)) * eps
        if sigma > 0.0 and noise is not None:
            x = x + sigma * noise(index)
    return clean


def dpm_solver_pp_2m(schedule: Schedule, x_start: Array, *, num_steps: int) -> Sampler:
    """Sample deterministically with the second-order multistep DPM-Solver++ in data-prediction form.

    Args:
        schedule: Noise schedule.
        x_start: x_T, standard normal.
        num_steps: S, the number of denoiser calls.

    Yields:
        One :class:`DenoiseCall` per step; expects x̂0 in answer.

    Returns:
        The x̂0 of the last step.
    """
    times = schedule.times(num_steps)
    x, clean, previous, h_previous = x_start, None, None, 0.0
    for index, t in enumerate(times):
        clean = yield DenoiseCall(index, t, x, clean)
        if index + 1 == num_steps:
            break
        t_next = times[index + 1]
        h = schedule.half_log_snr(t_next) - schedule.half_log_snr(t)
        direction = clean
        if previous is not None and h > 0.0 and h_previous > 0.0:  # no second order across the clamp near t = 1
            ratio = h_previous / h
            direction = (1.0 + 0.5 / ratio) * clean - (0.5 / ratio) * previous
        g, g_next = schedule.signal_power(t), schedule.signal_power(t_next)
        x = math.sqrt((1.0 - g_next) / (1.0 - g)) * x - math.sqrt(g_next) * math.expm1(-h) * direction
        previous, h_previous = clean, h
    return clean


SAMPLERS: tuple[str, ...] = ("ddim", "dpm++2m")


def make_sampler(
    name: str, schedule: Schedule, x_start: Array, *, num_steps: int, eta: float, noise: NoiseSource | None
) -> Sampler:
    """Return the sampler called ``name``; ``eta`` and ``noise`` matter to ``ddim`` alone.

    Raises:
        InvalidInputError: An unknown name.
    """
    if name == "ddim":
        return ddim(schedule, x_start, num_steps=num_steps, eta=eta, noise=noise)
    if name == "dpm++2m":
        return dpm_solver_pp_2m(schedule, x_start, num_steps=num_steps)
    raise InvalidInputError("There is no sampler of that name.", fix=f"Use one of: {', '.join(SAMPLERS)}.")


@dataclass(frozen=True)
class HypothesisNoise:
    """Noise that belongs to a hypothesis, not to a slice: the K masks stay coherent through the volume.

    Hypotheses 2j and 2j + 1 are antithetic in the white part (one is the negative of the other), which cuts the
    Monte-Carlo error of their mean. Each pair has its own counter-based stream, so that K hypotheses of white noise are
    a prefix of any larger number. The smooth part is stratified: at every node the K hypotheses hold K quantiles of the
    normal distribution in an order of their own, so that what is probable at π happens in about π · K of them.

    Args:
        seed: Study seed, from 0 to 2⁶⁴ − 1.
        num_hypotheses: K.
        num_classes: C.
        height: H in pixels.
        width: W in pixels.
        model: Covariance of the noise.

    Raises:
        InvalidInputError: A seed outside its range, or no hypothesis.

    Source: McKay et al., Technometrics 21 (1979) 239 (Latin hypercube sampling).
    """

    seed: int
    num_hypotheses: int
    num_classes: int
    height: int
    width: int
    model: NoiseModel = WHITE

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise InvalidInputError("The seed is out of range.", fix="Use a whole number from 0 to 2**64 - 1.")
        if self.num_hypotheses < 1:
            raise InvalidInputError("Sampling needs at least one hypothesis.", fix="Ask for 1 or more.")

    def __call__(self, index: int) -> Float32[np.ndarray, "1 k c h w"]:
        """Return the fresh noise of step ``index``; index −1 is the start x_T."""
        pairs = []
        for pair in range((self.num_hypotheses + 1) // 2):
            draw = self._stream(pair, index).standard_normal(
                (self.num_classes, self.height, self.width), dtype=np.float32
            )
            pairs += [draw, -draw]
        white: np.ndarray = np.stack(pairs[: self.num_hypotheses])[None]
        share = self.model.smooth_share
        if not share:
            return white
        return np.float32(math.sqrt(1.0 - share)) * white + np.float32(math.sqrt(share)) * self._smooth(index)

    def _stream(self, pair: int, index: int) -> np.random.Generator:
        key = np.array([self.seed, pair], dtype=np.uint64)  # as a list, a seed above 2⁶³ would pass through float
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, index + 1]))

    def _smooth(self, index: int) -> Float32[np.ndarray, "1 k c h w"]:
        """Return the stratified smooth fields."""
        k = self.num_hypotheses
        rows, columns = self.model.smoothing_matrix(self.height), self.model.smoothing_matrix(self.width)
        shape = (self.num_classes, rows.shape[1], columns.shape[1])
        order = np.argsort(self._stream(SMOOTH_STREAM, index).random((k, *shape)), axis=0)
        quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / k) for i in range(k)])
        quantiles /= max(float(quantiles.std()), 1e-6)  # a single hypothesis sits at the median
        return np.asarray(rows @ quantiles[order].astype(np.float32) @ columns.T)[None]

    def start(self) -> Float32[np.ndarray, "1 k c h w"]:
        """Return x_T."""
        return self(-1)
