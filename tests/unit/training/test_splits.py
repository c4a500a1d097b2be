"""Whole patients are on one side only."""

from training.splits import NUM_CALIBRATION, NUM_FOLDS, cross_validation, release

PATIENTS = tuple(f"STS_{i:03d}" for i in range(40))


def test_every_patient_tests_exactly_once() -> None:
    tested = [p for fold in range(NUM_FOLDS) for p in cross_validation(PATIENTS, fold).test]
    assert sorted(tested) == sorted(PATIENTS)


def test_no_patient_is_on_two_sides() -> None:
    for fold in range(NUM_FOLDS):
        split = cross_validation(PATIENTS, fold)
        assert sorted(split.train + split.calibration + split.test) == sorted(PATIENTS)
        assert len(split.calibration) == NUM_CALIBRATION


def test_the_release_leaves_the_demonstration_alone() -> None:
    split = release(PATIENTS, ("STS_001", "STS_010"))
    assert split.test == ("STS_001", "STS_010")
    assert (len(split.train), len(split.calibration)) == (32, 6)
    assert not {"STS_001", "STS_010"} & set(split.train + split.calibration)
    assert not set(split.train) & set(split.calibration)
