"""Memory of served models is that of their calls."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from entrust.contract import LESION
from loadtests.served_memory import Call, ask, entrust_ways


@pytest.fixture
def fresh() -> Iterator[ProcessPoolExecutor]:
    """Processes that serve once each."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        yield pool


def heads(slices: int) -> list[Call]:
    """Calls of the calibration head, the smallest model."""
    way = next(way for way in entrust_ways(LESION) if way.slices == slices)
    return [call for call in way.calls if "calibration_head" in str(call.path)]


def test_the_peak_grows_with_the_slices_in_a_call(fresh: ProcessPoolExecutor) -> None:
    (_, one), (_, eight) = (fresh.submit(ask, heads(slices)).result() for slices in (1, 8))
    assert 0.0 < one < eight


def test_the_calls_are_those_of_the_sampling_loop() -> None:
    *apart, together = entrust_ways(LESION)
    assert [way.slices for way in apart] == [1, 2, 4, 8]
    enfuse, sampling, probing, _ = (call.feed for call in together.calls)
    assert enfuse["keep"].shape == (8, 7, 3)
    assert sampling["x"].shape[:2] == (8, 8)
    assert probing["x"].shape[:2] == (8 * 7, 1)
