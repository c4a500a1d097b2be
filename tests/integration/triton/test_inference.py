import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import CancelledError, EnTrustError, InvalidInputError
from entrust.uncertainty import Hypotheses
from loadtests.in_process import InProcessExecutor
from service.inference import TritonClient, calibrate, load_card, run_inference
from service.observability.events import SamplingStep, Silence
from service.study import Case
from tests.factories.cases import small_case

K, S = 4, 3
ARRAYS = ("marginal", "samples", "conflict", "pair_conflict", "unimodal", "probe_marginals")


async def infer(executor, card, case: Case, **options) -> Hypotheses:
    arguments = {"num_hypotheses": K, "num_steps": S, "seed": 7, "chunk": 2} | options
    return (await run_inference(executor, case, card, **arguments)).hypotheses


def assert_same_bits(first: Hypotheses, second: Hypotheses) -> None:
    assert first.probes == second.probes
    for name in ARRAYS:
        a, b = getattr(first, name), getattr(second, name)
        assert a.dtype == b.dtype == np.float32
        assert np.array_equal(a, b), f"{name} differs by {np.abs(a - b).max()}"


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m"])
async def test_triton_gives_the_bits_of_the_same_models_in_process(
    triton_client: TritonClient, model_repository: Path, sampler: str
) -> None:
    case = small_case(ONCOLOGY, empty=(3,))
    card = await load_card(triton_client, ONCOLOGY)
    served = await infer(triton_client, card, case, sampler=sampler)
    here = await infer(InProcessExecutor(model_repository), card, case, sampler=sampler)
    assert_same_bits(served, here)
    assert served.samples.shape == (K, 7, 2, 40, 52)
    assert np.allclose(served.samples.sum(axis=2), 1.0, atol=1e-5)
    assert served.samples[..., 0, :, :][:, 3].min() == 1.0, "a slice without any modality is background"
    assert served.samples[0, 0].std() > 0, "and the others are not"


async def test_a_study_beside_it_changes_no_bit(triton_client: TritonClient) -> None:
    case, other = small_case(ONCOLOGY), small_case(ONCOLOGY, seed=1, shape=(9, 64, 33), missing=("pet",))
    card = await load_card(triton_client, ONCOLOGY)
    alone = await infer(triton_client, card, case)
    beside, *_ = await asyncio.gather(
        *(infer(triton_client, card, each, seed=seed) for each, seed in ((case, 7), (other, 1), (other, 2)))
    )
    assert_same_bits(alone, beside)


async def test_probes_follow_the_modalities_that_are_there(triton_client: TritonClient) -> None:
    card = await load_card(triton_client, ONCOLOGY)
    answer = await infer(triton_client, card, small_case(ONCOLOGY, missing=("ct", "t1")))
    assert [probe.name for probe in answer.probes] == ["base", "conflict_up", "conflict_down", "conflict_off"]
    assert answer.conflict.max() == 0.0, "one modality alone cannot disagree"
    assert np.array_equal(answer.probe_marginals[0], answer.probe_marginals[1])


class Listener(Silence):
    def __init__(self) -> None:
        self.steps: list[tuple[str, str, int]] = []

    @contextlib.contextmanager
    def sampling_step(self, step: SamplingStep, /) -> Iterator[None]:
        yield
        self.steps.append((step.task, step.sampler, step.index))


async def test_progress_counts_up_and_every_step_is_heard_of(triton_client: TritonClient) -> None:
    card, case = await load_card(triton_client, ONCOLOGY), small_case(ONCOLOGY)
    heard: list[tuple[str, int, int]] = []
    listener = Listener()
    result = await run_inference(
        triton_client, case, card, num_hypotheses=2, num_steps=S, seed=0, chunk=2,
        on_progress=lambda *progress: heard.append(progress), observer=listener,
    )  # fmt: skip
    total = heard[0][2]
    assert [step for _, step, _ in heard] == list(range(1, total + 1))
    assert {stage for stage, _, _ in heard} == {"fusing", "sampling", "probing"}
    assert result.timings.calls == total
    assert len(result.timings.step_seconds) == S
    num_chunks = total // (S + 2)
    assert sorted(listener.steps) == sorted(("oncology", "ddim", i) for i in range(S) for _ in range(num_chunks))


async def test_cancelling_ends_the_loop_before_its_next_call(triton_client: TritonClient) -> None:
    card, case = await load_card(triton_client, ONCOLOGY), small_case(ONCOLOGY)
    cancelled = asyncio.Event()
    heard: list[int] = []

    def on_progress(stage: str, step: int, of: int) -> None:
        heard.append(step)
        if stage == "sampling":
            cancelled.set()

    with pytest.raises(CancelledError):
        await infer(triton_client, card, case, cancelled=cancelled, on_progress=on_progress)
    count = len(heard)
    assert count <= 4, "calls in flight may end, new ones may not begin"
    assert_same_bits(await infer(triton_client, card, case), await infer(triton_client, card, case))
    assert len(heard) == count


async def test_the_calibration_head_over_triton_is_the_one_in_process(
    triton_client: TritonClient, model_repository: Path
) -> None:
    features = np.random.default_rng(0).standard_normal((5, ONCOLOGY.num_features, 40, 52)).astype(np.float32)
    served = await calibrate(triton_client, ONCOLOGY, features, chunk=1)
    here = await calibrate(InProcessExecutor(model_repository), ONCOLOGY, features, chunk=1)
    assert all(np.array_equal(a, b) for a, b in zip(served, here, strict=True))
    assert served[0].shape == (5, 2, 40, 52)
    assert served[1].shape == (5, 40, 52)


@pytest.mark.parametrize(
    "wrong", [{"num_hypotheses": 0}, {"num_steps": 0}, {"seed": -1}, {"seed": 2**64}, {"sampler": "euler"}]
)
async def test_senseless_requests_are_refused(
    triton_client: TritonClient, model_repository: Path, wrong: dict[str, object]
) -> None:
    card = await load_card(triton_client, ONCOLOGY)
    executor = InProcessExecutor(model_repository)
    with pytest.raises(InvalidInputError):
        await infer(executor, card, small_case(ONCOLOGY), **wrong)
    assert executor.calls == []


async def test_a_study_without_anything_is_refused(triton_client: TritonClient) -> None:
    card = await load_card(triton_client, ONCOLOGY)
    with pytest.raises(EnTrustError, match="at least one modality"):
        await infer(triton_client, card, small_case(ONCOLOGY, empty=tuple(range(7))))
