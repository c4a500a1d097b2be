"""The second stage of training: EnFuse rests, and the denoiser learns to draw whole hypotheses in two steps."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.noise import NoiseModel
from entrust.schedule import Schedule
from training.augment import Batch
from training.energy_score import energy_score, squared_bias
from training.entrust_model import EnTrustNetworks, draw_noise
from training.precision import autocast


@dataclass(frozen=True)
class HypothesesLoss:
    """Cross-entropy of the first step, the marginal, and the energy score of what two steps draw.

    Attributes:
        num_classes: C.
        schedule: Noise schedule of the task.
        noise: Covariance of the start.
        samples: Hypotheses of a slice, at least 2.
        weight: Of the energy score beside the cross-entropy.
        bias: Weight of the distance between the hypotheses' mean and the marginal, beside the energy score.
    """

    num_classes: int
    schedule: Schedule
    noise: NoiseModel
    samples: int = 4
    weight: float = 0.03
    bias: float = 0.1

    def draw(
        self, denoiser: nn.Module, conditioning: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return hypotheses of slices in pairs, [b, k, c, h, w], and the first step's answer, their marginal.

        The steps are those of :func:`entrust.sampling.ddim` with eta = 0; the gradient is that of the second.
        """
        b, where = len(conditioning), conditioning.device
        shape = (b // 2, self.samples, self.num_classes, *size)
        start = draw_noise(self.noise, shape, generator, where).repeat_interleave(2, dim=0)
        ones = torch.ones(b, 1, device=where)
        with torch.no_grad():
            clean = denoiser(start, torch.zeros_like(start), ones, conditioning).softmax(dim=2) * 2.0 - 1.0
        now, then = self.schedule.signal_power(1.0), self.schedule.signal_power(0.5)
        noise = (start - now**0.5 * clean) / (1.0 - now) ** 0.5
        x = then**0.5 * clean + (1.0 - then) ** 0.5 * noise
        samples: Tensor = denoiser(x, clean, 0.5 * ones, conditioning).softmax(dim=2)
        return samples, 0.5 * (clean.mean(dim=1) + 1.0)

    def __call__(
        self, module: nn.Module, batch: Batch, progress: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the named losses of one batch; see :data:`training.fit.LossFunction`."""
        if not isinstance(module, EnTrustNetworks):
            raise TypeError("this loss is EnTrust's own")
        del progress
        where, (b, m) = batch.label.device, batch.images.shape[:2]
        keep, gain = torch.ones(b, 1, m, device=where), torch.ones(b, 1, device=where)
        label, size = batch.label, (batch.label.shape[-2], batch.label.shape[-1])
        truth = F.one_hot(label, self.num_classes).permute(0, 3, 1, 2).float()
        module.enfuse.eval()
        with autocast(where.type):
            with torch.no_grad():
                conditioning = module.enfuse(batch.images, batch.presence, keep, gain).conditioning[:, 0]
            start = draw_noise(self.noise, (b, 1, self.num_classes, *size), generator, where)
            logits = module.denoiser(start, torch.zeros_like(start), torch.ones(b, 1, device=where), conditioning)
            samples, marginal = self.draw(module.denoiser, conditioning, size, generator)
        surprise = F.cross_entropy(logits[:, 0].float(), label)
        joint = energy_score(samples, truth) + self.bias * squared_bias(samples, marginal)
        return {"marginal": surprise, "joint": joint, "total": surprise + self.weight * joint}
