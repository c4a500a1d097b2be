import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.arena import ALIGNMENT_BYTES, Arena, ArenaPool, place
from service.inference.loop import CHUNK_PIXELS, chunks
from service.shared_memory import FOLDER


@given(
    depths=st.lists(st.integers(0, 500), unique=True, max_size=60),
    height=st.integers(1, 40).map(lambda n: 16 * n),
    width=st.integers(1, 40).map(lambda n: 16 * n),
    chunk=st.integers(1, 64),
    limit=st.integers(1, 64),
)
def test_chunks_hold_every_slice_once_in_order_and_within_the_limits(
    depths: list[int], height: int, width: int, chunk: int, limit: int
) -> None:
    groups = chunks(np.array(sorted(depths), dtype=int), height, width, chunk=chunk, limit=limit)
    assert [depth for group in groups for depth in group] == sorted(depths)
    for group in groups:
        assert 1 <= len(group) <= limit
        assert len(group) == 1 or len(group) * height * width <= chunk * CHUNK_PIXELS


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6))
def test_placed_tensors_are_aligned_and_do_not_overlap(shapes: list[tuple[int, ...]]) -> None:
    places, total = place({str(i): shape for i, shape in enumerate(shapes)})
    end = 0
    for placement in places.values():
        assert placement.offset % ALIGNMENT_BYTES == 0
        assert placement.offset >= end
        end = placement.offset + placement.size_bytes
    assert end <= total


@pytest.fixture
def unregistered() -> list[str]:
    return []


@pytest.fixture
def pool(unregistered: list[str]) -> Iterator[ArenaPool]:
    async def unregister(name: str) -> None:
        unregistered.append(name)

    pool = ArenaPool(unregister)
    yield pool
    pool._namespace.close()


async def test_an_arena_is_reused_and_makes_room_for_a_larger_one(pool: ArenaPool, unregistered: list[str]) -> None:
    first = await pool.lease(1000)
    first.registered = True
    places, _ = place({"a": (3, 5), "b": (2,)})
    first.view(places["a"])[...] = 7.0
    first.view(places["b"])[...] = 8.0
    assert (first.view(places["a"]) == 7.0).all()
    assert (FOLDER / first.name).stat().st_size == first.size_bytes
    pool.give_back(first)
    assert await pool.lease(2000) is first
    pool.give_back(first)
    larger = await pool.lease(first.size_bytes + 1)
    assert larger.size_bytes > first.size_bytes
    assert unregistered == [first.name]
    assert not (FOLDER / first.name).exists()
    other = await pool.lease(1)
    assert other is not larger, "one arena, one call"
    pool.give_back(larger)
    pool.give_back(other)
    await pool.close()
    assert not list(FOLDER.glob(f"{pool.prefix}*"))


def test_too_little_shared_memory_is_an_error_and_not_a_crash() -> None:
    free = os.statvfs(FOLDER)
    name = f"entrust_unit{os.getpid()}_huge"
    with pytest.raises(OSError, match="No space left"):
        Arena(name, free.f_blocks * free.f_frsize * 2)
    assert not (FOLDER / name).exists()
