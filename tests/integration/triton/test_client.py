"""How failures of a real Triton look to the callers of the client."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from entrust.contract import ONCOLOGY, model_contracts
from entrust.errors import (
    DeadlineExceededError,
    InferenceFailedError,
    ModelUnavailableError,
    OverloadedError,
)
from service.inference import TritonClient, load_card
from service.observability.events import Silence, TritonCall
from service.shared_memory import FOLDER
from service.triton.canary import Canary, task_canaries
from service.triton.embedded import EmbeddedTriton
from service.triton.installation import Installation
from tests.factories.triton_models import copy_model, write_slow_model

HEAD = model_contracts(ONCOLOGY)["calibration_head"].name
FEATURES = {"features": task_canaries(ONCOLOGY)[HEAD].inputs["features"]}
PLANE = FEATURES["features"].shape[-2:]
ANSWER = {"probability": (1, 2, *PLANE), "error_probability": (1, 1, *PLANE)}


def seconds(value: float) -> dict[str, np.ndarray]:
    return {"x": np.full((1, 4), value, np.float32)}


class Calls(Silence):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int, int]] = []

    @contextlib.contextmanager
    def triton_call(self, *, address: str, model: str, sent_bytes: int) -> Iterator[TritonCall]:
        call = TritonCall()
        yield call
        self.heard.append((model, address, sent_bytes, call.received_bytes))


@pytest.fixture(scope="module")
async def odd_triton(
    triton_installation: Installation, model_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EmbeddedTriton]:
    """A server with a slow model, and with models that are not what the contract says."""
    repository = tmp_path_factory.mktemp("odd_repository")
    write_slow_model(repository)
    canaries = task_canaries(ONCOLOGY)
    copy_model(model_repository, repository, HEAD, max_batch_size=32)
    copy_model(model_repository, repository, "oncology_denoiser", parameters={"entrust_digest": "of another export"})
    copy_model(model_repository, repository, "oncology_enfuse", parameters={"entrust_contract": "0"})
    async with EmbeddedTriton(
        repository, canaries | {"slow": Canary(seconds(0.01))}, installation=triton_installation
    ) as server:
        yield server


@pytest.fixture(params=["auto", "off"])
async def odd_client(odd_triton: EmbeddedTriton, request: pytest.FixtureRequest) -> AsyncIterator[TritonClient]:
    async with TritonClient(odd_triton.url, shared_memory=request.param, recovery_seconds=0.5) as client:
        yield client


async def test_both_ways_carry_the_same_bits_and_count_the_same_bytes(odd_triton: EmbeddedTriton) -> None:
    answers, heard = [], []
    for way in ("auto", "off"):
        calls = Calls()
        async with TritonClient(odd_triton.url, shared_memory=way, observer=calls) as client:
            answers.append(await client.infer(HEAD, FEATURES, ANSWER))
            assert client.uses_shared_memory == (way == "auto")
        heard += calls.heard
    assert all(np.array_equal(answers[0][name], answers[1][name]) for name in ANSWER)
    size = FEATURES["features"].nbytes
    assert heard == [(HEAD, odd_triton.url, size, sum(4 * int(np.prod(s)) for s in ANSWER.values()))] * 2


async def test_arenas_are_reused_and_grow(odd_triton: EmbeddedTriton) -> None:
    async with TritonClient(odd_triton.url) as client:
        for batch in (1, 2, 40, 1):
            features = {"features": np.repeat(FEATURES["features"], batch, axis=0)}
            shapes = {name: (batch, *shape[1:]) for name, shape in ANSWER.items()}
            if batch > 32:
                with pytest.raises(InferenceFailedError, match="batch"):
                    await client.infer(HEAD, features, shapes)
            else:
                await client.infer(HEAD, features, shapes)
        assert client._arenas is not None
        prefix = client._arenas.prefix
        assert len([path for path in FOLDER.glob(f"{prefix}*") if path.suffix != ".lock"]) == 1
    assert not list(FOLDER.glob(f"{prefix}*"))


async def test_a_wrong_model_or_tensor_is_a_typed_error(odd_client: TritonClient) -> None:
    with pytest.raises(ModelUnavailableError):
        await odd_client.infer("oncology_nothing", FEATURES, ANSWER)
    with pytest.raises(InferenceFailedError):
        await odd_client.infer(HEAD, {"features": np.zeros((1, 3, 16, 16), np.float32)}, ANSWER)
    with pytest.raises(InferenceFailedError, match="instead of"):
        await odd_client.infer(HEAD, FEATURES, ANSWER | {"probability": (1, 2, 32, 32)})
    await odd_client.infer(HEAD, FEATURES, ANSWER)


async def test_a_full_queue_is_overload_at_once(odd_client: TritonClient) -> None:
    start = time.monotonic()
    calls = [odd_client.infer("slow", seconds(0.5), {"y": (1, 4)}) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, OverloadedError)]
    assert 1 <= len(refused) <= 5
    assert len(refused) + sum(isinstance(answer, dict) for answer in answers) == 8
    assert refused[0].retry_after_seconds > 0
    assert time.monotonic() - start < 20


async def test_a_call_out_of_time_is_said_to_be_and_hurts_no_later_one(odd_triton: EmbeddedTriton) -> None:
    for way in ("auto", "off"):
        async with TritonClient(odd_triton.url, shared_memory=way, call_timeout_seconds=0.3) as client:
            with pytest.raises(DeadlineExceededError):
                await client.infer("slow", seconds(1.0), {"y": (1, 4)})
        async with TritonClient(odd_triton.url, shared_memory=way) as client:
            answer = await client.infer("slow", seconds(0.0), {"y": (1, 4)})
            assert np.array_equal(answer["y"], np.zeros((1, 4), np.float32))


async def test_a_caller_who_leaves_is_free_at_once_and_hurts_no_later_one(odd_client: TritonClient) -> None:
    call = asyncio.create_task(odd_client.infer("slow", seconds(1.0), {"y": (1, 4)}))
    await asyncio.sleep(0.3)
    start = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - start < 0.5
    answer = await odd_client.infer("slow", seconds(0.125), {"y": (1, 4)})
    assert np.array_equal(answer["y"], np.full((1, 4), 0.125, np.float32))


async def test_without_common_shared_memory_tensors_go_over_the_wire(
    odd_triton: EmbeddedTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # names that the server does not find, as on another host
    monkeypatch.setattr("service.inference.arena.FOLDER", tmp_path)
    async with TritonClient(odd_triton.url) as client:
        answer = await client.infer(HEAD, FEATURES, ANSWER)
        assert not client.uses_shared_memory
    assert answer["probability"].shape == ANSWER["probability"]
    assert not list(tmp_path.iterdir())


async def test_nobody_at_the_address_is_model_unavailable_after_the_time_given() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{reserved.getsockname()[1]}"
        async with TritonClient(url, recovery_seconds=0.5) as client:
            start = time.monotonic()
            assert not await client.is_ready([HEAD])
            with pytest.raises(ModelUnavailableError):
                await client.infer(HEAD, FEATURES, ANSWER)
            with pytest.raises(ModelUnavailableError):
                await load_card(client, ONCOLOGY, patient=False)
            assert time.monotonic() - start < 20


async def test_what_differs_from_the_contract_is_named(odd_client: TritonClient) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        await load_card(odd_client, ONCOLOGY)
    for words in (
        "oncology_calibration_head: max_batch_size is 32, not 64",
        "oncology_enfuse: made for contract 0",
        "different exports",
        "python -m export --task oncology",
    ):
        assert words in str(caught.value)


async def test_what_is_as_promised_is_accepted(triton_client: TritonClient) -> None:
    card = await load_card(triton_client, ONCOLOGY)
    assert card.task == "oncology"
    assert len(card.digest) == 64
    assert await triton_client.is_ready([contract.name for contract in model_contracts(ONCOLOGY).values()])
    assert not await triton_client.is_ready(["oncology_nothing"])
