"""Real anatomies: drawn from the data beside the project, and never part of the frozen splits."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from entrust.errors import NotFoundError
from training.datasets.phantoms.world.anatomies import brain
from training.datasets.phantoms.world.anatomies.real import _head, data_root, heads, real_anatomy, with_real_anatomy
from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.checksums import case_digest
from training.datasets.phantoms.world.splits import REAL, SPLITS


@pytest.fixture(scope="module", autouse=True)
def data() -> None:
    try:
        data_root()
    except NotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", DOMAINS)
def test_real_bodies_carry_simulated_findings(name: str) -> None:
    domain = with_real_anatomy(DOMAINS[name])
    cases = [make_case(domain, REAL, i, depth=1) for i in range(4)]
    assert case_digest(make_case(domain, REAL, 1, depth=1)) == case_digest(cases[1])
    assert sum(c.label.any() for c in cases) >= 3
    assert any(c.conflict.any() for c in cases)
    bodies = {c.scene.anatomy.tissues.tobytes() for c in cases}
    assert len(bodies) == len(cases)
    for case in cases:
        assert len(np.unique(case.scene.anatomy.tissues)) >= 4
        assert REAL.name in case.name


def test_the_template_of_an_installed_package_is_one_more_head() -> None:
    templates = [p for p in heads() if "mni" in p.name]
    if not templates:
        pytest.skip("nilearn is not installed: pip install '.[anatomies]'")
    domain = replace(DOMAINS["brain"], anatomy=partial(_head, tuple(templates), False))
    case = make_case(domain, REAL, 0, depth=1)
    tissues = case.scene.anatomy.tissues
    assert all((tissues == t).sum() > 100 for t in (brain.CSF, brain.GREY, brain.WHITE))
    assert case.label.any()


def test_a_domain_without_real_anatomy_says_so_and_no_frozen_split_needs_any() -> None:
    with pytest.raises(NotFoundError, match="brain"):
        real_anatomy("liver")
    assert REAL.name not in SPLITS
