import json

import numpy as np
import pytest

from entrust.contract import FittedConstants, ModelCard
from entrust.volume import Grid
from service.study import Warned
from service.summary import Interval, Summary, summary_schema
from service.trust import summarise
from service.trust.summary import rate
from tests.factories.trust_maps import (
    CARD,
    PROVENANCE,
    ball,
    case_of,
    nifti_series,
    soft_hypotheses,
    trust_map_of,
)

GRID = Grid.axial((20, 40, 40), (3.27, 2.0, 2.0), (-40.0, -40.0, 100.0))
USED = {slug: nifti_series(GRID, slug) for slug in ("ct", "pet")}
TUMOUR = ball(GRID, (0.0, 0.0, 130.0), 18.0)


def test_a_sphere_has_its_volume_and_an_interval_around_it() -> None:
    hypotheses = soft_hypotheses(TUMOUR, GRID.spacing_mm, (-3.0, -1.0, 1.0, 3.0))
    summary = summarise(case_of(GRID, USED), trust_map_of(TUMOUR, hypotheses=hypotheses), CARD, PROVENANCE)
    (segment,) = summary.segments
    assert segment.volume_ml == pytest.approx(4 / 3 * np.pi * 1.8**3, rel=0.05)
    assert segment.volume_interval_ml.low < segment.volume_ml < segment.volume_interval_ml.high
    assert segment.volume_interval_ml.level == 0.9
    assert len(segment.hypothesis_volumes_ml) == 4
    assert segment.agreement < 1.0
    assert segment.error_probability is not None
    assert segment.error_probability.mean == pytest.approx(0.1, abs=1e-3)


def test_the_interval_scale_of_the_weights_is_used() -> None:
    trust_map = trust_map_of(TUMOUR, hypotheses=soft_hypotheses(TUMOUR, GRID.spacing_mm, (-2.0, 0.0, 2.0)))
    wide_card = ModelCard("oncology", "1", "ab", constants=FittedConstants(volume_interval_scale=3.0))
    narrow = summarise(case_of(GRID, USED), trust_map, CARD, PROVENANCE).segments[0].volume_interval_ml
    wide = summarise(case_of(GRID, USED), trust_map, wide_card, PROVENANCE).segments[0].volume_interval_ml
    assert wide.low < narrow.low < narrow.high < wide.high


def test_nothing_found_is_a_summary_too() -> None:
    empty = np.zeros(GRID.shape, dtype=bool)
    error = np.zeros(GRID.shape)
    summary = summarise(case_of(GRID, USED), trust_map_of(empty, error_probability=error), CARD, PROVENANCE)
    (segment,) = summary.segments
    assert (segment.volume_ml, segment.error_probability, segment.agreement) == (0.0, None, 1.0)
    assert summary.uncertain.regions == ()
    assert summary.uncertain.share == 0.0


@pytest.mark.parametrize(
    ("agreement", "mean_error", "interval", "word", "reasons"),
    [
        (0.9, 0.05, (90, 110), "high", ()),
        (0.8, 0.05, (90, 110), "moderate", ("hypotheses-disagree",)),
        (0.9, 0.15, (90, 110), "moderate", ("error-probable",)),
        (0.5, 0.05, (90, 110), "low", ("hypotheses-disagree",)),
        (0.9, 0.30, (90, 110), "low", ("error-probable",)),
        (0.9, 0.05, (10, 110), "low", ("volume-uncertain",)),
        (1.0, None, (0, 0.2), "low", ("nothing-found",)),
    ],
)
def test_reliability_words_follow_their_thresholds(
    agreement: float,
    mean_error: float | None,
    interval: tuple[float, float],
    word: str,
    reasons: tuple[str, ...],
) -> None:
    given = Interval(low=interval[0], high=interval[1], level=0.9)
    assert rate(agreement, mean_error, given) == (word, reasons)


def test_the_summary_names_model_run_and_modalities() -> None:
    case = case_of(GRID, USED, warnings=(Warned("suv-assumed", "The PET was taken to be in SUV."),))
    summary = summarise(
        case,
        trust_map_of(TUMOUR),
        CARD,
        PROVENANCE,
        stages_seconds={"ingest": 1.23456789},
        step_seconds=[0.5, 0.25],
    )
    assert summary.missing == ("t1",)
    assert [(m.slug, m.reference, m.coverage) for m in summary.modalities] == [("ct", True, 1.0), ("pet", False, 1.0)]
    assert summary.model.digest == CARD.digest
    assert (summary.parameters.seed, summary.parameters.num_hypotheses) == (7, 4)
    assert summary.warnings[0].code == "suv-assumed"
    assert summary.timings.stages_seconds == {"ingest": 1.2346}
    assert summary.timings.sampling_steps_seconds == (0.5, 0.25)


def test_json_reads_back_and_fits_its_schema() -> None:
    summary = summarise(case_of(GRID, USED), trust_map_of(TUMOUR), CARD, PROVENANCE)
    content = summary.to_json()
    assert Summary.model_validate_json(content) == summary
    assert set(json.loads(content)) == set(summary_schema()["properties"])
    assert summary_schema()["required"]
