"""Cases survive the archive to within half a step, and the archive says what is wrong with it."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import InvalidInputError, NotFoundError
from training.datasets.case import TrainingCase
from training.datasets.oncology import list_patients, load_patient
from training.datasets.packed import STEP, packed_names, read_packed, write_pack


def case(name: str, seed: int) -> TrainingCase:
    rng = np.random.default_rng(seed)
    shape = (3, 4, 13, 11)  # no multiple of eight
    presence = rng.random(shape) < 0.8
    images = np.where(presence, rng.uniform(-1.0, 2.0, shape), 0.0).astype(np.float32)
    return TrainingCase(name, images, presence, rng.integers(0, 3, shape[1:]).astype(np.uint8), ONCOLOGY.spacing_mm)


def test_cases_come_back(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    written = [case("STS_003", 0), case("STS_001", 1)]
    size = write_pack(path, iter(written))
    assert size == path.stat().st_size
    assert packed_names(path) == list_patients(path) == ("STS_003", "STS_001")
    for given in written:
        back = read_packed(path, given.name)
        assert back.images.dtype == np.float32
        assert np.abs(back.images - given.images).max() <= 0.5 * STEP + 1e-6
        assert (back.images[~given.presence] == 0.0).all()
        assert np.array_equal(back.presence, given.presence)
        assert np.array_equal(back.label, given.label)
        assert back.spacing_mm == given.spacing_mm
        again = load_patient(path, given.name)
        assert np.array_equal(again.images, back.images)


def test_what_cannot_be_packed_or_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    given = case("STS_003", 0)
    with pytest.raises(InvalidInputError):
        write_pack(path, [replace(given, images=given.images * 1e4)])
    assert not path.exists()
    with pytest.raises(InvalidInputError):
        write_pack(path, [], ["numpy"])
    with pytest.raises(NotFoundError):
        write_pack(path, [], ["no-such-package-of-anybody"])
    write_pack(path, [given])
    with pytest.raises(NotFoundError):
        read_packed(path, "STS_004")
    (tmp_path / "text").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for wrong in ("text", "empty.zip", "absent.zip"):
        with pytest.raises(InvalidInputError):
            packed_names(tmp_path / wrong)


def test_smooth_images_become_small(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:96, :96] / 96.0
    smooth = np.broadcast_to(np.sin(5 * rows) * np.cos(3 * columns), (3, 8, 96, 96)).astype(np.float32)
    given = replace(
        case("a", 0), images=smooth, presence=np.ones(smooth.shape, bool), label=np.zeros((8, 96, 96), np.uint8)
    )
    assert write_pack(tmp_path / "pack.zip", [given]) < smooth.nbytes / 20


def test_a_real_patient_survives(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "oncology_sts"
    given = load_patient(root, list_patients(root)[0])
    size = write_pack(tmp_path / "pack.zip", [given])
    back = load_patient(tmp_path / "pack.zip", given.name)
    assert np.abs(back.images - given.images).max() <= 0.5 * STEP + 1e-6
    assert np.array_equal(back.label, given.label)
    assert size < given.images.nbytes / 3
