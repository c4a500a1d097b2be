"""Start a real tritonserver beside the gateway, and see to it that it really answers.

What Triton does not do by itself and this does (all of it seen on 2.51):
- a killed stub leaves *ready* standing and every later request failing: the stubs are watched in /proc and each model
  answers a canary every few seconds; unload and load repairs it (load alone does not);
- a killed server leaves its shared memory behind: it is restarted on the same ports and its leftovers removed;
- the server never outlives its gateway.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import numpy as np
import structlog

from entrust.errors import EnTrustError, ModelUnavailableError
from service.observability.events import SILENCE, TritonObserver
from service.observability.trace_collector import Collector
from service.shared_memory import Namespace, sweep
from service.triton.canary import Canary, ask, digest
from service.triton.command import ADDRESS, EXIT_SECONDS, Ports, command_line, environment, free_ports
from service.triton.installation import Installation
from service.triton.processes import end_abandoned, end_orphans, is_running, serves, stubs

log = structlog.get_logger()

WATCH_SECONDS = 0.25
LOG_TAIL_LINES = 25
MAX_BACKOFF_SECONDS = 10.0
CANARY_SECONDS = 5.0
MISSED_CANARIES = 12
"""Canaries in a row without any answer until a server counts as hung; a busy one is merely late."""


class EmbeddedTriton:
    """One tritonserver, from start to stop: ``async with EmbeddedTriton(repository, canaries) as triton: …``.

    Args:
        repository: Model repository; read only.
        canaries: The models to serve, each with a question that tells whether it answers.
        installation: Where the server's files are.
        start_timeout_seconds: How long the server may take until it is ready.
        canary_interval_seconds: Time between two rounds of canaries.
        metrics_port: Where the server tells its own metrics; 0 picks a free port.
        observer: Hears of canaries, dead processes and repairs.
        collector: Where the server sends its part of a caller's trace; nowhere when None.
    """

    def __init__(
        self,
        repository: Path,
        canaries: Mapping[str, Canary],
        *,
        installation: Installation | None = None,
        start_timeout_seconds: float = 120.0,
        canary_interval_seconds: float = 5.0,
        metrics_port: int = 0,
        observer: TritonObserver = SILENCE,
        collector: Collector | None = None,
    ) -> None:
        self._repository = repository.resolve()
        self._canaries = dict(canaries)
        self._installation = installation or Installation()
        self._start_timeout_seconds = start_timeout_seconds
        self._canary_interval_seconds = canary_interval_seconds
        self._metrics_port = metrics_port
        self._observer = observer
        self._collector = collector
        self._known: dict[str, str] = {}  # model → digest of the right answer
        self._stubs: dict[int, tuple[str, ...]] = {}
        self._missed = 0
        self._ports = Ports()
        self._process: asyncio.subprocess.Process | None = None
        self._namespace: Namespace | None = None
        self._http: httpx.AsyncClient | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """``host:port`` of gRPC; stays the same over restarts."""
        return f"{ADDRESS}:{self._ports.grpc}"

    @property
    def http_url(self) -> str:
        """Address of the HTTP protocol."""
        return f"http://{ADDRESS}:{self._ports.http}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus may scrape Triton's own metrics."""
        return f"http://{ADDRESS}:{self._ports.metrics}/metrics"

    @property
    def pid(self) -> int:
        """Process number of the server now running."""
        if self._process is None:
            raise ModelUnavailableError("The embedded Triton is not running.")
        return self._process.pid

    @property
    def shared_memory_prefix(self) -> str:
        """Prefix of what the server keeps in /dev/shm."""
        return self._namespace.prefix if self._namespace else ""

    async def __aenter__(self) -> Self:
        """Start and supervise."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Start the server, wait until every model answers, and keep watch from then on.

        Raises:
            ModelUnavailableError: It is not installed, a model is missing or does not load, or it took too long; the
                end of the server's log is in the message.
        """
        self._installation.require()
        for model in self._canaries:
            if not (self._repository / model / "config.pbtxt").is_file():
                raise ModelUnavailableError(
                    f"The model repository has no model {model!r}.", fix="Run python -m export --task <task>."
                )
        end_abandoned(sweep())
        self._namespace = Namespace("server")
        self._folder = tempfile.TemporaryDirectory(prefix="entrust-triton-")
        self._ports = free_ports(self._metrics_port)
        # an idle connection that is kept alive would hold up the server's exit for the whole of its timeout
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=self.http_url, timeout=10.0, trust_env=False, limits=limits)
        try:
            await self._launch()
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="triton-supervisor")

    async def stop(self) -> None:
        """Stop the server and leave nothing behind; a second call does nothing."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        await self._end_process()
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        try:
            lines = self._log_path.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LOG_TAIL_LINES:])

    @property
    def _log_path(self) -> Path:
        return Path(self._folder.name if self._folder else os.devnull) / "server.log"

    async def _launch(self) -> None:
        """Start the process and wait until every model has answered its canary."""
        if self._namespace is not None:
            self._namespace.clear()
        with self._log_path.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command_line(
                    self._installation,
                    self._repository,
                    self._canaries,
                    self._ports,
                    shared_memory_prefix=self.shared_memory_prefix,
                    collector=self._collector,
                ),
                env=environment(self._installation, self._collector),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in a terminal is for the gateway, which stops the server in order
            )
        try:
            async with asyncio.timeout(self._start_timeout_seconds):
                while not await self._is_ready():
                    if self._process.returncode is not None:
                        raise self._failure("The embedded Triton stopped while it was starting.")
                    await asyncio.sleep(0.05)
                await self._ask_all(10.0)
        except TimeoutError:
            raise self._failure("The embedded Triton was not ready in time.") from None
        self._stubs = stubs(self.pid)
        log.info("triton-ready", process_id=self.pid, port=self._ports.metrics)

    def _failure(self, message: str) -> ModelUnavailableError:
        return ModelUnavailableError(f"{message} The end of its log:\n{self.log_tail()}\n")

    async def _end_process(self) -> None:
        """Stop the process: first kindly, then surely."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EXIT_SECONDS + 2.0):
                    await process.wait()
                break
        end_orphans(self._stubs)
        self._stubs = {}

    async def _supervise(self) -> None:
        """Watch for ever; whatever goes wrong while repairing leads to a restart."""
        backoff_seconds = 0.0
        while True:
            try:
                await self._watch()
            except (EnTrustError, httpx.HTTPError, OSError) as error:
                log.warning("triton-restart", error=type(error).__name__, attempt=int(backoff_seconds))
            await asyncio.sleep(backoff_seconds)
            backoff_seconds = min(2.0 * backoff_seconds + 0.5, MAX_BACKOFF_SECONDS)
            try:
                await self._end_process()
                self._observer.triton_repair(action="restart")
                await self._launch()
                backoff_seconds = 0.0
            except (EnTrustError, httpx.HTTPError, OSError) as error:
                log.error("triton-restart-failed", error=type(error).__name__)

    async def _watch(self) -> None:
        """Return when the server must be restarted; repair what can be repaired in place."""
        clock = asyncio.get_running_loop().time
        due = clock() + self._canary_interval_seconds
        self._missed = 0
        while self._process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._process.wait()
                log.warning("triton-died", code=self._process.returncode)
                return
            broken = dead = self._models_without_stub()
            if not broken and clock() >= due:
                broken = await self._broken_models()
                dead = self._models_without_stub()  # one may have died while canaries were asked
                broken = broken | dead
                due = clock() + self._canary_interval_seconds
            if not is_running(self.pid):
                continue  # the server is gone, and its stubs with it: its end is about to be told above
            for model in dead:
                self._observer.triton_stub_death(model=model)
            if broken:
                await self._reload(broken)
            if self._missed >= MISSED_CANARIES:
                log.warning("triton-hangs")
                return

    def _models_without_stub(self) -> set[str]:
        """Return the models one of whose processes has died since they were loaded."""
        living = stubs(self.pid)
        dead = [command for pid, command in self._stubs.items() if pid not in living]
        return {model for model in self._canaries for command in dead if serves(command, model)}

    async def _broken_models(self) -> set[str]:
        """Ask every canary; return the models that answered wrongly."""
        broken = set()
        for model in self._canaries:
            try:
                await self._ask(model, CANARY_SECONDS)
                self._missed = 0
                self._observer.triton_canary(model=model, outcome="ok")
            except (TimeoutError, httpx.TimeoutException):
                self._missed += 1
                self._observer.triton_canary(model=model, outcome="late")
            except EnTrustError as error:
                log.warning("triton-canary-failed", model=model, kind=error.kind)
                self._observer.triton_canary(model=model, outcome="wrong")
                broken.add(model)
        return broken

    async def _ask_all(self, timeout_seconds: float) -> None:
        for model in self._canaries:
            await self._ask(model, timeout_seconds)

    async def _ask(self, model: str, timeout_seconds: float) -> None:
        """Ask one canary and compare.

        Raises:
            ModelUnavailableError: The answer is not the known one.
            InferenceFailedError: The model answered with an error.
        """
        canary = self._canaries[model]
        start = time.perf_counter()
        async with asyncio.timeout(timeout_seconds):
            answer = await ask(self._client, model, canary)
        self._observer.triton_canary_answer(model=model, duration_seconds=time.perf_counter() - start)
        if canary.expected is not None:
            self._known.setdefault(model, digest(canary.expected))
        known = self._known.setdefault(model, digest(answer))
        if digest(answer) != known or not all(np.isfinite(array).all() for array in answer.values()):
            raise ModelUnavailableError(f"Model {model} gives another answer than it should.")

    async def _reload(self, models: set[str]) -> None:
        """Unload and load models; load alone leaves a dead stub in place.

        Raises:
            ModelUnavailableError: That did not help.
        """
        log.warning("triton-reload", count=len(models))
        before = stubs(self.pid)
        self._observer.triton_repair(action="reload")
        try:
            async with asyncio.timeout(self._start_timeout_seconds):
                for action in ("unload", "load"):
                    for model in sorted(models):
                        response = await self._client.post(
                            f"/v2/repository/models/{model}/{action}", timeout=self._start_timeout_seconds
                        )
                        if response.status_code != httpx.codes.OK:
                            raise ModelUnavailableError(f"Triton refused to {action} model {model}.")
                while not await self._is_ready():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise self._failure("A model could not be loaded again in time.") from None
        for model in models:
            await self._ask(model, 10.0)
        # unloading goes on in the background: the old processes of these models may still be about to end
        ending = {pid for pid, command in before.items() for model in models if serves(command, model)}
        self._stubs = {pid: command for pid, command in stubs(self.pid).items() if pid not in ending}

    async def _is_ready(self) -> bool:
        """Return whether the server and every model say that they are ready."""
        try:
            return (await self._client.get("/v2/health/ready", timeout=2.0)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    @property
    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            raise ModelUnavailableError("The embedded Triton is not running.")
        return self._http
