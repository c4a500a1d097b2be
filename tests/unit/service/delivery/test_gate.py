"""A target that is down is tried by one, not by all."""

import asyncio

import pytest

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery import is_transient
from service.delivery.gate import FAILURES, Gate

LONG, SHORT = 3600.0, 0.01


async def passes(gate: Gate, error: BaseException | None = None) -> bool:
    """Tell whether the gate lets through work that ends in the given way."""
    went = False
    try:
        async with gate.passing():
            went = True
            if error is not None:
                raise error
    except (DeliveryFailedError, asyncio.CancelledError):
        pass
    return went


async def test_after_some_failures_in_a_row_nobody_passes() -> None:
    changes: list[bool] = []
    gate = Gate("pacs", concurrency=4, rest_seconds=LONG, on_change=changes.append)
    for _ in range(FAILURES - 1):
        assert await passes(gate, DeliveryFailedError("gone"))
    assert await passes(gate)  # well again
    for _ in range(FAILURES):
        assert await passes(gate, DeliveryFailedError("gone"))
    with pytest.raises(DeliveryFailedError, match="left alone") as caught:
        async with gate.passing():
            raise AssertionError("let through")
    assert is_transient(caught.value)
    assert 0 < float(caught.value.details["retry_after_seconds"]) <= LONG
    assert changes == [False] * (2 * FAILURES - 1) + [True]


async def test_refusals_do_not_count_against_a_target() -> None:
    gate = Gate("pacs", concurrency=1, rest_seconds=LONG)
    for _ in range(FAILURES + 1):
        assert await passes(gate, DeliveryRefusedError("unwanted"))


@pytest.mark.parametrize("end", [None, DeliveryFailedError("gone"), asyncio.CancelledError()])
async def test_one_finds_out_while_the_others_wait(end: BaseException | None) -> None:
    gate = Gate("pacs", concurrency=4, rest_seconds=SHORT)
    for _ in range(FAILURES):
        await passes(gate, DeliveryFailedError("gone"))
    await asyncio.sleep(5 * SHORT)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def probe() -> None:
        async with gate.passing():
            inside.set()
            await leave.wait()
            if end is not None:
                raise end

    probing = asyncio.create_task(probe())
    await inside.wait()
    assert [await passes(gate) for _ in range(3)] == [False] * 3
    leave.set()
    await asyncio.gather(probing, return_exceptions=True)
    if end is None:
        assert await passes(gate)


async def test_no_more_than_so_many_at_a_time() -> None:
    gate = Gate("pacs", concurrency=2, rest_seconds=LONG)
    within = most = 0

    async def work() -> None:
        nonlocal within, most
        async with gate.passing():
            within += 1
            most = max(most, within)
            await asyncio.sleep(0)
            within -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert most == 2
