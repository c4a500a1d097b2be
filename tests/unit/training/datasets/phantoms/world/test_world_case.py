"""Cases: the same everywhere, with the conflicts that the splits promise."""

import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from entrust.errors import InvalidInputError, NotFoundError
from entrust.metrics import joint_state_distance
from training.datasets.phantoms.world.case import DOMAINS, get_domain, make_case, make_scene
from training.datasets.phantoms.world.checksums import case_digest, summary
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.splits import CALIBRATION, SPLITS, TEST, TRAIN, get_split

SHIFTS = [name for name in SPLITS if name.startswith("shift-")]
each_domain = pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)


@each_domain
def test_the_same_case_has_the_same_bits_whatever_was_drawn_before(domain: Domain) -> None:
    first = case_digest(make_case(domain, TEST, 5))
    np.random.default_rng().random(3)
    make_case(domain, TRAIN, 1)
    assert case_digest(make_case(domain, TEST, 5)) == first
    assert case_digest(make_case(domain, TEST, 6)) != first
    assert case_digest(make_case(domain, CALIBRATION, 5)) != first


def test_a_splits_fingerprint_notices_one_case() -> None:
    digests = [f"{i:064x}" for i in range(10)]
    assert summary(digests)["sha256"] != summary([*digests[:-1], digests[0]])["sha256"]


@each_domain
def test_most_test_cases_hold_two_conflicts_or_more_independent_and_exclusive(domain: Domain) -> None:
    scenes = [make_scene(domain, TEST, i, depth=1) for i in range(40)]
    assert np.mean([len(s.conflicts) >= 2 for s in scenes]) > 0.5
    groups = [[p.group for p in s.conflicts] for s in scenes]
    assert np.mean([len(set(g)) >= 2 for g in groups]) > 0.5, "two groups: a joint table that is a product"
    assert np.mean([len(set(g)) < len(g) for g in groups]) > 0.15, "two blobs of a group: a table that is none"


@each_domain
def test_training_cases_disagree_seldom_and_once_per_case_is_read_once(domain: Domain) -> None:
    cases = [make_case(domain, TRAIN, i, depth=1) for i in range(40)]
    assert 0.15 < np.mean([c.conflict.any() for c in cases]) < 0.7
    assert all(c.labels.shape[0] == 1 for c in cases)
    assert make_case(domain, TEST, 0, depth=1).labels.shape[0] >= 16


@each_domain
def test_the_unseen_conflict_is_of_a_pair_that_no_other_conflict_has(domain: Domain) -> None:
    pairs = {frozenset(f.pair) for f in domain.conflicts if f.pair}
    assert domain.unseen.pair is not None
    assert frozenset(domain.unseen.pair) not in pairs
    assert frozenset(domain.unseen.pair) in {frozenset(p) for p in combinations(domain.slugs, 2)}
    names = {p.finding.name for i in range(30) for p in make_scene(domain, TRAIN, i, depth=1).patches}
    assert domain.unseen.name not in names
    shown = [
        domain.unseen.name in {p.finding.name for p in make_scene(domain, SPLITS["shift-conflict"], i, depth=1).patches}
        for i in range(30)
    ]
    assert np.mean(shown) > 0.9


@each_domain
def test_patches_do_not_touch_and_conflicts_keep_to_their_zone(domain: Domain) -> None:
    for i in range(8):
        scene = make_scene(domain, TEST, i)
        masks = [p.mask for p in scene.patches]
        assert all(not (a & b).any() for a, b in combinations(masks, 2))
        for patch in scene.patches:
            assert (scene.anatomy.zones[patch.finding.zone][patch.mask] < 0).all()


@each_domain
def test_truth_tells_where_which_pair_disagrees_and_which_negatives_do_not(domain: Domain) -> None:
    case = next(c for i in range(40) if (c := make_case(domain, TEST, i, depth=1)).conflict.any())
    assert len(case.blobs) == len(case.contradictions) == int(np.log2(len(case.table)))
    disputed = {1 + domain.findings.index(f) for f in (*domain.conflicts, domain.unseen)}
    assert np.array_equal(np.isin(case.kinds, list(disputed)), case.conflict)
    middle = np.max(np.minimum(case.probability, 1 - case.probability), axis=0)
    assert middle[case.conflict].mean() > 0.1
    for patch, found in zip(case.scene.conflicts, case.contradictions, strict=True):
        assert patch.finding.pair in found
        assert len({patch.finding.visibility[denies] for _, denies in found}) == 1, "they deny alike"
    for patch in case.scene.patches:
        core = patch.distance_mm < -patch.finding.spread_mm
        if patch.finding.kind == "complementary" and patch.finding.levels[0] != patch.finding.levels[1]:
            assert case.probability[patch.finding.levels[1]][core] == pytest.approx(1)


@each_domain
def test_readers_states_can_be_read_from_their_labels(domain: Domain) -> None:
    agreed = []
    for index in range(8):
        case = make_case(domain, TEST, index)
        on = case.blob_fractions(case.labels) > 0.5
        states = (case.states[:, None] >> np.arange(len(case.blobs))) & 1
        agreed.append((on == states).ravel())
    assert np.mean(np.concatenate(agreed)) > 0.95


def nested_thresholds(probability: np.ndarray, count: int) -> np.ndarray:
    """Return the best hypotheses without sampling: the exact marginal, cut at ``count`` levels."""
    at_least = np.cumsum(probability[::-1], axis=0)[::-1][1:]
    return np.stack([(at_least > (i + 0.5) / count).sum(axis=0).astype(np.uint8) for i in range(count)])


@each_domain
def test_joint_states_reward_sampling_over_thresholds_of_the_exact_marginal(domain: Domain) -> None:
    cases = [make_case(domain, TEST, i, depth=1) for i in range(40)]
    exclusive = [c for c in cases if any(p.finding.count > 1 for p in c.scene.conflicts)]
    assert len(exclusive) > 5
    sampled = [joint_state_distance(c.blob_fractions(c.labels), c.table) for c in exclusive]
    cut = [joint_state_distance(c.blob_fractions(nested_thresholds(c.probability, 16)), c.table) for c in exclusive]
    assert np.mean(sampled) < 0.5 * np.mean(cut)


def test_low_contrast_lesions_are_uncertain_without_conflict() -> None:
    domain = DOMAINS["lesion"]
    cases = [make_case(domain, TEST, i, depth=1) for i in range(40)]
    masks = [(c, p.mask) for c in cases for p in c.scene.patches if p.finding.kind == "low-contrast"]
    assert masks
    for case, mask in masks:
        p = case.probability[1][mask]
        assert not case.conflict[mask].any()
        assert ((p > 0.5) & (p < 0.95)).mean() > 0.5


@each_domain
def test_training_cases_are_normalised_as_the_gateway_does(domain: Domain) -> None:
    case = make_case(domain, TRAIN, 3).as_training_case()
    assert case.images.dtype == np.float32
    assert np.isfinite(case.images).all()
    assert np.abs(case.images).max() < 3
    assert case.conflict is not None
    assert case.label.max() <= len(domain.structures)


@pytest.mark.parametrize("name", SHIFTS)
def test_shift_splits_do_what_they_are_named_after(name: str) -> None:
    domain, split = DOMAINS["lesion"], get_split(name)
    shifted = make_case(domain, split, 2, depth=1)
    plain = make_case(domain, replace(split, noise=1.0, bias=1.0, shift_mm=0.0, artefact=""), 2, depth=1)
    if name == "shift-anatomy":
        ordinary = make_scene(domain, replace(split, unseen=""), 2, depth=1)
        fluid = ordinary.anatomy.names.index("csf")
        assert (shifted.scene.anatomy.tissues == fluid).sum() > (ordinary.anatomy.tissues == fluid).sum()
    elif name == "shift-conflict":
        assert shifted.scene.conflicts[0].finding is domain.unseen
    else:
        assert np.array_equal(shifted.labels, plain.labels), "what goes wrong in a scanner changes no label"
        changed = [not np.array_equal(a, b) for a, b in zip(shifted.images, plain.images, strict=True)]
        expected = {"shift-noise": 3, "shift-bias": 2, "shift-swapped": 2}  # an ADC map has no shading
        assert sum(changed) == expected.get(name, 1)
    if name == "shift-missing":
        assert sorted(p.all() for p in shifted.presence) == [False, True, True]
        assert not shifted.images[~shifted.presence].any()
    if name == "shift-registration":
        assert np.hypot(*shifted.shifts_mm.T).max() == pytest.approx(6.0)


def test_unknown_names_are_told_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="brain"):
        get_domain("liver")
    with pytest.raises(NotFoundError, match="shift-noise"):
        get_split("validation")


def test_the_generator_needs_numpy_and_scipy_alone() -> None:
    program = (
        "import sys\n"
        "for name in ('matplotlib', 'pydicom', 'SimpleITK', 'torch', 'pydantic', 'typer', 'onnx', 'highdicom'):\n"
        "    sys.modules[name] = None\n"
        "from training.datasets.phantoms.world.case import DOMAINS, make_case\n"
        "from training.datasets.phantoms.world.splits import TEST\n"
        "from training.datasets.phantoms import __main__\n"
        "print(make_case(DOMAINS['cardiac'], TEST, 0, 1).as_training_case().name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "cardiac-test-0000", done.stderr


def test_a_conflict_must_say_who_disagrees_and_how_it_is_judged() -> None:
    conflict, certain = DOMAINS["lesion"].conflicts[0], DOMAINS["lesion"].negatives[0]
    for broken in ({"cue": None}, {"pair": None}, {"levels": (1, 1)}):
        with pytest.raises(InvalidInputError, match=conflict.name):
            replace(conflict, **broken)
    with pytest.raises(InvalidInputError, match=certain.name):
        replace(certain, cue=conflict.cue)
