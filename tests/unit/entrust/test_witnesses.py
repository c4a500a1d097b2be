"""Who testifies to a conflict, and which pair of modalities it is between."""

import numpy as np
import pytest

from entrust.conflict import pair_conflict, probe_plan, probe_shifts
from entrust.contract import ONCOLOGY, FittedConstants
from entrust.uncertainty import Hypotheses
from entrust.witnesses import PAIR_WEIGHTS, Witnesses, pair_score, shares_of_pairs, weigh

PROBES = FittedConstants(probe_share=1.0)


def said_of(foreground: dict[str, float], base: float = 0.5, without: dict[str, float] | None = None) -> Hypotheses:
    """One voxel of two classes: what each modality says alone, and the answer with all and without one."""
    there = tuple(slug in foreground for slug in ONCOLOGY.slugs)
    probes = probe_plan(ONCOLOGY, there)
    answers = {"base": base, **{f"without_{slug}": p for slug, p in (without or {}).items()}}

    def softmax(p: list[float]) -> np.ndarray:
        return np.stack([1 - np.array(p), p], axis=1).astype(np.float32).reshape(len(p), 1, 2, 1, 1)

    unimodal = softmax([foreground.get(slug, 0.5) for slug in ONCOLOGY.slugs])
    marginals = softmax([answers.get(probe.name, base) for probe in probes])
    return Hypotheses(
        marginal=marginals[0],
        samples=marginals[0][None],
        conflict=np.full((1, 1, 1), 0.8, np.float32),
        pair_conflict=pair_conflict(unimodal, np.array(there).reshape(-1, 1, 1, 1)),
        unimodal=unimodal,
        probes=probes,
        probe_marginals=marginals,
    )


def evidence_of(found: Hypotheses) -> dict[tuple[str, str], float]:
    """The share of each pair in what the map says of the voxel."""
    shifts = probe_shifts(ONCOLOGY, found.probes, found.probe_marginals)
    conflict, pairs = weigh(ONCOLOGY, found, shifts, PROBES)
    return dict(zip(ONCOLOGY.pairs, (pairs / conflict)[:, 0, 0, 0].tolist(), strict=True))


def test_the_conflict_map_is_a_weighted_geometric_mean(rng: np.random.Generator) -> None:
    gate, moved, doubt = rng.random((3, 4, 5, 6))
    said = Witnesses(gate, moved, doubt)
    np.testing.assert_array_equal(said.weighed(0.0, 0.0), gate)
    np.testing.assert_allclose(said.weighed(0.5, 0.25), gate**0.25 * moved**0.5 * doubt**0.25)
    calm = Witnesses(gate, 0.0 * moved, doubt).weighed(0.5, 0.25)
    assert not calm.any(), "what no probe moves is no conflict, whatever the gate says"


def test_what_testifies_for_a_pair() -> None:
    found = said_of({"ct": 0.5, "pet": 1.0, "t1": 0.0}, 0.5, {"ct": 0.5, "pet": 0.1, "t1": 0.7})
    score = dict(zip(ONCOLOGY.pairs, pair_score(ONCOLOGY, found, 0)[:, 0, 0].tolist(), strict=True))
    said = {("pet", "t1"): (1.0, 0.6, 1.0), ("ct", "pet"): (0.5, 0.4, 0.0), ("ct", "t1"): (0.5, 0.2, 0.0)}
    assert score == pytest.approx({pair: np.dot(PAIR_WEIGHTS, s) for pair, s in said.items()}, abs=1e-5)


def test_who_sees_and_who_denies_have_most_of_the_conflict() -> None:
    evidence = evidence_of(said_of({"ct": 0.5, "pet": 0.95, "t1": 0.05}, 0.5, {"ct": 0.5, "pet": 0.1, "t1": 0.7}))
    assert sum(evidence.values()) == pytest.approx(1.0), "the pairs share what the map says"
    assert evidence["pet", "t1"] > 0.9


def test_one_that_cannot_know_does_not_contradict() -> None:
    moved = {"ct": 0.52, "pet": 0.5, "t1": 0.5}
    blind = evidence_of(said_of({"ct": 0.35, "pet": 0.98, "t1": 0.02}, 0.5, moved))
    assert blind["pet", "t1"] > 3 * blind["ct", "pet"]


def test_an_absent_modality_contradicts_nobody() -> None:
    evidence = evidence_of(said_of({"ct": 0.2, "pet": 0.9}, 0.5, {"ct": 0.8, "pet": 0.1}))
    assert evidence == pytest.approx({("ct", "pet"): 1.0, ("ct", "t1"): 0.0, ("pet", "t1"): 0.0})


def test_where_the_map_is_the_gate_alone_the_confident_disagreement_tells() -> None:
    found = said_of({"ct": 0.2, "pet": 0.9, "t1": 0.4})
    shifts = probe_shifts(ONCOLOGY, found.probes, found.probe_marginals)
    np.testing.assert_array_equal(weigh(ONCOLOGY, found, shifts, FittedConstants())[1], found.pair_conflict)


def test_pairs_hear_the_probes_whether_or_not_the_map_does() -> None:
    found = said_of({"ct": 0.5, "pet": 0.95, "t1": 0.05}, 0.5, {"ct": 0.5, "pet": 0.1, "t1": 0.7})
    shifts = probe_shifts(ONCOLOGY, found.probes, found.probe_marginals)
    shares = []
    for constants in (PROBES, FittedConstants(probe_share=0.0, doubt_share=0.5)):
        conflict, pairs = weigh(ONCOLOGY, found, shifts, constants)
        shares.append(pairs / conflict)
    np.testing.assert_allclose(*shares, rtol=1e-5)


def test_shares_are_a_softmax_over_the_pairs_that_differ(rng: np.random.Generator) -> None:
    score = 10.0 * rng.random((4, 50)).astype(np.float32)
    differs = rng.random((4, 50)) > 0.3
    differs[:, 0] = False
    shares = shares_of_pairs(score, differs)
    assert not shares[~differs].any()
    np.testing.assert_allclose(shares.sum(axis=0), differs.any(axis=0), rtol=1e-6)
    for voxel in range(1, 50):
        some = differs[:, voxel]
        expected = np.exp(score[some, voxel]) / np.exp(score[some, voxel]).sum()
        np.testing.assert_allclose(shares[some, voxel], expected, rtol=1e-5)
