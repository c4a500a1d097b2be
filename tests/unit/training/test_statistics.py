"""After a fit, statistics of normalisation are those of the batches they are measured on; nothing else moves."""

import torch
from torch import Tensor, nn

from training.augment import Batch
from training.statistics import measure_statistics

NUM = 40


def batch(iteration: int) -> Batch:
    rng = torch.Generator().manual_seed(iteration)
    images = 3.0 + 2.0 * torch.randn((2, 1, 1, 8, 8), generator=rng)
    return Batch(images, torch.ones_like(images), *(torch.zeros(2, 8, 8, dtype=torch.int64) for _ in range(3)))


def loss(module: nn.Module, drawn: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
    assert progress == 1.0
    return {"total": module(drawn.images[:, 0]).mean()}


def two_norms() -> nn.Sequential:
    module = nn.Sequential(nn.BatchNorm2d(1, momentum=0.1), nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    for norm in (module[0], module[2]):
        norm.running_mean.fill_(7.0)
    return module.eval()


def test_statistics_are_those_of_the_batches() -> None:
    module = two_norms()
    weights = {name: value.clone() for name, value in module.named_parameters()}
    measure_statistics(module, module, loss, batch, NUM, seed=0)
    shown = torch.cat([batch(i).images for i in range(NUM)])
    assert torch.allclose(module[0].running_mean, shown.mean(), atol=1e-4), "a plain mean, not a running one"
    assert torch.allclose(module[0].running_var, shown.var(), rtol=0.02)
    assert abs(module(shown[:, 0]).mean().item()) < 1e-3, "what follows is normalised, too"
    assert module[0].momentum == 0.1
    assert not module.training
    assert not module[0].training
    for name, value in module.named_parameters():
        assert torch.equal(value, weights[name]), name


def test_what_did_not_learn_keeps_its_statistics() -> None:
    module = two_norms()
    measure_statistics(module[2], module, loss, batch, NUM, seed=0)
    assert float(module[0].running_mean) == 7.0
    assert float(module[2].running_mean) != 7.0
