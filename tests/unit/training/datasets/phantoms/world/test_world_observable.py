"""Images show the scene and nothing else, and they show it well enough for its cues to be read."""

from dataclasses import fields, replace

import numpy as np
import pytest

from training.datasets.phantoms.world.case import DOMAINS, make_case, make_scene
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.render import ideal_signal, scan
from training.datasets.phantoms.world.scene import Patch, Scene
from training.datasets.phantoms.world.splits import TEST, TRAIN
from training.datasets.phantoms.world.streams import stream
from training.datasets.phantoms.world.truth import Truth


def scans(domain: Domain, scene: Scene) -> np.ndarray:
    return np.stack(
        [
            scan(ideal_signal(scene, domain, i), scene, c, stream("test", domain.name, i))
            for i, c in enumerate(domain.channels)
        ]
    )


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_no_state_of_any_blob_changes_a_bit_of_the_images(domain: Domain) -> None:
    scene = next(s for i in range(50) if len((s := make_scene(domain, TEST, i, depth=1)).conflicts) > 1)
    images = scans(domain, scene)
    for state in range(len(scene.truth.table)):
        certain = np.zeros(len(scene.truth.table))
        certain[state] = 1.0  # everybody is sure of this state, and of a lesion that is not there
        other = Truth(scene.truth.thresholds + 100, scene.truth.blobs, certain)
        assert np.array_equal(scans(domain, replace(scene, truth=other)), images)


def test_images_and_the_first_label_do_not_know_how_many_readers_there_are() -> None:
    domain = DOMAINS["oncology"]
    one, many = make_case(domain, replace(TEST, draws=1), 3, 1), make_case(domain, replace(TEST, draws=20), 3, 1)
    assert np.array_equal(one.images, many.images)
    assert one.labels.shape[0] == 1
    assert many.labels.shape[0] == 20


def test_a_scene_holds_neither_state_nor_label() -> None:
    names = {f.name for f in fields(Scene)} | {f.name for f in fields(Patch)} | {f.name for f in fields(Truth)}
    assert not names & {"state", "states", "label", "labels", "generosity"}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_of_a_pair_one_modality_shows_the_conflict_and_the_other_what_health_would_show(domain: Domain) -> None:
    for finding in (*domain.conflicts, domain.unseen):
        assert finding.pair is not None
        sees, denies = finding.pair
        if finding.name in ("blood or enhancement",):
            continue  # T1 denies by being bright before contrast
        assert finding.visibility[sees] >= 0.6
        assert finding.visibility[denies] == 0.0
    scene = next(s for i in range(50) if (s := make_scene(domain, TEST, i, depth=1)).conflicts)
    bare = replace(scene, patches=tuple(p for p in scene.patches if p.group < 0))
    for patch in scene.conflicts:
        assert patch.finding.pair is not None
        for slug, shown in zip(patch.finding.pair, (True, patch.finding.name == "blood or enhancement"), strict=True):
            index = domain.slugs.index(slug)
            change = ideal_signal(scene, domain, index) - ideal_signal(bare, domain, index)
            assert bool(np.abs(change[patch.distance_mm < -1]).max() > 1e-6) is shown


def test_single_slices_and_volumes_are_drawn_alike() -> None:
    domain = DOMAINS["brain"]
    assert make_case(domain, TRAIN, 0, depth=1).images.shape == (4, 1, 96, 96)
    assert make_case(domain, TRAIN, 0).images.shape == (4, *domain.shape)
    through = [int(p.mask.any(axis=(1, 2)).sum()) for i in range(6) for p in make_scene(domain, TEST, i).conflicts]
    assert min(through) >= 1
    assert np.median(through) >= 3, "blobs must run through slices"
