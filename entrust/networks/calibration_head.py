"""The calibration head of TrustMap: how far to trust each voxel's probabilities, and how likely its label is wrong.

It divides the mixture's log-probabilities by a temperature map, which cannot change the most probable class: the mask
is the same with and without the head. The error probability is a second, free answer.

Symbols (paper → name): p̄ → ``exp(log_probability)``; T(x) → ``exp(log_temperature)``; q → ``probability``;
e(x) → ``error_probability``.
Source: Ding et al., arXiv 2008.05105 (local temperature scaling); Wang et al., arXiv 2303.11196 (selective scaling).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

MAX_LOG_TEMPERATURE = 1.6
"""Clip of the log-temperature: T stays within 1/5 and 5."""

_LOG_PROBABILITY_SCALE = 0.1  # log-probabilities reach −14, the other features 1
_MIN_ERROR = 1e-4


class CalibrationHead(nn.Module):
    """Features of TrustMap → calibrated probabilities and an error probability, per voxel of a slice.

    Untrained it is the identity: temperature 1, and the error probability is what p̄ itself says, 1 − max p̄.

    Args:
        num_features: Input channels; the first C are log p̄, the next C log p1.
        num_classes: C, background included.
        hidden: Width of the two 3 × 3 convolutions.
    """

    def __init__(self, num_features: int, num_classes: int, hidden: int = 16) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scale: Tensor
        scale = torch.ones(num_features, 1, 1)
        scale[: 2 * num_classes] = _LOG_PROBABILITY_SCALE
        self.register_buffer("scale", scale, persistent=False)
        self.layers = nn.Sequential(
            nn.Conv2d(num_features, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(),
        )
        self.answer = nn.Conv2d(hidden, 2, 1)
        for parameter in self.answer.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, features: Float[Tensor, "b f h w"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
        """Calibrate a batch of slices.

        Args:
            features: As :func:`entrust.trustmap.calibration_features` orders them.

        Returns:
            Calibrated probabilities, the probability that the most probable class is wrong, and the log-temperature.
        """
        log_probability = features[:, : self.num_classes].float()
        answer = self.answer(self.layers(features * self.scale)).float()
        log_temperature = answer[:, :1].clamp(-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE)
        probability = (log_probability * torch.exp(-log_temperature)).softmax(dim=1)
        # p̄'s own verdict is the starting point; the network adds evidence to its log-odds
        doubt = (1.0 - log_probability.softmax(dim=1).amax(dim=1, keepdim=True)).clamp(_MIN_ERROR, 1.0 - _MIN_ERROR)
        error_logit = torch.log(doubt) - torch.log(1.0 - doubt) + answer[:, 1:]
        return probability, torch.sigmoid(error_logit), log_temperature
