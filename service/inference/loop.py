"""The sampling loop: EnFuse once per slice, the denoiser S times for K hypotheses, and the probes as one batch.

Slices go in chunks. Which slices share a chunk depends on the case alone, and every call is computed by itself, so
the same case gives the same bits whatever else runs. Two chunks are in flight at a time: while the gateway updates
one, Triton works on the other, and on CPUs each has a core.
"""

import asyncio
import dataclasses
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped

from entrust.conflict import Probe, probe_plan
from entrust.contract import ModelCard, Task, model_contracts
from entrust.errors import EnTrustError, InvalidInputError
from entrust.sampling import SAMPLERS, DenoiseCall, HypothesisNoise, Sampler, make_sampler
from entrust.slices import crop_plane, pad_plane, with_context
from entrust.uncertainty import Hypotheses, softmax
from service.inference.clockwork import Clockwork, OnProgress, Timings
from service.inference.executor import Executor
from service.observability.events import SILENCE, InferenceObserver, SamplingStep
from service.study import Case

CHUNK_PIXELS = 128 * 128
"""A chunk of n slices stands for n · 128² pixels; larger slices make smaller chunks, so that memory stays bounded."""
CHUNKS_IN_FLIGHT = 2
PROBE_HYPOTHESES = 2  # one antithetic pair: the same noise for every probe, so that differences are the probe's alone


@dataclass(frozen=True, eq=False)
class InferenceResult:
    """What the networks say about a case, and how long it took."""

    hypotheses: Hypotheses
    timings: Timings


@dataclass(frozen=True, eq=False)
class _Run:
    """What every chunk of a run needs."""

    executor: Executor
    task: Task
    probes: tuple[Probe, ...]
    noise: HypothesisNoise
    num_steps: int
    sampler: str
    eta: float
    precision: str
    observer: InferenceObserver
    clockwork: Clockwork
    images: Float32[np.ndarray, "m d h w"]  # padded
    presence: Float32[np.ndarray, "m d h w"]
    answer: Hypotheses  # arrays to be filled; not padded


def chunks(
    depths: Shaped[np.ndarray, "d"], height: int, width: int, *, chunk: int, limit: int
) -> list[Shaped[np.ndarray, "b"]]:
    """Split slices into the groups that go to Triton together.

    Args:
        depths: Slice numbers.
        height: Padded height in pixels.
        width: Padded width in pixels.
        chunk: Slices of 128 × 128 pixels in a group.
        limit: Largest number of slices in a group.
    """
    size = max(1, min(chunk * CHUNK_PIXELS // (height * width), limit))
    return [depths[start : start + size] for start in range(0, len(depths), size)]


async def run_inference(
    executor: Executor,
    case: Case,
    card: ModelCard,
    *,
    num_hypotheses: int,
    num_steps: int,
    seed: int,
    sampler: str = "ddim",
    eta: float | None = None,
    on_progress: OnProgress | None = None,
    cancelled: asyncio.Event | None = None,
    chunk: int = 8,
    precision: str = "fp32",
    observer: InferenceObserver = SILENCE,
) -> InferenceResult:
    """Draw hypotheses for a case and ask the probes.

    Slices in which no modality was acquired are background by definition and are not sent.

    Args:
        executor: Runs the networks.
        case: The study on the model's grid.
        card: The served model.
        num_hypotheses: K.
        num_steps: S.
        seed: Seed of all noise, non-negative.
        sampler: ``ddim`` or ``dpm++2m``.
        eta: Share of fresh noise for ``ddim``; the task's when ``None``.
        on_progress: Told after each call.
        cancelled: When set, the run stops before its next call.
        chunk: Slices of 128 × 128 pixels that go together.
        precision: What the engines compute in; a label of the metrics.
        observer: Told of each pass of a network.

    Raises:
        InvalidInputError: The numbers make no sense, or the case belongs to another task than the model.
        CancelledError: The caller took the request back.
        EnTrustError: Whatever the executor raises.
    """
    task = case.task
    _check_request(task, card, num_hypotheses, num_steps, seed, sampler)
    available = tuple(bool(case.presence[m].any()) for m in range(task.num_modalities))
    probes = probe_plan(task, available)
    depths = np.flatnonzero(case.presence.any(axis=(0, 2, 3)))
    images = pad_plane(case.images.astype(np.float32, copy=False), task.size_multiple)
    height, width = images.shape[-2:]
    limit = max(1, task.max_batch_size // len(probes))  # all probes of a chunk are one batch
    groups = chunks(depths, height, width, chunk=chunk, limit=limit)
    run = _Run(
        executor=executor,
        task=task,
        probes=probes,
        noise=HypothesisNoise(seed, num_hypotheses, task.num_classes, height, width, task.noise),
        num_steps=num_steps,
        sampler=sampler,
        eta=task.eta if eta is None else eta,
        precision=precision,
        observer=observer,
        clockwork=Clockwork(len(groups) * (num_steps + 2), num_steps, on_progress, cancelled),
        images=images,
        presence=pad_plane(case.presence.astype(np.float32), task.size_multiple),
        answer=_all_background(case, probes, num_hypotheses),
    )
    start = time.perf_counter()
    turns = asyncio.Semaphore(CHUNKS_IN_FLIGHT)

    async def in_turn(group: Shaped[np.ndarray, "b"]) -> None:
        async with turns:
            await _run_chunk(run, group)

    try:
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                tasks.create_task(in_turn(group))
    except* EnTrustError as failures:
        raise failures.exceptions[0] from None
    return InferenceResult(run.answer, run.clockwork.timings(time.perf_counter() - start))


def _check_request(task: Task, card: ModelCard, num_hypotheses: int, num_steps: int, seed: int, sampler: str) -> None:
    if card.task != task.name:
        raise InvalidInputError(f"The served model is for task {card.task}, the study was prepared for {task.name}.")
    if num_hypotheses < 1 or num_steps < 1:
        raise InvalidInputError("num_hypotheses and num_steps must be at least 1.")
    if not 0 <= seed < 2**64:
        raise InvalidInputError("seed must be between 0 and 2^64 - 1.")
    if sampler not in SAMPLERS:
        raise InvalidInputError("There is no sampler of that name.", fix=f"Use one of: {', '.join(SAMPLERS)}.")


def _all_background(case: Case, probes: tuple[Probe, ...], num_hypotheses: int) -> Hypotheses:
    """Return the answer for a volume in which nothing was acquired: background with certainty, no conflict."""
    task = case.task
    d, h, w = case.grid.shape
    c = task.num_classes

    def background(*leading: int) -> np.ndarray:
        probability = np.zeros((*leading, c, h, w), np.float32)
        probability[..., 0, :, :] = 1.0
        return probability

    return Hypotheses(
        marginal=background(d),
        samples=background(num_hypotheses, d),
        conflict=np.zeros((d, h, w), np.float32),
        pair_conflict=np.zeros((len(task.pairs), d, h, w), np.float32),
        unimodal=background(task.num_modalities, d),
        probes=probes,
        probe_marginals=background(len(probes), d),
    )


async def _run_chunk(run: _Run, depths: Shaped[np.ndarray, "b"]) -> None:
    """Do everything for one group of slices and write it into the run's answer."""
    conditioning = await _fuse(run, depths)
    await _sample(run, depths, np.ascontiguousarray(conditioning[:, 0]))
    await _probe(run, depths, conditioning)


async def _fuse(run: _Run, depths: Shaped[np.ndarray, "b"]) -> Float32[np.ndarray, "b v f h2 w2"]:
    """Run EnFuse with every probe as a variant; keep conflict and unimodal answers, return the conditioning."""
    task, contract = run.task, model_contracts(run.task)["enfuse"]
    b, v = len(depths), len(run.probes)
    h, w = run.images.shape[-2:]
    m, c, p, f = task.num_modalities, task.num_classes, len(task.pairs), task.conditioning_features
    keep = np.asarray([probe.keep for probe in run.probes], np.float32)
    gain = np.asarray([probe.conflict_gain for probe in run.probes], np.float32)
    async with run.clockwork.call("fusing", _pass(run.observer, "fusing", depths)):
        fused = await run.executor.infer(
            contract.name,
            {
                "images": with_context(run.images, depths, task.context_offsets),
                "presence": with_context(run.presence, depths, task.context_offsets),
                "keep": np.broadcast_to(keep, (b, v, m)),
                "conflict_gain": np.broadcast_to(gain, (b, v)),
            },
            {
                "conditioning": (b, v, f, h // 2, w // 2),
                "conflict": (b, 1, h, w),
                "pair_conflict": (b, p, h, w),
                "unimodal": (b, m, c, h, w),
            },
        )
    height, width = run.answer.conflict.shape[-2:]
    run.answer.conflict[depths] = crop_plane(fused["conflict"][:, 0], height, width)
    run.answer.pair_conflict[:, depths] = crop_plane(fused["pair_conflict"], height, width).swapaxes(0, 1)
    run.answer.unimodal[:, depths] = crop_plane(fused["unimodal"], height, width).swapaxes(0, 1)
    return fused["conditioning"]


async def _sample(run: _Run, depths: Shaped[np.ndarray, "b"], conditioning: Float32[np.ndarray, "b f h2 w2"]) -> None:
    """Drive the sampler: the first step's mean is the marginal, the last step's softmax the hypotheses."""
    height, width = run.answer.conflict.shape[-2:]
    start = np.repeat(run.noise.start(), len(depths), axis=0)  # [b, k, c, h, w]: one noise for all slices
    sampler = make_sampler(run.sampler, run.task.schedule, start, num_steps=run.num_steps, eta=run.eta, noise=run.noise)
    call: DenoiseCall | None = next(sampler)
    while call is not None:
        index = call.index
        step = SamplingStep(
            run.task.name, run.sampler, run.precision, index, start.shape[1], int(depths[0]), len(depths)
        )
        async with run.clockwork.call("sampling", run.observer.sampling_step(step), index=index):
            logits = await _denoise(run, call.x, call.clean, call.t, conditioning)
            # arithmetic on millions of voxels would hold up the event loop
            probability, call = await asyncio.to_thread(_advance, sampler, logits)
        if index == 0:
            run.answer.marginal[depths] = crop_plane(probability.mean(axis=1), height, width)
    run.answer.samples[:, depths] = crop_plane(probability, height, width).swapaxes(0, 1)


def _advance(
    sampler: Sampler, logits: Float32[np.ndarray, "b k c h w"]
) -> tuple[Float32[np.ndarray, "b k c h w"], DenoiseCall | None]:
    """Turn logits into the clean estimate and hand it to the sampler; no further call means that it is done."""
    probability = softmax(logits, axis=2)
    try:
        return probability, sampler.send(2.0 * probability - 1.0)
    except StopIteration:
        return probability, None


async def _probe(run: _Run, depths: Shaped[np.ndarray, "b"], conditioning: Float32[np.ndarray, "b v f h2 w2"]) -> None:
    """Ask the denoiser at t = 1 under every variant, all in one batch."""
    b, v = conditioning.shape[:2]
    height, width = run.answer.conflict.shape[-2:]
    noise = dataclasses.replace(run.noise, num_hypotheses=PROBE_HYPOTHESES).start()
    flat = conditioning.reshape(b * v, *conditioning.shape[2:])  # [b·v, f, h/2, w/2]
    async with run.clockwork.call("probing", _pass(run.observer, "probing", depths)):
        logits = await _denoise(run, np.repeat(noise, b * v, axis=0), None, 1.0, flat)
        marginal = await asyncio.to_thread(lambda: softmax(logits, axis=2).mean(axis=1))  # [b·v, c, h, w]
    variants = marginal.reshape(b, v, *marginal.shape[1:]).swapaxes(0, 1)
    run.answer.probe_marginals[:, depths] = crop_plane(variants, height, width)


async def _denoise(
    run: _Run,
    x: Float32[np.ndarray, "b k c h w"],
    clean: Float32[np.ndarray, "b k c h w"] | None,
    t: float,
    conditioning: Float32[np.ndarray, "b f h2 w2"],
) -> Float32[np.ndarray, "b k c h w"]:
    """Ask the denoiser for the logits of the clean mask."""
    answer = await run.executor.infer(
        model_contracts(run.task)["denoiser"].name,
        {
            "x": x,
            "clean": np.zeros_like(x) if clean is None else clean,
            "t": np.full((len(x), 1), t, np.float32),
            "conditioning": conditioning,
        },
        {"logits": x.shape},
    )
    return answer["logits"]


def _pass(observer: InferenceObserver, name: str, depths: Shaped[np.ndarray, "b"]) -> AbstractContextManager[object]:
    return observer.network_pass(name, first_slice=int(depths[0]), num_slices=len(depths))


async def calibrate(
    executor: Executor,
    task: Task,
    features: Float32[np.ndarray, "d f h w"],
    *,
    chunk: int = 32,
    observer: InferenceObserver = SILENCE,
) -> tuple[Float32[np.ndarray, "d c h w"], Float32[np.ndarray, "d h w"]]:
    """Ask the calibration head.

    Args:
        executor: Runs the networks.
        task: The task.
        features: As :func:`entrust.trustmap.calibration_features` returns them.
        chunk: Slices of 128 × 128 pixels that go together.
        observer: Told of each pass.

    Returns:
        Calibrated class probabilities, and the probability that the most likely class is wrong.

    Raises:
        EnTrustError: Whatever the executor raises.
    """
    contract, c = model_contracts(task)["calibration_head"], task.num_classes
    height, width = features.shape[-2:]
    padded = pad_plane(features, task.size_multiple)
    h, w = padded.shape[-2:]
    probability = np.empty((len(features), c, height, width), np.float32)
    error_probability = np.empty((len(features), height, width), np.float32)
    for depths in chunks(np.arange(len(features)), h, w, chunk=chunk, limit=contract.max_batch_size):
        b = len(depths)
        with _pass(observer, "calibrating", depths):
            answer = await executor.infer(
                contract.name,
                {"features": padded[depths]},
                {"probability": (b, c, h, w), "error_probability": (b, 1, h, w)},
            )
        probability[depths] = crop_plane(answer["probability"], height, width)
        error_probability[depths] = crop_plane(answer["error_probability"][:, 0], height, width)
    return probability, error_probability
