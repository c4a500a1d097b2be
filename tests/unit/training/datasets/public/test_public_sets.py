"""Every public data set is read as its owners publish it: names, channels, values, grids, gaps."""

from pathlib import Path

import numpy as np
import pytest

from entrust.contract import TASKS
from entrust.errors import NotFoundError
from entrust.volume import Grid
from tests.factories.public_sets import (
    CENTRE_MM,
    LABEL_GRID,
    OUTSIDE,
    RADII_MM,
    TINY,
    brightness,
    distance_mm,
    set_name,
    shells,
    write_set,
)
from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.layouts import LAYOUTS, export_case
from training.datasets.phantoms.world.splits import SPLITS, TEST
from training.datasets.public.adapter import PublicSet
from training.datasets.public.case import PublicCase
from training.datasets.public.questions import question
from training.datasets.public.registry import SETS, get_set


def _written(tmp_path: Path, layout: str, count: int = 1) -> tuple[PublicSet, Path, tuple[str, ...]]:
    public = get_set(set_name(layout))
    slugs = question(public.task).slugs
    return public, write_set(tmp_path, layout, slugs, count), slugs


def _one(tmp_path: Path, layout: str) -> tuple[PublicCase, tuple[str, ...]]:
    public, root, slugs = _written(tmp_path, layout)
    (files,) = public.cases(root)
    return public.load(files), slugs


def _given(layout: str) -> set[str]:
    tiny = TINY[layout]
    return set(tiny.order) or set(tiny.images)


def test_every_set_has_a_tiny_case() -> None:
    assert {set_name(layout) for layout in TINY} == set(SETS)


@pytest.mark.parametrize("public", SETS.values(), ids=SETS)
def test_modalities_and_structures_are_those_of_the_domain(public: PublicSet) -> None:
    domain = DOMAINS[public.task]
    assert set(public.images) <= set(domain.slugs)
    assert set(public.values.values()) == set(range(len(domain.structures) + 1))
    assert not public.ignored & set(public.values)
    asked = question(public.task)
    assert asked.slugs == domain.slugs
    assert len(asked.structures) == len(domain.structures)
    if public.task in TASKS:
        assert asked.slugs == TASKS[public.task].slugs


@pytest.mark.parametrize("layout", TINY)
def test_cases_are_listed_by_the_sets_own_names(layout: str, tmp_path: Path) -> None:
    public, root, _ = _written(tmp_path / "above", layout, count=3)
    cases = public.cases(root)
    assert [case.name for case in cases] == [TINY[layout].names.format(i=i) for i in (1, 2, 3)]
    for case in cases:
        assert set(case.images) == _given(layout)
        assert list(case.labels) == ["reference", *TINY[layout].raters]
    assert len(public.cases(tmp_path)) == 3


@pytest.mark.parametrize("layout", TINY)
def test_channels_labels_and_spacing_are_right(layout: str, tmp_path: Path) -> None:
    case, slugs = _one(tmp_path, layout)
    found = case.on()
    assert found.grid.same_as(LABEL_GRID, 1e-4)
    assert found.spacing_mm == pytest.approx(LABEL_GRID.spacing_mm, abs=1e-5)
    np.testing.assert_array_equal(found.labels[0], shells(LABEL_GRID, len(TINY[layout].values) - 1))
    away = distance_mm(LABEL_GRID)
    for i, slug in enumerate(slugs):
        there = found.presence[i]
        if slug not in _given(layout):
            assert not there.any()
            assert not found.images[i].any()
            continue
        inside, outside = found.images[i][there & (away < 7)], found.images[i][there & (away > 17)]
        assert inside.size > 100
        np.testing.assert_allclose(inside, brightness(slugs, slug), atol=0.5)
        np.testing.assert_allclose(outside, OUTSIDE, atol=0.5)


@pytest.mark.parametrize(("layout", "slug"), [("isles22", "flair"), ("hecktor22", "pet"), ("hecktor25", "pet")])
def test_what_has_a_grid_of_its_own_stays_in_its_place(layout: str, slug: str, tmp_path: Path) -> None:
    case, slugs = _one(tmp_path, layout)
    assert not case.volumes[slug].grid.same_as(case.reference)
    found = case.on()
    weight = found.images[slugs.index(slug)] - OUTSIDE
    weight[~found.presence[slugs.index(slug)]] = 0
    index = np.stack(np.meshgrid(*map(np.arange, weight.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    centre_mm = np.average(found.grid.to_world(index.astype(float)), axis=0, weights=weight.ravel())
    np.testing.assert_allclose(centre_mm, CENTRE_MM, atol=0.4)
    ball_ml = weight.sum() / (brightness(slugs, slug) - OUTSIDE) * found.grid.voxel_volume_ml
    assert ball_ml == pytest.approx(4 / 3 * np.pi * RADII_MM[0] ** 3 / 1000, rel=0.03)


@pytest.mark.parametrize("layout", [layout for layout, tiny in TINY.items() if len(tiny.images) > 1])
def test_a_missing_file_is_a_missing_modality(layout: str, tmp_path: Path) -> None:
    public, root, slugs = _written(tmp_path, layout, count=2)
    gone = sorted(TINY[layout].images)[-1]
    (root / TINY[layout].images[gone].format(i=1)).unlink()
    cases = public.cases(root)
    assert [gone in case.images for case in cases] == [False, True]
    found = public.load(cases[0]).on()
    assert [bool(p.any()) for p in found.presence] == [s in _given(layout) - {gone} for s in slugs]
    assert not found.images[slugs.index(gone)].any()


@pytest.mark.parametrize("layout", TINY)
def test_a_case_without_labels_can_be_read(layout: str, tmp_path: Path) -> None:
    public, root, _ = _written(tmp_path, layout)
    (root / TINY[layout].label.format(i=1)).unlink()
    for name in TINY[layout].raters.values():
        (root / name.format(i=1)).unlink()
    (files,) = public.cases(root)
    assert not files.labels
    found = public.load(files).on()
    assert found.labels.shape == (0, *found.grid.shape)
    assert found.presence.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_exported_phantoms_come_back_as_they_were(layout: str, tmp_path: Path) -> None:
    domain = DOMAINS[LAYOUTS[layout].domain]
    for index in (6, 7):
        export_case(make_case(domain, TEST, index), layout, tmp_path)
    public = get_set(set_name(layout))
    for files, index in zip(public.cases(tmp_path), (6, 7), strict=True):
        case, found = make_case(domain, TEST, index), public.load(files).on()
        np.testing.assert_array_equal(found.labels, case.label[None])
        np.testing.assert_allclose(found.images, case.images, rtol=1e-5, atol=1e-3)
        assert found.presence.all()
        assert found.grid.same_as(case.grid, 1e-3)


def test_a_phantom_without_a_modality_comes_back_without_it(tmp_path: Path) -> None:
    case = make_case(DOMAINS["brain"], SPLITS["shift-missing"], 0)
    export_case(case, "brats21", tmp_path)
    (files,) = SETS["brats21"].cases(tmp_path)
    found = SETS["brats21"].load(files).on()
    absent = [not p.any() for p in case.presence]
    assert any(absent)
    assert [not p.any() for p in found.presence] == absent


def test_structures_keep_place_and_volume_on_other_grids(tmp_path: Path) -> None:
    case, _ = _one(tmp_path, "brats21")
    native = case.labels["reference"]
    rng = np.random.default_rng(0)
    found_ml = []
    for corner in rng.uniform((-9, -41, 13), (-7, -39, 16.27), (60, 3)):
        coarse = Grid.axial((14, 24, 22), (3.27, 2.0, 2.0), (corner[0], corner[1], corner[2]))
        (label,), judged = case.labels_on(coarse)
        assert judged.all()
        for r, radius_mm in enumerate(RADII_MM, start=1):
            assert (distance_mm(coarse)[label >= r] < radius_mm + 1.7).all()  # half a diagonal of the native voxels
        found_ml.append([(label >= r).sum() * coarse.voxel_volume_ml for r in (1, 2, 3)])
    native_ml = [(native.array >= r).sum() * native.grid.voxel_volume_ml for r in (1, 2, 3)]
    np.testing.assert_allclose(np.mean(found_ml, axis=0), native_ml, rtol=0.06)


def test_an_unknown_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match=r"brats21.*autopet"):
        get_set("brats19")
