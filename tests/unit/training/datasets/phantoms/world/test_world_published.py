"""The frozen splits are still what they were when their checksums were written."""

import pytest

from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.checksums import PUBLISHED, SAMPLES, case_digest, published
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.splits import SPLITS


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
@pytest.mark.parametrize("split", ["train", "test", "shift-conflict"])
def test_cases_are_those_that_were_published(domain: Domain, split: str) -> None:
    known = published()[domain.name][split]
    assert known["cases"] == SPLITS[split].cases
    for index in range(2):
        assert case_digest(make_case(domain, SPLITS[split], index)) == known["first"][index]  # type: ignore[index]


def test_every_split_is_published() -> None:
    assert PUBLISHED.is_file()
    assert {d: set(s) for d, s in published().items()} == {d: set(SPLITS) for d in DOMAINS}
    assert all(len(s["first"]) == SAMPLES for d in published().values() for s in d.values())  # type: ignore[arg-type]
