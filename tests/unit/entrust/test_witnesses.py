"""Who testifies to a conflict, and which pair of modalities it is between."""

import numpy as np
import pytest

from entrust.conflict import Probe, probe_plan
from entrust.contract import ONCOLOGY
from entrust.witnesses import Witnesses, opposing_pull, pair_evidence

ALL = (True, True, True)


def answers_of(probes: tuple[Probe, ...], foreground: dict[str, float], otherwise: float) -> np.ndarray:
    """One voxel of two classes: probability of foreground by probe → [v, 1, 2, 1, 1]."""
    p = np.array([foreground.get(probe.name, otherwise) for probe in probes], np.float32)
    return np.stack([1 - p, p], axis=1).reshape(len(p), 1, 2, 1, 1)


def test_the_conflict_map_is_a_weighted_geometric_mean(rng: np.random.Generator) -> None:
    gate, moved, doubt = rng.random((3, 4, 5, 6))
    said = Witnesses(gate, moved, doubt)
    np.testing.assert_array_equal(said.weighed(0.0, 0.0), gate)
    np.testing.assert_allclose(said.weighed(0.5, 0.25), gate**0.25 * moved**0.5 * doubt**0.25)
    calm = Witnesses(gate, 0.0 * moved, doubt).weighed(0.5, 0.25)
    assert not calm.any(), "what no probe moves is no conflict, whatever the gate says"


def test_who_sees_and_who_denies_pull_in_opposite_directions() -> None:
    probes = probe_plan(ONCOLOGY, ALL)
    foreground = {"base": 0.5, "without_ct": 0.5, "without_pet": 0.1, "without_t1": 0.7}  # PET sees, T1 denies
    answers = answers_of(probes, foreground, 0.5)
    pulls = opposing_pull(ONCOLOGY, probes, answers)
    expected = {("ct", "pet"): 0.0, ("ct", "t1"): 0.0, ("pet", "t1"): np.sqrt(0.4 * 0.2)}
    np.testing.assert_allclose(pulls[:, 0, 0, 0], [expected[pair] for pair in ONCOLOGY.pairs], rtol=1e-5)
    confident = np.array([0.9, 0.1, 0.4], np.float32).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(pair_evidence(confident, pulls, 0.5, 0.5), pulls)  # the gate has no say
    np.testing.assert_allclose(pair_evidence(confident, pulls, 0.25, 0.5), np.sqrt(confident * pulls))


def test_two_modalities_of_one_mind_do_not_pull_apart() -> None:
    probes = probe_plan(ONCOLOGY, ALL)
    foreground = {"base": 0.8, "without_ct": 0.8, "without_pet": 0.4, "without_t1": 0.5}  # both support the lesion
    answers = answers_of(probes, foreground, 0.8)
    assert not opposing_pull(ONCOLOGY, probes, answers).any()


def test_a_modality_that_is_absent_pulls_nowhere() -> None:
    probes = probe_plan(ONCOLOGY, (True, True, False))
    foreground = {"base": 0.5, "without_ct": 0.8, "without_pet": 0.1}
    answers = answers_of(probes, foreground, 0.5)
    pulls = dict(zip(ONCOLOGY.pairs, opposing_pull(ONCOLOGY, probes, answers)[:, 0, 0, 0], strict=True))
    assert pulls["ct", "pet"] == pytest.approx(np.sqrt(0.3 * 0.4), rel=1e-5)
    assert pulls["ct", "t1"] == pulls["pet", "t1"] == 0.0
