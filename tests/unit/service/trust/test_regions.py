import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrust.volume import Grid
from service.trust import summarise
from service.trust.regions import MIN_REGION_ML
from tests.factories.trust_maps import CARD, PROVENANCE, ball, case_of, nifti_series, trust_map_of

GRID = Grid.axial((20, 40, 40), (3.27, 2.0, 2.0), (-40.0, -40.0, 100.0))
USED = {slug: nifti_series(GRID, slug) for slug in ("ct", "pet", "t1")}
TUMOUR = ball(GRID, (0.0, 0.0, 130.0), 18.0)


def errors_at(*places: tuple[tuple[float, float, float], float], probability: float = 0.8) -> np.ndarray:
    error = np.zeros(GRID.shape, dtype=np.float32)
    for centre_mm, radius_mm in places:
        error[ball(GRID, centre_mm, radius_mm)] = probability
    return error


def test_regions_are_listed_largest_first_with_place_volume_and_share() -> None:
    error = errors_at(((0.0, 0.0, 130.0), 8.0), ((30.0, -30.0, 110.0), 5.0))
    found = summarise(case_of(GRID, USED), trust_map_of(TUMOUR, error_probability=error), CARD, PROVENANCE).uncertain
    assert found.num_regions == 2
    large, small = found.regions
    assert large.volume_ml > small.volume_ml
    assert large.share + small.share == pytest.approx(1.0, abs=1e-3)
    assert large.centroid_mm == pytest.approx((0.0, 0.0, 130.0), abs=1.0)
    assert small.centroid_mm == pytest.approx((30.0, -30.0, 110.0), abs=1.0)
    assert large.volume_ml == pytest.approx((error[ball(GRID, (0.0, 0.0, 130.0), 9.0)] > 0).sum() * 0.01308, rel=1e-3)
    assert large.max_error_probability == pytest.approx(0.8)
    low_mm, high_mm = large.box_mm
    assert low_mm == pytest.approx((-7.0, -7.0, 100 + 3.27 * 6.5), abs=0.06)  # voxel extents, not centres
    assert high_mm == pytest.approx((7.0, 7.0, 100 + 3.27 * 11.5), abs=0.06)
    assert large.attribution_nats == {"ct": 0.1, "pet": 0.2, "t1": 0.3}


def test_a_component_below_the_volume_limit_is_counted_but_not_listed() -> None:
    error = errors_at(((0.0, 0.0, 130.0), 8.0))
    error[2, 2, 2] = 0.9
    found = summarise(case_of(GRID, USED), trust_map_of(TUMOUR, error_probability=error), CARD, PROVENANCE).uncertain
    assert (found.num_regions, found.dropped_regions) == (1, 1)
    assert found.dropped_volume_ml == pytest.approx(GRID.voxel_volume_ml, abs=1e-3)
    assert found.dropped_volume_ml < MIN_REGION_ML
    assert found.volume_ml == pytest.approx(found.regions[0].volume_ml + found.dropped_volume_ml, abs=2e-3)


def test_voxels_that_touch_by_a_corner_are_one_region() -> None:
    error = np.zeros(GRID.shape, dtype=np.float32)
    error[4:6, 4:6, 4:6] = error[6:8, 6:8, 6:8] = 0.9
    found = summarise(case_of(GRID, USED), trust_map_of(TUMOUR, error_probability=error), CARD, PROVENANCE).uncertain
    assert found.num_regions == 1


def test_the_slice_range_counts_in_the_reference_series() -> None:
    sagittal = Grid((40, 20, 40), np.array([[2.0, 0, 0, -40], [0, 0, 2.0, -40], [0, 3.27, 0, 100], [0, 0, 0, 1]]))
    used = {"ct": nifti_series(sagittal, "ct")}
    error = errors_at(((-20.0, 0.0, 130.0), 5.0))
    found = summarise(case_of(GRID, used), trust_map_of(TUMOUR, error_probability=error), CARD, PROVENANCE).uncertain
    assert found.regions[0].slices == (8, 12)  # x = −24 … −16 on slices of 2 mm from −40


def test_a_conflict_names_the_pair_and_who_sees_the_tumour() -> None:
    place = ball(GRID, (0.0, 0.0, 130.0), 8.0)
    error = np.where(place, 0.8, 0.0)
    unimodal = np.full((3, GRID.shape[0], 2, *GRID.shape[1:]), 0.5, dtype=np.float32)
    unimodal[1, :, 0], unimodal[2, :, 0] = 0.1, 0.9  # PET says tumour, MR says none
    trust_map = trust_map_of(
        TUMOUR, error_probability=error, pair_conflict={("pet", "t1"): place * 0.9, ("ct", "pet"): place * 0.2}
    )
    summary = summarise(case_of(GRID, USED), trust_map, CARD, PROVENANCE, unimodal=unimodal)
    cause = summary.uncertain.regions[0].causes[0]
    assert (cause.cause, cause.modalities, cause.says_foreground) == ("conflict", ("pet", "t1"), "pet")
    assert cause.share == 1.0
    shares = {pair.modalities: pair.share for pair in summary.conflict}
    assert shares[("pet", "t1")] > 0
    assert shares[("ct", "pet")] == 0  # weaker where both apply
    without = summarise(case_of(GRID, USED), trust_map, CARD, PROVENANCE).uncertain.regions[0].causes[0]
    assert without.says_foreground is None


def test_a_missing_modality_a_boundary_and_low_evidence_are_told_apart() -> None:
    presence = np.ones((3, *GRID.shape), dtype=bool)
    presence[2, :6] = False  # the MR ends above the first slices
    case = case_of(GRID, USED, presence=presence)

    def causes(centre_mm: tuple[float, float, float], radius_mm: float) -> dict[str, tuple[float, tuple[str, ...]]]:
        trust_map = trust_map_of(TUMOUR, error_probability=errors_at((centre_mm, radius_mm)))
        (region,) = summarise(case, trust_map, CARD, PROVENANCE).uncertain.regions
        return {cause.cause: (cause.share, cause.modalities) for cause in region.causes}

    assert causes((30.0, 30.0, 108.0), 6.0) == {"missing-modality": (1.0, ("t1",))}
    assert causes((0.0, 0.0, 130.0), 6.0) == {"low-evidence": (1.0, ())}
    on_surface = causes((18.0, 0.0, 130.0), 4.0)
    assert on_surface["boundary"][0] > 0.7
    assert "conflict" not in on_surface


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_region_volumes_and_shares_add_up_whatever_the_map(seed: int) -> None:
    error = np.random.default_rng(seed).random(GRID.shape) ** 3
    summary = summarise(case_of(GRID, USED), trust_map_of(TUMOUR, error_probability=error), CARD, PROVENANCE)
    found = summary.uncertain
    assert found.volume_ml == pytest.approx((error >= 0.3).sum() * GRID.voxel_volume_ml, rel=1e-3)
    assert sum(region.share for region in found.regions) <= 1.0 + 1e-3
    for region in found.regions:
        assert region.causes
        assert all(0 < cause.share <= 1 for cause in region.causes)
        assert 0.3 <= region.error_probability.mean <= region.max_error_probability + 1e-4
