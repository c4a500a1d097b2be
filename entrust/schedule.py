"""The noise schedule: a cosine in signal power, shifted by scaling the clean mask.

Masks are so redundant in space that at scale 1 almost every noise level is trivial. Scaling the ±1 mask by ``b`` and
renormalising moves the whole log-SNR curve by ``2 ln b``, which spends the few sampling steps where hypotheses part.

Symbols: γ → ``signal_power``; b → ``input_scale``; λ → ``half_log_snr``.
Source: Chen et al., arXiv 2301.10972 (input scaling); Nichol & Dhariwal, arXiv 2102.09672 (cosine schedule).
"""

import math
from dataclasses import dataclass

from entrust.errors import InvalidInputError


@dataclass(frozen=True)
class Schedule:
    """Shifted cosine schedule on t in [0, 1]; t = 1 is pure noise.

    Args:
        input_scale: b in (0, 1], the factor on the clean ±1 mask.
        min_signal_power: Lower clamp of γ, so that t = 1 keeps a finite log-SNR.
        max_signal_power: Upper clamp of γ.
    """

    input_scale: float = 0.3
    min_signal_power: float = 1e-6
    max_signal_power: float = 1.0 - 1e-4

    def signal_power(self, t: float) -> float:
        """Return γ_b(t), the share of the (unit) variance that is signal.

        Args:
            t: Diffusion time in [0, 1].
        """
        cosine = math.cos(0.5 * math.pi * t) ** 2
        b2 = self.input_scale**2
        shifted = b2 * cosine / ((b2 - 1.0) * cosine + 1.0)
        return min(max(shifted, self.min_signal_power), self.max_signal_power)

    def half_log_snr(self, t: float) -> float:
        """Return λ(t) = ½ ln(γ / (1 − γ)), the time axis of exponential integrators."""
        gamma = self.signal_power(t)
        return 0.5 * math.log(gamma / (1.0 - gamma))

    def times(self, num_steps: int) -> tuple[float, ...]:
        """Return the ``num_steps`` times at which the denoiser is called: 1, 1 − 1/S, …, 1/S.

        Raises:
            InvalidInputError: Fewer than one step.
        """
        if num_steps < 1:
            raise InvalidInputError("Sampling needs at least one step.", fix="Ask for 1 step or more.")
        return tuple(1.0 - i / num_steps for i in range(num_steps))
