"""What real copies of the data sets look like: odd names, doubles, gaps, further raters, damage."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from entrust.errors import GeometryConflictError, InvalidInputError, NotFoundError
from tests.factories.public_sets import (
    CENTRE_MM,
    LABEL_GRID,
    OWN_GRID,
    RADII_MM,
    TINY,
    distance_mm,
    set_name,
    shells,
    write,
    write_set,
)
from training.datasets.public.case import PublicCase
from training.datasets.public.questions import question
from training.datasets.public.registry import SETS, get_set


def _root(tmp_path: Path, layout: str, count: int = 1) -> Path:
    return write_set(tmp_path, layout, question(get_set(set_name(layout)).task).slugs, count)


def _only(name: str, root: Path) -> PublicCase:
    (files,) = SETS[name].cases(root)
    return SETS[name].load(files)


@pytest.mark.parametrize("grade", ["HGG", "LGG"])
def test_older_releases_keep_their_cases_by_grade(grade: str, tmp_path: Path) -> None:
    shells_file = shells(LABEL_GRID, 3)
    stem = "Brats18_2013_10_1"
    folder = tmp_path / "MICCAI_BraTS_2018_Data_Training" / grade / stem
    for name in ("t1", "t1ce", "t2", "flair"):
        write(folder / f"{stem}_{name}.nii.gz", np.ones(LABEL_GRID.shape, np.int16), LABEL_GRID)
    write(folder / f"{stem}_seg.nii.gz", np.asarray([0, 2, 1, 4], np.int16)[shells_file], LABEL_GRID)
    case = _only("brats20", tmp_path)
    assert case.name == stem
    np.testing.assert_array_equal(case.on().labels[0], shells_file)


def test_suffixes_may_be_written_in_any_case_and_without_compression(tmp_path: Path) -> None:
    root = _root(tmp_path, "isles22")
    for path in sorted(root.rglob("*_FLAIR.nii.gz")):
        path.rename(path.with_name(path.name.replace("_FLAIR", "_Flair")))
    for path in sorted(root.rglob("*_adc.nii.gz")):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path).removesuffix(".gz"))
        path.unlink()
    case = _only("isles22", root)
    assert set(case.volumes) == {"dwi", "adc", "flair"}


def test_the_one_label_map_that_was_never_renamed_is_found(tmp_path: Path) -> None:
    root = _root(tmp_path, "brats20")
    stem = "BraTS20_Training_355"
    (root / "BraTS20_Training_001").rename(root / stem)
    for path in sorted((root / stem).iterdir()):
        path.rename(path.with_name(path.name.replace("BraTS20_Training_001", stem)))
    (root / stem / f"{stem}_seg.nii.gz").rename(root / stem / "W39_1998.09.19_Segm.nii.gz")
    (files,) = SETS["brats20"].cases(root)
    assert set(files.labels) == {"reference"}


def test_leftovers_of_archives_are_no_cases(tmp_path: Path) -> None:
    root = _root(tmp_path, "msd01")
    images = root / "Task01_BrainTumour" / "imagesTr"
    (images / "._BRATS_001.nii.gz").write_bytes(b"not an image")
    (images / "._BRATS_002.nii.gz").write_bytes(b"not an image")
    assert len(SETS["msd01"].cases(root)) == 1


def test_the_same_file_packed_and_unpacked_is_one(tmp_path: Path) -> None:
    root = _root(tmp_path, "brats21")
    for path in sorted(root.rglob("*.nii.gz")):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path).removesuffix(".gz"))
    assert len(_only("brats21", root).volumes) == 4


def test_two_copies_below_the_root_are_refused(tmp_path: Path) -> None:
    root = _root(tmp_path / "first", "brats21")
    shutil.copytree(root, tmp_path / "second")
    with pytest.raises(InvalidInputError, match="BraTS2021_00001") as caught:
        SETS["brats21"].cases(tmp_path)
    assert "one copy" in caught.value.fix


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    root = _root(tmp_path / "disk", "hecktor22")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "imagesTr").symlink_to(root / "imagesTr")
    (linked / "labelsTr").symlink_to(root / "labelsTr")
    (linked / "again").symlink_to(linked)
    assert set(_only("hecktor22", linked).labels) == {"reference"}


def test_patients_of_several_tasks_are_taken_from_the_one_with_labels(tmp_path: Path) -> None:
    root = _root(tmp_path, "hecktor25")
    for task in ("Task 2", "Task 3"):
        shutil.copytree(root / "Task 1", root / task)
        (root / task / "MDA-001" / "MDA-001.nii.gz").unlink()
    write(root / "Task 2" / "MDA-001" / "MDA-001__CTPlanning.nii.gz", np.zeros(LABEL_GRID.shape, np.int16), LABEL_GRID)
    (files,) = SETS["hecktor25"].cases(root)
    assert {path.parent.parent.name for path in (*files.images.values(), *files.labels.values())} == {"Task 1"}


def test_both_structures_of_head_and_neck_are_one_volume(tmp_path: Path) -> None:
    root = _root(tmp_path, "hecktor22")
    ball = shells(LABEL_GRID, 2)
    write(root / "labelsTr" / "CHUM-001.nii.gz", ball.astype(np.int16), LABEL_GRID)
    np.testing.assert_array_equal(_only("hecktor22", root).on().labels[0], (ball > 0).astype(np.uint8))


def test_ct_on_its_own_grid_stands_in_for_the_resampled_one(tmp_path: Path) -> None:
    root = _root(tmp_path, "autopet")
    (resampled,) = root.rglob("CTres.nii.gz")
    write(resampled.with_name("CT.nii.gz"), np.where(distance_mm(OWN_GRID) < 12, 55, -900).astype(np.int16), OWN_GRID)
    case = _only("autopet", root)
    assert case.volumes["ct"].grid.same_as(LABEL_GRID, 1e-3)  # the resampled one comes first
    resampled.unlink()
    found = _only("autopet", root).on()
    near = distance_mm(found.grid) < 7
    np.testing.assert_allclose(found.images[0][near & found.presence[0]], 55, atol=1)


def test_ventricles_are_background_and_scars_lie_in_the_oedema(tmp_path: Path) -> None:
    root = _root(tmp_path, "myops20")
    stored = np.zeros(LABEL_GRID.shape, np.int16)
    stored[:, :, :6] = np.array([0, 500, 600, 200, 1220, 2221])
    write(root / "train25_myops_gd" / "myops_training_101_gd.nii.gz", stored, LABEL_GRID)
    labels = _only("myops20", root).on().labels[0]
    np.testing.assert_array_equal(labels[0, 0, :6], [0, 0, 0, 1, 2, 3])


def test_resection_cavities_are_background_and_foreign_to_the_year_before(tmp_path: Path) -> None:
    root = _root(tmp_path, "brats24")
    (path,) = root.rglob("*-seg.nii.gz")
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    cavity = (stored == 0) & (distance_mm(LABEL_GRID) < 15)
    stored[cavity] = 4
    write(path, stored, LABEL_GRID)
    labels = _only("brats24", root).on().labels[0]
    assert cavity.sum() > 50
    assert not labels[cavity].any()
    np.testing.assert_array_equal(labels, shells(LABEL_GRID, 3))
    with pytest.raises(InvalidInputError, match=r"BraTS-GLI-02001-101.*holds 4") as caught:
        _only("brats23", root)
    assert "0, 1, 2, 3" in caught.value.fix


def test_other_pathology_counts_neither_way_and_further_raters_come_along(tmp_path: Path) -> None:
    root = _root(tmp_path, "wmh17", count=2)
    away = distance_mm(LABEL_GRID)
    stored = np.where(away < RADII_MM[0], 1, np.where(away < 15, 2, 0)).astype(np.uint8)
    write(root / TINY["wmh17"].label.format(i=1), stored, LABEL_GRID)
    (root / TINY["wmh17"].raters["o4"].format(i=2)).unlink()
    first, second = (SETS["wmh17"].load(files) for files in SETS["wmh17"].cases(root))
    assert list(first.labels) == ["reference", "o3", "o4"]
    assert list(second.labels) == ["reference", "o3"]
    found = first.on()
    np.testing.assert_array_equal(~found.judged, stored == 2)
    for label, radius_mm in zip(found.labels, RADII_MM, strict=True):
        np.testing.assert_array_equal(label, (away < radius_mm).astype(np.uint8))
    assert second.on().judged.all()


def test_the_bias_corrected_image_comes_before_the_acquired_one(tmp_path: Path) -> None:
    root = _root(tmp_path, "wmh17")
    acquired = root / "training/Amsterdam/GE3T/101/orig/FLAIR.nii.gz"
    write(acquired, np.full(LABEL_GRID.shape, 7, np.int16), LABEL_GRID)
    assert _only("wmh17", root).on().images.max() > 500
    (acquired.parent.parent / "pre" / "FLAIR.nii.gz").unlink()
    assert _only("wmh17", root).on().images.max() == 7


def test_a_file_with_other_channels_is_refused(tmp_path: Path) -> None:
    root = _root(tmp_path, "msd01")
    (path,) = (root / "Task01_BrainTumour" / "imagesTr").iterdir()
    whole = sitk.ReadImage(str(path))
    sitk.WriteImage(whole[:, :, :, :2], str(path))
    with pytest.raises(InvalidInputError, match=r"BRATS_001.*2 volumes"):
        _only("msd01", root)
    sitk.WriteImage(whole[:, :, :, 0], str(path))
    with pytest.raises(InvalidInputError, match=r"BRATS_001.*single volume"):
        _only("msd01", root)
    brats = _root(tmp_path / "other", "brats21")
    sitk.WriteImage(whole, str(brats / "BraTS2021_00001" / "BraTS2021_00001_t1.nii.gz"))
    with pytest.raises(InvalidInputError, match=r"BraTS2021_00001.*4 volumes"):
        _only("brats21", brats)


def test_fractions_are_no_labels(tmp_path: Path) -> None:
    root = _root(tmp_path, "isles22")
    write(root / TINY["isles22"].label.format(i=1), np.full(LABEL_GRID.shape, 0.3, np.float32), LABEL_GRID)
    with pytest.raises(InvalidInputError, match="fractions"):
        _only("isles22", root)


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_is_cut_off_is_named_by_its_case(packed: bool, tmp_path: Path) -> None:
    root = _root(tmp_path, "hecktor22")
    path = root / "imagesTr" / "CHUM-001__PT.nii.gz"
    if not packed:
        image = sitk.ReadImage(str(path))
        path.unlink()
        path = path.with_suffix("")
        sitk.WriteImage(image, str(path))
    assert len(_only("hecktor22", root).volumes) == 2
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInputError, match="CHUM-001") as caught:
        _only("hecktor22", root)
    assert "Fetch it again" in caught.value.fix
    assert str(tmp_path) not in str(caught.value)


def test_sheared_axes_are_refused_as_such(tmp_path: Path) -> None:
    root = _root(tmp_path, "hecktor22")
    path = root / "imagesTr" / "CHUM-001__CT.nii.gz"
    data = bytearray(gzip.decompress(path.read_bytes()))
    qform, sform = 252, 254  # offsets in a NIfTI-1 header; srow_x begins at 280
    data[qform : qform + 2], data[sform : sform + 2] = struct.pack("<h", 0), struct.pack("<h", 1)
    data[280:296] = struct.pack("<4f", 1.5, 0.9, 0.0, 9.0)
    path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(GeometryConflictError, match=r"CHUM-001.*perpendicular"):
        _only("hecktor22", root)


def test_a_root_without_cases_says_what_it_should_hold(tmp_path: Path) -> None:
    root = _root(tmp_path, "brats21")
    with pytest.raises(NotFoundError, match="MyoPS") as caught:
        SETS["myops20"].cases(root)
    assert "myops_training_101_DE.nii.gz" in caught.value.fix
    with pytest.raises(NotFoundError, match="not a folder"):
        SETS["brats21"].cases(tmp_path / "nowhere")


def test_a_real_stroke_lies_where_its_owners_drew_it(shared_data: Path) -> None:
    case = _only("isles22", shared_data / "stroke_isles22")
    assert case.name == "sub-strokecase0009"
    assert not case.volumes["flair"].grid.same_as(case.reference)
    found = case.on()
    assert found.presence[:2].all()
    lesion = found.labels[0] > 0
    assert lesion.sum() == (case.labels["reference"].array > 0).sum() > 0
    dwi, adc, _ = found.images
    brain = (dwi > 0.1 * dwi.max()) & ~lesion
    assert np.median(dwi[lesion]) > 1.5 * np.median(dwi[brain])  # diffusion is restricted there
    assert np.median(adc[lesion]) < np.median(adc[brain])


def test_the_ball_lies_inside_every_grid() -> None:
    """The factory's own promise: what the tests above measure is there to be measured."""
    for grid in (LABEL_GRID, OWN_GRID):
        index = grid.to_index(np.asarray([CENTRE_MM]))[0]
        assert (index > 5).all()
        assert (index < np.asarray(grid.shape) - 5).all()
