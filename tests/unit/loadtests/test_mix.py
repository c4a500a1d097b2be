"""Who comes, how often, and where load may be sent."""

from collections import Counter

import numpy as np
import pytest

from loadtests.hosts import ForeignHostError, require_permission
from loadtests.mix import DECK, Arrivals, job_share


def test_every_deck_has_the_whole_mix() -> None:
    dealt = [visit for _, visit in Arrivals("mixed", 3 * len(DECK), 60.0, seed=3)]
    assert Counter(visit.name for visit in dealt) == Counter(3 * [visit.name for visit in DECK])
    assert {visit.kind for visit in DECK} == {"study", "detached", "cancel", "refusal"}
    assert {visit.priority for visit in DECK} == {"routine", "stat"}
    assert job_share(DECK) == sum(visit.makes_job for visit in DECK) / len(DECK) < 1.0


def test_arrivals_fill_their_window_and_repeat_with_their_seed() -> None:
    first, again, other = (list(Arrivals("mixed", 2000, 500.0, seed)) for seed in (1, 1, 2))
    assert first == again != other
    times = np.asarray([due for due, _ in first])
    assert len(times) == 2000
    assert (np.diff(times) >= 0.0).all()
    assert 0.0 <= times[0] <= times[-1] <= 500.0
    assert np.diff(times).std() == pytest.approx(0.25, rel=0.1), "gaps of a Poisson process spread as far as they last"


def test_a_visit_knows_how_it_may_end() -> None:
    refused = next(visit for visit in DECK if visit.name == "truncated")
    assert refused.expects("invalid-input")
    assert refused.expects("overloaded"), "anybody may be sent away when there is no room"
    assert not refused.expects("succeeded")
    assert not refused.expects("internal")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_may_be_loaded(host: str) -> None:
    require_permission(host, owned=False)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "", "no.such.host.invalid"])
def test_another_machine_may_be_loaded_only_by_its_owner(host: str) -> None:
    with pytest.raises(ForeignHostError):
        require_permission(host, owned=False)
    require_permission(host, owned=True)
