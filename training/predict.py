"""Run trained networks on whole cases in process, with the samplers and the mathematics of the gateway."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from entrust.conflict import Probe, probe_plan
from entrust.contract import Task
from entrust.networks.enfuse import EnFuse
from entrust.sampling import HypothesisNoise, make_sampler
from entrust.slices import crop_plane, pad_plane, with_context
from entrust.uncertainty import Hypotheses
from training.datasets.case import TrainingCase
from training.precision import autocast

CHUNK = 8
"""Slices a pass."""


def slice_chunks(task: Task, case: TrainingCase, chunk: int = CHUNK) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Yield slice numbers, images and presence [b, m, z, h, w], padded, ``chunk`` slices at a time."""
    images = pad_plane(case.images, task.size_multiple)
    presence = pad_plane(case.presence.astype(np.float32), task.size_multiple)
    for start in range(0, case.depth, chunk):
        depths = np.arange(start, min(start + chunk, case.depth))
        yield (
            depths,
            torch.from_numpy(with_context(images, depths, task.context_offsets)),
            torch.from_numpy(with_context(presence, depths, task.context_offsets)),
        )


def _torch_noise(source: HypothesisNoise, index: int) -> Tensor:
    """Return the noise of one step as a tensor [1, k, c, h, w]."""
    return torch.from_numpy(source(index))


@torch.inference_mode()
def predict_hypotheses(
    enfuse: EnFuse,
    denoiser: nn.Module,
    task: Task,
    case: TrainingCase,
    *,
    num_hypotheses: int,
    num_steps: int,
    seed: int,
    sampler: str = "ddim",
    probing: bool = True,
    chunk: int = CHUNK,
) -> Hypotheses:
    """Draw hypotheses and probe, as :mod:`service.inference` does through Triton.

    Args:
        enfuse: Fitted EnFuse.
        denoiser: Fitted denoiser, or what answers as one.
        task: The task.
        case: The patient.
        num_hypotheses: K.
        num_steps: S.
        seed: Seed of the noise.
        sampler: Name in :data:`entrust.sampling.SAMPLERS`.
        probing: Ask all probes, not the unchanged study alone.
        chunk: Slices a pass.
    """
    available = tuple(bool(p.any()) for p in case.presence)
    probes: tuple[Probe, ...] = probe_plan(task, available)
    if not probing:
        probes = probes[:1]
    keep = torch.tensor([p.keep for p in probes], dtype=torch.float32)
    gain = torch.tensor([p.conflict_gain for p in probes], dtype=torch.float32)
    h, w = case.label.shape[1:]
    v, c = len(probes), task.num_classes
    parts: dict[str, list[np.ndarray]] = {}

    def collect(name: str, tensor: Tensor, axis: int) -> None:
        array = np.moveaxis(tensor.float().numpy(), 0, axis)
        parts.setdefault(name, []).append(crop_plane(array, h, w))

    with autocast("cpu"):
        for _, images, presence in slice_chunks(task, case, chunk):
            b, hp, wp = images.shape[0], images.shape[-2], images.shape[-1]
            out = enfuse(images, presence, keep.expand(b, v, -1), gain.expand(b, v))
            finest = out.scales[0]
            first = torch.arange(b) * v

            def full(x: Tensor) -> Tensor:
                return nn.functional.interpolate(x.float(), scale_factor=2.0, mode="bilinear", align_corners=False)

            collect("conflict", full(torch.sigmoid(finest.conflict_logit[first].float()))[:, 0], 0)
            collect("pair_conflict", full(finest.pair_conflict[first]), 1)
            unimodal = finest.unimodal_logits[first].float().softmax(dim=2)
            m, hs, ws = unimodal.shape[1], unimodal.shape[-2], unimodal.shape[-1]
            collect("unimodal", full(unimodal.reshape(b * m, c, hs, ws)).view(b, m, c, hp, wp), 1)

            noise = HypothesisNoise(seed, num_hypotheses, c, hp, wp, task.noise)
            conditioning = out.conditioning[:, 0]
            x_start = torch.from_numpy(noise.start()).expand(b, -1, -1, -1, -1)
            steps = make_sampler(
                sampler,
                task.schedule,
                x_start,
                num_steps=num_steps,
                eta=task.eta,
                noise=partial(_torch_noise, noise),
            )
            call = next(steps)
            while True:
                clean = torch.zeros_like(call.x) if call.clean is None else call.clean
                t = torch.full((b, 1), call.t)
                soft = denoiser(call.x.contiguous(), clean, t, conditioning).softmax(dim=2)
                if call.index == 0:
                    collect("marginal", soft.mean(dim=1), 0)
                try:
                    call = steps.send(soft * 2.0 - 1.0)
                except StopIteration:
                    break
            collect("samples", soft, 1)

            pair = torch.from_numpy(HypothesisNoise(seed, 2, c, hp, wp, task.noise).start()).expand(
                b * v, -1, -1, -1, -1
            )
            probed = (
                denoiser(
                    pair.contiguous(),
                    torch.zeros(b * v, 2, c, hp, wp),
                    torch.ones(b * v, 1),
                    out.conditioning.reshape(b * v, -1, hp // 2, wp // 2),
                )
                .softmax(dim=2)
                .mean(dim=1)
            )
            collect("probe_marginals", probed.view(b, v, c, hp, wp), 1)

    joined = {
        name: np.concatenate(arrays, axis=0 if name in ("conflict", "marginal") else 1)
        for name, arrays in parts.items()
    }
    return Hypotheses(
        marginal=joined["marginal"],
        samples=joined["samples"],
        conflict=joined["conflict"],
        pair_conflict=joined["pair_conflict"],
        unimodal=joined["unimodal"],
        probes=probes,
        probe_marginals=joined["probe_marginals"],
    )
