"""EnFuse and SegDiff trained together: the module, its loss, and one way to run it on a case."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from entrust.networks.enfuse import EnFuse
from entrust.networks.losses import (
    AuxiliaryHeads,
    alignment_loss,
    conflict_loss,
    cross_covariance_loss,
    domain_loss,
    reconstruction_loss,
    unimodal_loss,
)
from entrust.networks.segdiff import Denoiser
from entrust.noise import WHITE, NoiseModel
from entrust.schedule import Schedule
from training.augment import Batch
from training.config import FitConfig
from training.precision import autocast


class EnTrustNetworks(nn.Module):
    """EnFuse, the denoiser, and the heads that only training needs.

    Args:
        config: The run's configuration.
    """

    def __init__(self, config: FitConfig) -> None:
        super().__init__()
        self.enfuse = EnFuse(config.enfuse)
        self.denoiser = Denoiser(config.denoiser)
        self.auxiliary = AuxiliaryHeads(config.enfuse)


def draw_noise(model: NoiseModel, shape: tuple[int, ...], generator: torch.Generator, where: torch.device) -> Tensor:
    """Draw Gaussian noise of a model's covariance, [..., h, w]."""
    white = torch.randn(shape, generator=generator, device=where)
    share = model.smooth_share
    if not share:
        return white
    rows, columns = (torch.from_numpy(model.smoothing_matrix(n)).to(where) for n in shape[-2:])
    nodes = torch.randn((*shape[:-2], rows.shape[1], columns.shape[1]), generator=generator, device=where)
    mixed: Tensor = (1.0 - share) ** 0.5 * white + share**0.5 * (rows @ nodes @ columns.T)
    return mixed


@dataclass(frozen=True)
class SegDiffLoss:
    """Cross-entropy of the clean mask over noise levels, and EnFuse's auxiliary losses.

    Attributes:
        config: The run.
        schedule: Noise schedule of the task.
        noise_model: Covariance of the noise.
    """

    config: FitConfig
    schedule: Schedule
    noise_model: NoiseModel = WHITE

    def noisy(self, label: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        """Return x_t of the one-hot ±1 masks: label [b, h, w], t [b, 1] → [b, 1, c, h, w]."""
        classes = self.config.denoiser.num_classes
        clean = F.one_hot(label, classes).permute(0, 3, 1, 2).float() * 2.0 - 1.0
        gamma = torch.tensor([self.schedule.signal_power(float(v)) for v in t.flatten()], device=label.device)
        gamma = gamma.view(-1, 1, 1, 1)
        noise = draw_noise(self.noise_model, tuple(clean.shape), generator, label.device)
        return (gamma.sqrt() * clean + (1.0 - gamma).sqrt() * noise)[:, None]

    def times(self, batch: int, generator: torch.Generator, where: torch.device) -> Tensor:
        """Draw diffusion times [b, 1]: a share at exactly 1, the others stratified over (0, 1)."""
        order = torch.randperm(batch, generator=generator, device=where)
        t = (order + torch.rand(batch, generator=generator, device=where)) / batch
        terminal = round(self.config.terminal_share * batch)
        t[torch.randperm(batch, generator=generator, device=where)[:terminal]] = 1.0
        return t[:, None]

    def __call__(
        self, module: nn.Module, batch: Batch, progress: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the named losses of one batch; see :data:`training.fit.LossFunction`."""
        if not isinstance(module, EnTrustNetworks):
            raise TypeError("this loss is EnTrust's own")
        cfg, weights = self.config, self.config.losses
        where = batch.label.device
        b, m = batch.images.shape[:2]
        enfuse, denoiser, auxiliary = module.enfuse, module.denoiser, module.auxiliary
        t = self.times(b, generator, where)
        x = self.noisy(batch.label, t, generator)
        weight = torch.ones_like(batch.edited)
        if cfg.mask_edits:  # the label is that of the image before its edit
            weight = 1.0 - F.max_pool2d(batch.edited[:, None], 7, 1, 3)[:, 0]
        keep, gain = torch.ones(b, 1, m, device=where), torch.ones(b, 1, device=where)
        with autocast(where.type):
            fused = enfuse(batch.images, batch.presence, keep, gain)
            conditioning = fused.conditioning[:, 0]
            clean = torch.zeros_like(x)
            if torch.rand((), generator=generator, device=where) < cfg.self_conditioning:
                with torch.no_grad():
                    clean = denoiser(x, clean, t, conditioning).softmax(dim=2) * 2.0 - 1.0
                clean = clean * (t < 1.0).view(-1, 1, 1, 1, 1)  # the first step never has an earlier answer
            logits = denoiser(x, clean, t, conditioning)
        surprise = F.cross_entropy(logits[:, 0].float(), batch.label, reduction="none")
        terms = {"segmentation": (surprise * weight).mean()}
        terms["unimodal"] = torch.stack([unimodal_loss(s, batch.shown) for s in fused.scales]).mean()
        finest = fused.scales[0]
        terms["cross_covariance"] = cross_covariance_loss(finest)
        terms["alignment"] = torch.stack([alignment_loss(s) for s in fused.scales]).mean()
        terms["domain"] = domain_loss(finest, auxiliary)
        terms["reconstruction"] = reconstruction_loss(finest, auxiliary, batch.images[:, :, batch.images.shape[2] // 2])
        edited = batch.edited.flatten(1).amax(dim=1) > 0.0
        terms["conflict"] = torch.stack([conflict_loss(s, batch.edited, edited) for s in fused.scales]).mean()
        ramp = min(progress / cfg.warm_up, 1.0) if cfg.warm_up else 1.0
        terms["total"] = (
            terms["segmentation"]
            + weights.unimodal * terms["unimodal"]
            + weights.domain * terms["domain"]
            + weights.reconstruction * terms["reconstruction"]
            + ramp
            * (
                weights.cross_covariance * terms["cross_covariance"]
                + weights.alignment * terms["alignment"]
                + weights.conflict * terms["conflict"]
            )
        )
        return terms
