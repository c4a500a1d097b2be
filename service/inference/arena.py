"""Shared memory through which tensors reach a Triton on the same host without being sent.

An arena is one piece of shared memory that holds the inputs and outputs of one call at a time. There are never more
arenas than calls at one time; each grows when a larger call needs it.
"""

import mmap
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from service.inference.executor import Shape
from service.shared_memory import FOLDER, Namespace

ALIGNMENT_BYTES = 64
GRANULARITY_BYTES = 1 << 20
ITEM_BYTES = 4  # float32


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies in an arena."""

    offset: int
    shape: Shape

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor."""
        return ITEM_BYTES * int(np.prod(self.shape))


def place(shapes: Mapping[str, Shape]) -> tuple[dict[str, Placement], int]:
    """Lay tensors out one after the other; return their places and the bytes needed in all."""
    places, end = {}, 0
    for name, shape in shapes.items():
        places[name] = Placement(end, shape)
        end += -(-places[name].size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return places, end


@dataclass(eq=False)
class Arena:
    """One piece of shared memory.

    Args:
        name: Name in /dev/shm and in Triton.
        size_bytes: Its size.

    Raises:
        OSError: There is not that much shared memory (containers have 64 MiB unless told otherwise).
    """

    name: str
    size_bytes: int
    registered: bool = False
    _memory: mmap.mmap = field(init=False)

    def __post_init__(self) -> None:
        descriptor = os.open(FOLDER / self.name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.size_bytes)  # a hole would become a SIGBUS at the first write
            self._memory = mmap.mmap(descriptor, self.size_bytes)
        except OSError:
            (FOLDER / self.name).unlink()
            raise
        finally:
            os.close(descriptor)

    def view(self, placement: Placement) -> np.ndarray:
        """Return the tensor at a place, without copying it."""
        count = placement.size_bytes // ITEM_BYTES
        flat = np.frombuffer(self._memory, np.float32, count, placement.offset)
        return flat.reshape(placement.shape)

    def unlink(self) -> None:
        """Remove the name; the memory goes with its last user."""
        (FOLDER / self.name).unlink(missing_ok=True)


class ArenaPool:
    """The arenas of one client.

    Args:
        unregister: Tells Triton to let go of an arena by its name.
    """

    def __init__(self, unregister: Callable[[str], Awaitable[None]]) -> None:
        self._unregister = unregister
        self._namespace = Namespace("client")
        self._free: list[Arena] = []
        self._count = 0

    @property
    def prefix(self) -> str:
        """Prefix of this pool's names in /dev/shm."""
        return self._namespace.prefix

    async def lease(self, size_bytes: int) -> Arena:
        """Return an arena of at least ``size_bytes`` for the caller alone.

        Raises:
            OSError: There is not that much shared memory.
        """
        fitting = [arena for arena in self._free if arena.size_bytes >= size_bytes]
        if fitting:
            arena = min(fitting, key=lambda a: a.size_bytes)
            self._free.remove(arena)
            return arena
        if self._free:  # one that is too small makes room for its successor
            await self.discard(self._free.pop())
        self._count += 1
        size_bytes = -(-size_bytes // GRANULARITY_BYTES) * GRANULARITY_BYTES
        return Arena(f"{self.prefix}_{self._count}", size_bytes)

    def give_back(self, arena: Arena) -> None:
        """Return an arena that no call uses any more."""
        self._free.append(arena)

    def forget_registrations(self) -> None:
        """Note that the server knows none of the arenas any more."""
        for arena in self._free:
            arena.registered = False

    async def discard(self, arena: Arena) -> None:
        """Do away with an arena that no call uses any more."""
        arena.unlink()
        if arena.registered:
            await self._unregister(arena.name)

    async def close(self) -> None:
        """Do away with every arena."""
        while self._free:
            await self.discard(self._free.pop())
        self._namespace.close()
