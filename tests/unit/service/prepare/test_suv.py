import numpy as np
import pytest

from entrust.errors import InvalidInputError
from entrust.volume import Volume
from service.prepare.suv import to_suv
from service.study import Series
from tests.factories.dicom_series import plane_grid

WEIGHT_KG, DOSE_BQ, HALF_LIFE_SECONDS = 70.0, 3.5e8, 6586.2
TAGS = {
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ("DECY", "ATTN"),
    "PatientWeight": WEIGHT_KG,
    "RadionuclideTotalDose": DOSE_BQ,
    "RadionuclideHalfLife": HALF_LIFE_SECONDS,
    "RadiopharmaceuticalStartTime": "110000",
    "SeriesDate": "20200101",
    "SeriesTime": "120000.00",
}
GRID = plane_grid("axial", shape=(3, 4, 5))


def _pet(units: str = "BQML", value: float = 5000.0, **tags: object) -> Series:
    times = tags.pop("AcquisitionTimes", (("20200101", "120000"), ("20200101", "120200"), ("20200101", "120400")))
    merged = {k: v for k, v in {**TAGS, **tags, "AcquisitionTimes": times}.items() if v is not None}
    array = np.full(GRID.shape, value, np.float32)
    return Series("", "PT", "", "", Volume(array, GRID), units, attributes=merged)


def _expected(delay_seconds: float, value: float = 5000.0) -> float:
    return value * WEIGHT_KG * 1000.0 / (DOSE_BQ * 0.5 ** (delay_seconds / HALF_LIFE_SECONDS))


@pytest.mark.parametrize(
    ("tags", "delay_seconds"),
    [
        ({}, 3600.0),
        ({"DecayCorrection": "ADMIN"}, 0.0),
        ({"RadiopharmaceuticalStartTime": "233000", "SeriesTime": "003000", "AcquisitionTimes": ()}, 3600.0),
        ({"RadiopharmaceuticalStartDateTime": "20200101103000.5", "RadiopharmaceuticalStartTime": None}, 5399.5),
        # Dates shifted apart by a de-identification: the time of day is all that is left.
        ({"RadiopharmaceuticalStartDateTime": "19950711103000", "RadiopharmaceuticalStartTime": None}, 5400.0),
        # A series that was reprocessed: its time is later than the scan.
        ({"SeriesTime": "170000"}, 3600.0),
        ({"SeriesTime": "170000", "GEScanDateTime": "20200101115500.00"}, 3300.0),
        ({"SeriesTime": "1200"}, 3600.0),
        ({"DecayCorrection": None, "DecayCorrectionDateTime": "20200101110000+0100"}, 0.0),
    ],
)
def test_activity_becomes_suv(tags: dict[str, object], delay_seconds: float) -> None:
    suv, warnings = to_suv(_pet(**tags))
    np.testing.assert_allclose(suv, _expected(delay_seconds), rtol=1e-5)
    assert warnings == []


def test_uncorrected_decay_is_corrected_by_slice() -> None:
    suv, _ = to_suv(_pet(DecayCorrection="NONE"))
    expected = [_expected(3600.0 + late) for late in (0.0, 120.0, 240.0)]
    np.testing.assert_allclose(suv[:, 0, 0], expected, rtol=1e-5)


def test_values_that_are_suv_stay() -> None:
    suv, warnings = to_suv(_pet("SUV", 2.5, Units="GML"))
    assert (suv == 2.5).all()
    assert not warnings
    with pytest.raises(InvalidInputError, match="not by body weight"):
        to_suv(_pet("SUV", 2.5, Units="GML", SUVType="LBM"))


def test_philips_counts_have_private_factors() -> None:
    suv, _ = to_suv(_pet("arbitrary", 100.0, Units="CNTS", PhilipsSUVScaleFactor=0.02))
    np.testing.assert_allclose(suv, 2.0, rtol=1e-6)
    suv, _ = to_suv(_pet("arbitrary", 100.0, Units="CNTS", PhilipsActivityScaleFactor=50.0))
    np.testing.assert_allclose(suv, _expected(3600.0), rtol=1e-5)
    with pytest.raises(InvalidInputError, match="units"):
        to_suv(_pet("arbitrary", 100.0, Units="CNTS"))


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ("PatientWeight", "patient weight"),
        ("RadionuclideTotalDose", "injected dose"),
        ("RadionuclideHalfLife", "half life"),
        ("RadiopharmaceuticalStartTime", "injection time"),
    ],
)
def test_a_missing_tag_is_named(keyword: str, said: str) -> None:
    for value in (None, 0.0, "abc"):
        with pytest.raises(InvalidInputError, match=said) as raised:
            to_suv(_pet(**{keyword: value}))
        assert raised.value.fix


def test_missing_times_and_corrections_are_named() -> None:
    with pytest.raises(InvalidInputError, match="scan time"):
        to_suv(_pet(SeriesTime=None, AcquisitionTimes=()))
    with pytest.raises(InvalidInputError, match="decay correction"):
        to_suv(_pet(DecayCorrection=None, CorrectedImage=("ATTN",)))
    with pytest.raises(InvalidInputError, match="acquisition times"):
        to_suv(_pet(DecayCorrection="NONE", AcquisitionTimes=(("20200101", "120000"),)))
    with pytest.raises(InvalidInputError, match="weight of the PET series is impossible"):
        to_suv(_pet(PatientWeight=70_000.0))


def test_tolerances_are_named() -> None:
    suv, warnings = to_suv(_pet(RadionuclideTotalDose=350.0))
    np.testing.assert_allclose(suv, _expected(3600.0), rtol=1e-5)
    assert [w.code for w in warnings] == ["dose-in-megabecquerel"]
    assert [w.code for w in to_suv(_pet(DecayCorrection=None))[1]] == ["decay-correction-assumed"]
    assert [w.code for w in to_suv(_pet(value=5e6))[1]] == ["suv-implausible"]


def test_nifti_must_hold_suv() -> None:
    volume = Volume(np.full(GRID.shape, 3.0, np.float32), GRID)
    suv, warnings = to_suv(Series("", "", "", "", volume, "arbitrary", role="pet"))
    assert (suv == 3.0).all()
    assert [w.code for w in warnings] == ["suv-assumed"]
    with pytest.raises(InvalidInputError, match="too large to be SUV"):
        to_suv(Series("", "", "", "", volume.with_array(volume.array * 1000), "arbitrary", role="pet"))
