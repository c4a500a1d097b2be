"""Carry tensors to Triton and back: gRPC, with shared memory where the server is on this host.

Every call is pure, so a call that Triton loses (a killed model process, a restarted server) is simply made again
while the server comes back; only when that takes too long does the caller hear of it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

import numpy as np
import structlog
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from entrust.errors import EnTrustError, InferenceFailedError
from service.inference.arena import Arena, ArenaPool, place
from service.inference.executor import Shape
from service.inference.failures import is_region_unknown, is_transient, translate
from service.observability.events import SILENCE, InferenceObserver
from service.shared_memory import FOLDER, sweep

log = structlog.get_logger()

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC's own defaults wait a second and more before it looks again for a server that has come back
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]
RETRY_SECONDS = 0.2
ADMIN_TIMEOUT_SECONDS = 5.0
REGISTER_ATTEMPTS = 3
UNREGISTER_ATTEMPTS = 5
UNREGISTER_PAUSE_SECONDS = 0.05
SHARED_MEMORY_PREFIX = "entrust_client_"


class TritonClient:
    """One connection to one Triton, kept for the life of the gateway.

    Args:
        url: ``host:port`` of Triton's gRPC.
        shared_memory: ``auto`` tries shared memory and falls back to plain gRPC; ``off`` never tries.
        recovery_seconds: How long a lost call is repeated before its caller hears of it.
        call_timeout_seconds: How long one call may take.
        observer: Hears of every call.
    """

    def __init__(
        self,
        url: str,
        *,
        shared_memory: Literal["auto", "off"] = "auto",
        recovery_seconds: float = 15.0,
        call_timeout_seconds: float = 120.0,
        observer: InferenceObserver = SILENCE,
    ) -> None:
        self._url = url
        self._recovery_seconds = recovery_seconds
        self._call_timeout_seconds = call_timeout_seconds
        self._observer = observer
        self._wants_shared_memory = shared_memory == "auto"
        self._swept = False
        self._connection: InferenceServerClient | None = None
        self._arenas: ArenaPool | None = None
        self._unfinished: set[asyncio.Future[Any]] = set()

    async def __aenter__(self) -> Self:
        """Return the client; it connects with its first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    @property
    def uses_shared_memory(self) -> bool:
        """Whether tensors go through shared memory, as far as is known by now."""
        return self._wants_shared_memory and self._arenas is not None

    async def close(self) -> None:
        """Let go of the connection and the shared memory."""
        if self._unfinished:
            await asyncio.wait(self._unfinished, timeout=self._call_timeout_seconds)
        if self._arenas is not None:
            await self._arenas.close()
            self._arenas = None
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def infer(
        self, model: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, Shape]
    ) -> dict[str, np.ndarray]:
        """Run a model; see :meth:`service.inference.executor.Executor.infer`.

        Raises:
            ModelUnavailableError: Triton or the model is away for longer than the time given for recovery.
            InferenceFailedError: The model failed, or its answer has another shape than it should.
            OverloadedError: The model's queue is full.
            DeadlineExceededError: The call took too long.
        """
        arrays = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in inputs.items()}
        sent_bytes = sum(array.nbytes for array in arrays.values())
        clock = asyncio.get_running_loop().time
        give_up: float | None = None
        while True:
            try:
                with self._observer.triton_call(address=self._url, model=model, sent_bytes=sent_bytes) as call:
                    try:
                        answer = await self._call(model, arrays, outputs, call.headers)
                    except InferenceServerException as error:
                        raise translate(error, model) from error
                    call.received_bytes = sum(array.nbytes for array in answer.values())
                    return answer
            except EnTrustError as error:
                lost = isinstance(error.__cause__, InferenceServerException) and is_transient(error.__cause__)
                give_up = give_up or clock() + self._recovery_seconds
                if not lost or clock() >= give_up:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def is_ready(self, models: Iterable[str]) -> bool:
        """Return whether the server and each of ``models`` say that they are ready."""
        try:
            async with asyncio.timeout(ADMIN_TIMEOUT_SECONDS):
                if not await self._client.is_server_ready():
                    return False
                return all([await self._client.is_model_ready(model) for model in models])
        except (InferenceServerException, TimeoutError):
            return False

    async def describe(self, model: str, *, patient: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a model's metadata and configuration as Triton tells them.

        Args:
            model: Its name.
            patient: Wait for a server or model that is coming back.

        Raises:
            ModelUnavailableError: Triton or the model is not there.
        """
        give_up = time.monotonic() + (self._recovery_seconds if patient else 0.0)
        options: dict[str, Any] = {"as_json": True, "client_timeout": ADMIN_TIMEOUT_SECONDS}
        while True:
            try:
                metadata = await self._client.get_model_metadata(model, **options)
                config = await self._client.get_model_config(model, **options)
                return metadata, config["config"]
            except InferenceServerException as error:
                if not is_transient(error) or time.monotonic() >= give_up:
                    raise translate(error, model) from error
            await asyncio.sleep(RETRY_SECONDS)

    async def known_models(self) -> frozenset[str]:
        """Return the names of the models that Triton was told to load, whether it serves them at this moment or not.

        Raises:
            ModelUnavailableError: Triton is not there.
        """
        try:
            index = await self._client.get_model_repository_index(as_json=True, client_timeout=ADMIN_TIMEOUT_SECONDS)
        except InferenceServerException as error:
            raise translate(error, "index") from error
        return frozenset(model["name"] for model in index.get("models", ()) if model.get("state"))

    @property
    def _client(self) -> InferenceServerClient:
        if self._connection is None:  # made late, because it belongs to the event loop that runs it
            self._connection = InferenceServerClient(self._url, channel_args=CHANNEL_OPTIONS)
        return self._connection

    async def _call(
        self, model: str, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Shape], headers: Mapping[str, str]
    ) -> dict[str, np.ndarray]:
        """Make one call by the best way there is."""
        for _ in range(REGISTER_ATTEMPTS):
            arena = await self._lease(arrays, outputs)
            if arena is None:
                break
            try:
                return await self._call_shared(arena, model, arrays, outputs, headers)
            except InferenceServerException as error:
                if not is_region_unknown(error):
                    raise
                arena.registered = False  # the server was restarted; the next attempt registers again
                if self._arenas is not None:
                    self._arenas.forget_registrations()
        return await self._call_plain(model, arrays, outputs, headers)

    async def _call_plain(
        self, model: str, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Shape], headers: Mapping[str, str]
    ) -> dict[str, np.ndarray]:
        """Send the tensors in the messages."""
        tensors = [_infer_input(name, array).set_data_from_numpy(array) for name, array in arrays.items()]
        result = await self._client.infer(
            model, tensors, outputs=[InferRequestedOutput(name) for name in outputs],
            headers=headers, client_timeout=self._call_timeout_seconds,
        )  # fmt: skip
        answer = {}
        for name, shape in outputs.items():
            array = result.as_numpy(name)
            _check_shape(model, name, None if array is None else array.shape, shape)
            answer[name] = np.array(array)  # the message's bytes are read-only
        return answer

    async def _call_shared(
        self,
        arena: Arena,
        model: str,
        arrays: Mapping[str, np.ndarray],
        outputs: Mapping[str, Shape],
        headers: Mapping[str, str],
    ) -> dict[str, np.ndarray]:
        """Put the tensors into shared memory and send only their places."""
        places, _ = place({name: array.shape for name, array in arrays.items()} | dict(outputs))
        tensors, requested = [], []
        for name, array in arrays.items():
            arena.view(places[name])[...] = array
            tensor = _infer_input(name, array)
            tensor.set_shared_memory(arena.name, array.nbytes, places[name].offset)
            tensors.append(tensor)
        for name in outputs:
            output = InferRequestedOutput(name)
            output.set_shared_memory(arena.name, places[name].size_bytes, places[name].offset)
            requested.append(output)
        call = asyncio.ensure_future(
            self._client.infer(
                model, tensors, outputs=requested, headers=headers, client_timeout=self._call_timeout_seconds
            )
        )
        try:
            # A call in flight is never torn off: the server would go on to write into memory that has a new user.
            # Who cancels is free at once; the call ends by itself and its arena then returns to the pool.
            result = await asyncio.shield(call)
            for name, shape in outputs.items():
                output = result.get_output(name)
                _check_shape(model, name, None if output is None else tuple(output.shape), shape)
            return {name: arena.view(places[name]).copy() for name in outputs}
        finally:
            if call.done():
                self._finish(call, arena)
            else:
                self._unfinished.add(call)
                call.add_done_callback(lambda done: self._finish(done, arena))

    def _finish(self, call: "asyncio.Future[Any]", arena: Arena) -> None:
        """Take an arena back once nobody writes to it any more."""
        self._unfinished.discard(call)
        error = None if call.cancelled() else call.exception()  # asked for, so that nobody complains of its loss
        out_of_time = isinstance(error, InferenceServerException) and "DEADLINE" in str(error.status())
        if call.cancelled() or out_of_time or self._arenas is None:
            arena.unlink()  # the server may still write to it: never used again, freed when the server lets go of it
        else:
            self._arenas.give_back(arena)

    async def _lease(self, arrays: Mapping[str, np.ndarray], outputs: Mapping[str, Shape]) -> Arena | None:
        """Return a registered arena with room for a call, or ``None`` when tensors go over the wire."""
        if not self._wants_shared_memory:
            return None
        try:
            if self._arenas is None:
                sweep()
                self._arenas = ArenaPool(self._unregister)
            _, size_bytes = place({name: array.shape for name, array in arrays.items()} | dict(outputs))
            arena = await self._arenas.lease(size_bytes)
        except OSError as error:  # no shared memory here, or not enough of it
            log.warning("shared-memory-exhausted", error=type(error).__name__)
            return None
        if arena.registered:
            return arena
        try:
            await self._client.register_system_shared_memory(
                arena.name, f"/{arena.name}", arena.size_bytes, client_timeout=ADMIN_TIMEOUT_SECONDS
            )
        except InferenceServerException as error:
            arena.unlink()
            if is_transient(error):
                raise
            log.info("shared-memory-refused", reason=str(error.status()))
            self._wants_shared_memory = False  # another host, or a server that does not allow it
            return None
        arena.registered = True
        if not self._swept:
            self._swept = True
            await self._forget_the_dead()
        return arena

    async def _forget_the_dead(self) -> None:
        """Have the server let go of arenas whose gateways died; it shares this host's memory, so it can be told."""
        status = await self._client.get_system_shared_memory_status(as_json=True)
        for name in status.get("regions", {}):
            if name.startswith(SHARED_MEMORY_PREFIX) and not (FOLDER / name).exists():
                await self._unregister(name)

    async def _unregister(self, name: str) -> None:
        """Have the server let go of an arena; just after a call it may still hold it for a moment."""
        for _ in range(UNREGISTER_ATTEMPTS):
            try:
                await self._client.unregister_system_shared_memory(name, client_timeout=ADMIN_TIMEOUT_SECONDS)
                return
            except InferenceServerException as error:
                if is_transient(error):  # a server that is gone has forgotten it anyway
                    return
                reason = str(error.status())
            await asyncio.sleep(UNREGISTER_PAUSE_SECONDS)
        log.info("shared-memory-unregister-failed", reason=reason)


def _infer_input(name: str, array: np.ndarray) -> Any:
    return InferInput(name, list(array.shape), "FP32")


def _check_shape(model: str, name: str, shape: Shape | None, expected: Shape) -> None:
    """Refuse an answer that is not what was asked for.

    Raises:
        InferenceFailedError: It is missing or has another shape.
    """
    if shape is None or tuple(shape) != tuple(expected):
        raise InferenceFailedError(
            f"Model {model} answered {name} with shape {shape} instead of {tuple(expected)}.",
            fix="Export the model repository again with this version.",
        )
