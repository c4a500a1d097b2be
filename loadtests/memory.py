"""Memory of the gateway and its Triton over time."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import psutil

from loadtests.service import SupervisedGateway

SAMPLE_SECONDS = 2.0
RETAINED = "entrust_results_retained_bytes"


@dataclass(frozen=True)
class MemorySample:
    """One look.

    Attributes:
        at_seconds: Unix time.
        gateway_mib: Of the gateway, memory that it shares with Triton counted in halves (proportional set size).
        triton_mib: Of Triton and its models' processes, likewise.
        retained_mib: Results that the gateway holds for collection.
    """

    at_seconds: float
    gateway_mib: float
    triton_mib: float
    retained_mib: float


class MemoryWatch:
    """Looks every two seconds, from a thread.

    Args:
        service: The service.
    """

    def __init__(self, service: SupervisedGateway) -> None:
        self._service = service
        self._stopping = threading.Event()
        self.samples: list[MemorySample] = []
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def _watch(self) -> None:
        with httpx.Client(base_url=self._service.url, timeout=10.0, trust_env=False) as client:
            while not self._stopping.wait(SAMPLE_SECONDS):
                # a process that ends while it is looked at leaves a gap, no wrong number
                with contextlib.suppress(psutil.Error, RuntimeError, httpx.HTTPError):
                    triton = self._service.triton_pid
                    self.samples.append(
                        MemorySample(
                            time.time(),
                            _mib([self._service.pid]),
                            _mib([triton, *self._service.stub_pids]),
                            _retained_mib(client),
                        )
                    )

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def between(self, start: float, end: float) -> list[MemorySample]:
        """Return what was seen between two moments (Unix time)."""
        return [sample for sample in self.samples if start <= sample.at_seconds <= end]


def _mib(pids: list[int]) -> float:
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 2**20


def _retained_mib(client: httpx.Client) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{RETAINED} "):
            return float(line.split()[-1]) / 2**20
    return 0.0


@contextlib.contextmanager
def watched(service: SupervisedGateway) -> Iterator[MemoryWatch]:
    """Watch a service until the end of the block."""
    with MemoryWatch(service) as watch:
        yield watch
