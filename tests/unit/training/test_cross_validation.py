"""Rivals on patients, and the claims that the cross-validation is held against."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from entrust.contract import ONCOLOGY
from tests.factories.tiny_patients import TINY, patient
from training import report
from training.baselines.rival import RIVALS
from training.benchmark import patients
from training.evaluate import rival_temperature, score_rival
from training.pack import write_pack
from training.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A fold of twelve patients whose tumour every modality shows."""
    folder = tmp_path_factory.mktemp("runs")
    write_pack(folder / "pack.zip", [patient(f"STS_{i:03d}", i) for i in range(12)])
    return Run("fold0", folder / "runs", TINY, folder / "pack.zip")


def test_members_of_an_ensemble_are_shared_between_seeds(run: Run) -> None:
    members = run.fit_rival(RIVALS["ensemble"])
    assert len(members) == 5
    folders = sorted(path.parent.relative_to(run.root).as_posix() for path in run.root.rglob("unet-ce/checkpoint.pt"))
    assert folders == [f"seed{seed}/oncology/fold0/unet-ce" for seed in range(5)]
    (second,) = replace(run, config=replace(TINY, seed=1)).fit_rival(RIVALS["unet-ce"])
    for ours, theirs in zip(members[1].parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_ensemble_is_scored_with_its_members_as_hypotheses(run: Run) -> None:
    (case,) = run.patients(run.split.test[:1])
    for name in ("unet-ce", "ensemble"):
        rival, modules = RIVALS[name], run.fit_rival(RIVALS[name])
        raw = score_rival(run, rival, modules, 1.0, name, case)
        tempered = score_rival(run, rival, modules, rival_temperature(run, rival, modules), name, case)
        assert raw.dice == tempered.dice
        assert raw.truth_ml == pytest.approx(2 * 14 * 14 * np.prod(ONCOLOGY.spacing_mm) / 1000.0)
        if name == "unet-ce":
            assert raw.volume_crps_ml == pytest.approx(abs(raw.volume_ml - raw.truth_ml))
            assert raw.confidence <= 0.0
        else:
            assert 0.0 <= raw.confidence <= 1.0


METRICS = {"dice": 0.7, "ece": 0.2, "brier": 0.4, "nll": 0.6, "error_auroc": 0.6, "volume_crps_ml": 100.0}


@pytest.fixture
def scores() -> report.Scores:
    """EnTrust has .04 more Dice than any rival and half the ensemble's ECE; all else is alike."""
    rng = np.random.default_rng(1)
    names = [method for method, _ in report.RIVALS] + [report.CROSS_VALIDATED]
    found: report.Scores = []
    for number in range(40):
        lucky = rng.normal(0.0, 0.05)
        for method in names:
            numbers = {name: value + lucky * (name == "dice") for name, value in METRICS.items()}
            if method == report.CROSS_VALIDATED:
                numbers["dice"] += 0.04
                numbers["ece"] *= 0.5
            found.append(
                {
                    "patient": f"STS_{number:03d}",
                    "method": method,
                    "available": report.COMPLETE,
                    "confidence": numbers["dice"],
                    "volume_ml": 4.0,
                    "mean_error_probability": 0.1,
                    "interval_low_ml": 0.0,
                    "interval_high_ml": 10.0 if number % 10 else 1.0,
                    "truth_ml": 5.0,
                    **numbers,
                }
            )
    rng.shuffle(found)  # type: ignore[arg-type]  # folds come in any order
    return found


def test_claims_on_patients_are_paired_and_held_against_their_bars(scores: report.Scores, tmp_path: Path) -> None:
    assert patients.claims(patients.read(tmp_path), "here") == []
    report.write_scores(tmp_path / patients.FILE, scores)
    rows = {(row.claim, row.bar): row for row in patients.claims(patients.read(tmp_path), "here")}
    assert {row.task for row in rows.values()} == {"sarcoma"}
    accuracy = rows["accuracy: Dice minus the rival's", "≥ −.005"]
    assert (accuracy.value, accuracy.low, accuracy.met) == (pytest.approx(0.04), pytest.approx(0.04), True)
    calibration = rows["calibration: ECE by case over the rival's", "≤ 0.60"]
    assert (calibration.value, calibration.met) == (pytest.approx(0.5), True)
    assert rows["joint: volume CRPS over the rival's", "≤ 1.00"].value == pytest.approx(1.0)
    assert rows["where: AURC minus the rival's", "≤ 0"].met  # higher Dice at every coverage
    held = rows["intervals: coverage of 90 % volume intervals", ".87 to .93"]
    assert (held.value, held.met) == (pytest.approx(0.9), True)
    assert json.loads((tmp_path / patients.FILE).read_text()) == scores


def test_every_rival_has_a_row_beside_entrust(scores: report.Scores, tmp_path: Path) -> None:
    assert patients.tables(patients.read(tmp_path)) == []
    report.write_scores(tmp_path / patients.FILE, scores)
    heading, _, differences, missing, by_patient = patients.tables(patients.read(tmp_path))
    assert heading.startswith("### ")
    assert differences.count("\n") == 1 + len(report.RIVALS)
    assert all(title in differences for _, title in report.RIVALS)
    assert "0.040 [0.040, 0.040]" in differences
    assert by_patient.count("| STS_") == 40
    assert f"| {report.COMPLETE} | 40 | 0.7" in missing
    assert missing.count("\n") == 2


def test_sets_of_modalities_are_held_against_each_other_on_the_same_patients(scores: report.Scores) -> None:
    first = {"STS_000", "STS_001"}
    withheld = [score | {"available": "ct+pet", "dice": 0.5} for score in scores if score["patient"] in first]
    *_, complete, without_t1 = report.missing_table(scores + withheld).splitlines()
    assert complete.startswith(f"| {report.COMPLETE} | 2 | 0.7")
    assert without_t1.startswith("| ct+pet | 2 | 0.500 ")
