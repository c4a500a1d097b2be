"""The calibration head can change how sure an answer is, never the answer."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from entrust.networks.calibration_head import MAX_LOG_TEMPERATURE, CalibrationHead
from tests.factories.networks import shaken


def random_features(num_classes: int, num_features: int, seed: int, sharpness: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, num_features, 12, 10)
    features = torch.rand(shape, generator=generator)
    for start in (0, num_classes):
        logits = sharpness * torch.randn((2, num_classes, 12, 10), generator=generator)
        features[:, start : start + num_classes] = logits.softmax(dim=1).clamp_min(1e-6).log()
    return features


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    num_classes=st.integers(2, 5),
    sharpness=st.floats(0.01, 20.0),
    weights=st.floats(0.0, 50.0),
)
@torch.no_grad()
def test_the_most_probable_class_stays(seed: int, num_classes: int, sharpness: float, weights: float) -> None:
    torch.manual_seed(seed)
    head = shaken(CalibrationHead(2 * num_classes + 8, num_classes), seed)
    for parameter in head.answer.parameters():
        parameter.mul_(weights)
    features = random_features(num_classes, 2 * num_classes + 8, seed, sharpness)
    probability, error_probability, log_temperature = head(features)
    log_probability = features[:, :num_classes]
    top = log_probability.topk(2, dim=1).values
    clear = top[:, 0] - top[:, 1] > 1e-4  # closer than this is a tie in float32
    assert (probability.argmax(dim=1) == log_probability.argmax(dim=1))[clear].all()
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(2, 12, 10))
    assert log_temperature.abs().max() <= MAX_LOG_TEMPERATURE
    assert ((error_probability >= 0.0) & (error_probability <= 1.0)).all()


@torch.no_grad()
def test_untrained_it_says_what_the_mixture_says() -> None:
    head = CalibrationHead(12, 2).eval()
    features = random_features(2, 12, 0, 3.0)
    mixture = features[:, :2].softmax(dim=1)
    probability, error_probability, log_temperature = head(features)
    assert log_temperature.abs().max() == 0.0
    torch.testing.assert_close(probability, mixture)
    doubt = (1.0 - mixture.amax(dim=1, keepdim=True)).clamp_min(1e-4)
    torch.testing.assert_close(error_probability, doubt, rtol=1e-3, atol=1e-6)


def test_it_learns_a_temperature() -> None:
    """Probabilities twice too sharp are softened back to the truth."""
    torch.manual_seed(0)
    head = CalibrationHead(12, 2)
    truth = torch.rand(4, 32, 32)
    labels = (torch.rand(4, 32, 32) < truth).long()
    logit = 2.0 * torch.logit(truth.clamp(0.02, 0.98))
    features = torch.zeros(4, 12, 32, 32)
    features[:, :2] = torch.stack([-logit / 2, logit / 2], dim=1).log_softmax(dim=1)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.nll_loss(head(features)[0].clamp_min(1e-6).log(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    temperature = head(features)[2].detach().exp().median()
    assert 1.6 < temperature < 2.5
