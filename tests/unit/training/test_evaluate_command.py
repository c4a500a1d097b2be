"""The command that scores released weights on a public data set, from the files to the table."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import GeometryConflictError
from entrust.metrics import Domain, dice
from entrust.networks.release import ServedNetworks, untrained_networks
from entrust.preparation import prepare
from entrust.volume import Grid
from service.ingest import read_study
from tests.factories import selections
from tests.factories.public_sets import (
    CENTRE_MM,
    COARSE_GRID,
    LABEL_GRID,
    RADII_MM,
    TINY,
    distance_mm,
    set_name,
    shells,
    task_of,
    write,
    write_set,
)
from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.layouts import export_case
from training.datasets.phantoms.world.splits import TEST
from training.datasets.public.registry import SETS
from training.evaluate.__main__ import PROJECT, main
from training.evaluate.public import PublicScore, evaluate_set, score_case

WEIGHTS = PROJECT / "weights"


@pytest.fixture(scope="module")
def networks() -> ServedNetworks:
    return untrained_networks(ONCOLOGY)


def _tiny(tmp_path: Path, layout: str = "hecktor22", count: int = 1) -> Path:
    return write_set(tmp_path / layout, layout, ONCOLOGY.slugs, count)


def test_images_and_labels_meet_on_the_grid_that_is_served(tmp_path: Path) -> None:
    root = _tiny(tmp_path)
    (files,) = SETS["hecktor22"].cases(root)
    case = SETS["hecktor22"].load(files)
    prepared = prepare(ONCOLOGY, case.volumes)
    assert prepared.grid.spacing_mm == pytest.approx(ONCOLOGY.spacing_mm)
    (label,), judged = case.labels_on(prepared.grid)
    assert judged.all()
    ct, pet, t1 = prepared.intensities
    for image in (ct, pet):
        seen = image > 500
        for mask in (seen, label > 0):
            centre_mm = prepared.grid.to_world(np.argwhere(mask).astype(float)).mean(axis=0)
            np.testing.assert_allclose(centre_mm, CENTRE_MM, atol=0.5)
        assert dice(seen, label > 0) > 0.9
    assert not prepared.presence[2].any()
    assert not t1.any()


def test_the_gateway_would_see_the_same_images(tmp_path: Path) -> None:
    (files,) = SETS["hecktor22"].cases(_tiny(tmp_path))
    sent = tmp_path / "sent"
    sent.mkdir()
    for slug, path in files.images.items():
        shutil.copy(path, sent / f"{slug}.nii.gz")
    array = distance_mm(COARSE_GRID).astype(np.float32) / 10  # a PET that can be SUV
    for path in (sent / "pet.nii.gz", files.images["pet"]):
        write(path, array, COARSE_GRID)
    scored = prepare(ONCOLOGY, SETS["hecktor22"].load(files).volumes)
    served = selections.prepare(read_study(sent))
    assert served.grid.same_as(scored.grid)
    np.testing.assert_array_equal(served.presence, scored.presence)
    np.testing.assert_allclose(served.images, scored.images, atol=1e-5)


def test_the_command_scores_released_weights_and_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _tiny(tmp_path, count=4)
    (root / "labelsTr" / "CHUM-002.nii.gz").unlink()
    (root / "imagesTr" / "CHUM-003__CT.nii.gz").write_bytes(b"broken")
    (root / "imagesTr" / "CHUM-004__PT.nii.gz").unlink()
    out = tmp_path / "results" / "hecktor.json"
    main("hecktor22", root, WEIGHTS, None, out)
    printed = capsys.readouterr()
    assert "HECKTOR 2022: 2 cases (1 left out)" in printed.out
    assert "| Dice |" in printed.out
    assert "ECE, foreground" in printed.out
    assert "left out: CHUM-003: A NIfTI file cannot be read" in printed.err
    document = json.loads(out.read_text())
    assert document["unlabelled"] == 1
    assert list(document["refused"]) == ["CHUM-003"]
    assert {name: case["given"] for name, case in document["cases"].items()} == {
        "CHUM-001": ["ct", "pet"],
        "CHUM-004": ["ct"],
    }
    for case in document["cases"].values():
        assert all(math.isfinite(number) for number in case["numbers"].values())
        assert {"dice", "hd95_mm", "ece.foreground", "ged", "covered", "volume_crps_ml"} <= set(case["numbers"])
    mean = np.mean([case["numbers"]["dice"] for case in document["cases"].values()])
    assert document["metrics"]["dice"]["value"] == pytest.approx(mean, abs=1e-4)
    assert document["metrics"]["aurc"]["title"] == "AURC"
    released = json.loads((WEIGHTS / "oncology.json").read_text())
    assert document["weights"]["version"] == released["version"]


def test_phantoms_exported_as_a_data_set_are_scored(tmp_path: Path, networks: ServedNetworks) -> None:
    for index in range(2):
        export_case(make_case(DOMAINS["oncology"], TEST, index, depth=3), "hecktor22", tmp_path)
    heard: dict[str, PublicScore | str] = {}
    found = evaluate_set(SETS["hecktor22"], tmp_path, networks, ONCOLOGY, limit=1, hear=heard.__setitem__)
    assert list(found.scores) == list(heard) == ["CHUM-001"]
    assert found.scores["CHUM-001"].given == ("ct", "pet", "t1")
    assert found.scores["CHUM-001"].raters == 1


@pytest.mark.parametrize("layout", TINY)
def test_every_set_can_be_scored_from_its_files(layout: str, tmp_path: Path) -> None:
    task = task_of(layout)
    public, root = SETS[set_name(layout)], write_set(tmp_path, layout, task.slugs, 1)
    (files,) = public.cases(root)
    found = score_case(public, files, untrained_networks(task), task)
    assert set(found.given) == set(files.images)
    assert found.raters == len(files.labels)
    numbers = found.score.numbers
    for r in range(1, task.num_classes):
        assert 0 <= numbers[f"structure_dice.{r}"] <= 1
    assert 0 <= numbers["ece.foreground"] <= 1
    assert numbers["volume_crps_ml"] >= 0
    assert ("hungarian_iou" in numbers) == np.isfinite(numbers["brier.conflict"]) == (layout == "wmh17")


def test_ignored_voxels_and_further_raters_reach_the_score(tmp_path: Path, networks: ServedNetworks) -> None:
    """As WMH has them, in the layout of a set whose task is served."""
    root = _tiny(tmp_path)
    away = distance_mm(LABEL_GRID)
    rater = replace(SETS["hecktor22"].label, patterns=(r"more/([A-Z]+-\d+)\.nii\.gz",))
    public = replace(SETS["hecktor22"], values={0: 0, 1: 1}, ignored=frozenset({2}), raters={"second": rater})
    write(root / "more" / "CHUM-001.nii.gz", (away < RADII_MM[1]).astype(np.uint8), LABEL_GRID)
    write(root / "labelsTr" / "CHUM-001.nii.gz", shells(LABEL_GRID, 1), LABEL_GRID)
    (files,) = public.cases(root)
    whole = score_case(public, files, networks, ONCOLOGY)
    assert whole.raters == 2
    assert {"hungarian_iou", "best_dice"} <= set(whole.score.numbers)
    write(root / "labelsTr" / "CHUM-001.nii.gz", np.where(away < 8, 1, 2).astype(np.uint8), LABEL_GRID)
    core = score_case(public, files, networks, ONCOLOGY)
    judged, everything = (one.score.diagrams[Domain.IMAGE].count.sum() for one in (core, whole))
    assert judged < 0.2 * everything


def test_images_of_different_regions_are_refused(tmp_path: Path, networks: ServedNetworks) -> None:
    root = _tiny(tmp_path)
    elsewhere = Grid.axial(COARSE_GRID.shape, COARSE_GRID.spacing_mm, (900.0, 0.0, 0.0))
    write(root / "imagesTr" / "CHUM-001__PT.nii.gz", np.ones(elsewhere.shape, np.float32), elsewhere)
    (files,) = SETS["hecktor22"].cases(root)
    with pytest.raises(GeometryConflictError, match="pet"):
        score_case(SETS["hecktor22"], files, networks, ONCOLOGY)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("brats21", ".", "nowhere"), "task 'brain'"),
        (("hecktor22", ".", "nowhere"), "task 'oncology' is missing"),
        (("hecktor22", "nowhere", None), "not a folder"),
        (("hecktor22", ".", None), "imagesTr/CHUM-001__PT.nii.gz"),
        (("hecktor", ".", None), "no data set of that name"),
    ],
)
def test_what_cannot_be_scored_says_why_and_what_to_do(
    arguments: tuple[str, str, str | None], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, root, weights = arguments
    with pytest.raises(SystemExit, match="1"):
        main(dataset, tmp_path / root, tmp_path / weights if weights else WEIGHTS, None, tmp_path / "out.json")
    printed = capsys.readouterr()
    assert words in printed.err
    assert not printed.out
    assert not (tmp_path / "out.json").exists()


def test_a_set_without_labels_or_without_a_whole_case_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _tiny(tmp_path)
    for path in root.glob("imagesTr/*"):
        path.write_bytes(b"broken")
    with pytest.raises(SystemExit, match="1"):
        main("hecktor22", root, WEIGHTS, None, tmp_path / "out.json")
    assert "None of the 1 cases could be scored" in capsys.readouterr().err
    (root / "labelsTr" / "CHUM-001.nii.gz").unlink()
    with pytest.raises(SystemExit, match="1"):
        main("hecktor22", root, WEIGHTS, None, tmp_path / "out.json")
    assert "None of the 1 cases has labels" in capsys.readouterr().err
