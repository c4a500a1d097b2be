"""Phantom limbs: truth that is true, images that look like the real task's, and no clue in the framing."""

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from training.datasets.phantoms.limb import LimbPhantom, make_phantom


@pytest.fixture(scope="module", params=[9003, 9004, 9005])
def phantom(request: pytest.FixtureRequest) -> LimbPhantom:
    return make_phantom(request.param, conflict=True)


def test_same_seed_gives_the_same_arrays() -> None:
    first, again, other = make_phantom(9010), make_phantom(9010), make_phantom(9011)
    assert np.array_equal(first.ct, again.ct)
    assert np.array_equal(first.pet, again.pet)
    assert np.array_equal(first.t1, again.t1)
    assert np.array_equal(first.gtv, again.gtv)
    assert first.ct.shape != other.ct.shape or not np.array_equal(first.ct, other.ct)


def test_lies_on_the_tasks_grid(phantom: LimbPhantom) -> None:
    assert phantom.grid.spacing_mm == pytest.approx(ONCOLOGY.spacing_mm)
    arrays = (phantom.ct, phantom.pet, phantom.t1, phantom.gtv, phantom.conflict, phantom.mr_presence)
    assert {a.shape for a in arrays} == {phantom.grid.shape}
    assert all(np.isfinite(a).all() for a in arrays)


def test_label_is_certain_tumour_with_or_without_the_conflict(phantom: LimbPhantom) -> None:
    label = phantom.gtv > 0
    assert phantom.conflict.any()
    assert not (phantom.conflict & phantom.certain).any()
    assert np.array_equal(label, phantom.certain) or np.array_equal(label, phantom.certain | phantom.conflict)
    assert 5 < phantom.volume_ml < 1500


def test_pet_and_mr_disagree_where_they_are_said_to(phantom: LimbPhantom) -> None:
    tissue = (phantom.ct > 20) & (phantom.ct < 90) & ~phantom.conflict & ~phantom.certain
    muscle_suv = np.median(phantom.pet[tissue])
    lobe_suv = np.median(phantom.pet[phantom.conflict])
    assert phantom.conflict_pair == ("pet", "t1")
    assert phantom.mr_presence[phantom.conflict].all()
    seen = tissue & phantom.mr_presence
    contrast = abs(np.median(phantom.t1[phantom.conflict]) / np.median(phantom.t1[seen]) - 1)
    if phantom.conflict_kind == "pet-only":
        assert lobe_suv > 2.5 * muscle_suv
        assert contrast < 0.3
    else:
        assert phantom.conflict_kind == "mr-only"
        assert lobe_suv < 2.5 * muscle_suv
        assert contrast > 0.2


def test_mr_is_zero_where_it_was_not_acquired(phantom: LimbPhantom) -> None:
    assert not phantom.mr_presence.all()
    assert not phantom.t1[~phantom.mr_presence].any()


def test_readers_disagree_about_the_conflict_and_framing_gives_nothing_away() -> None:
    phantoms = [make_phantom(seed, conflict=True) for seed in range(9020, 9030)]
    included = [bool((p.gtv > 0)[p.conflict].all()) for p in phantoms if p.conflict.any()]
    assert 0 < sum(included) < len(included)
    centres = np.array([np.argwhere(p.certain).mean(0) / p.grid.shape for p in phantoms])
    assert (centres.std(axis=0) > 0.04).all()
    below = np.array([np.flatnonzero(p.certain.any(axis=(1, 2)))[0] for p in phantoms])
    assert len(set(below.tolist())) > 5
    assert {p.conflict_kind for p in phantoms} >= {"pet-only", "mr-only"}


def test_conflict_can_be_left_out() -> None:
    phantom = make_phantom(9003, conflict=False)
    assert not phantom.conflict.any()
    assert phantom.conflict_pair == ()
