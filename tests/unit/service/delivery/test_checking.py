"""Nothing leaves that does not agree with the images as they lie there now."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from entrust.errors import DeliveryRefusedError, EnTrustError, InvalidInputError
from service.delivery import InstanceRef, is_transient
from service.delivery.checking import Checker
from service.dicom_json import Json
from service.ingest import IngestLimits
from tests.factories.deliveries import Parcel, write_parcel


@pytest.fixture(scope="module")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    return write_parcel(tmp_path_factory.mktemp("parcel"))


@pytest.fixture
def own(parcel: Parcel, tmp_path: Path) -> Parcel:
    """A copy that may be changed."""
    for part in ("images", "results"):
        shutil.copytree(parcel.images.parent / part, tmp_path / part)
    return Parcel(tmp_path / "images", tuple(tmp_path / "results" / path.name for path in parcel.results))


def check(parcel: Parcel, attributes: Json | None = None) -> None:
    files = sorted(path for path in parcel.images.rglob("*") if path.is_file())
    Checker(lambda _study, _series: files, IngestLimits()).check(
        InstanceRef.of(parcel.results[0]).study_uid, parcel.refs, attributes
    )


def refused(parcel: Parcel) -> EnTrustError:
    with pytest.raises(EnTrustError) as caught:
        check(parcel)
    assert not is_transient(caught.value)
    return caught.value


def change(path: Path, how: Callable[[Dataset], None]) -> None:
    ds = dcmread(path)
    how(ds)
    ds.save_as(path)


def test_untouched_results_may_leave(parcel: Parcel) -> None:
    check(parcel)


def test_a_space_of_its_own_is_no_matter(tmp_path: Path) -> None:
    check(write_parcel(tmp_path, {"FrameOfReferenceUID": None}))


def other_space(ds: Dataset) -> None:
    ds.FrameOfReferenceUID = "1.2.3"


def other_reference(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def moved(ds: Dataset) -> None:
    for group in ds.PerFrameFunctionalGroupsSequence:
        x, y, z = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [x, y + 3, z]


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        (other_space, "differs-FrameOfReferenceUID"),
        (other_reference, "reference-unresolved"),
        (moved, "frames-elsewhere"),
    ],
)
def test_a_result_that_was_changed_is_held_back(how: Callable[[Dataset], None], fault: str, own: Parcel) -> None:
    path = own.results[1]
    change(path, how)
    error = refused(own)
    assert isinstance(error, DeliveryRefusedError)
    assert fault in str(error.details[path.name])


def test_the_patient_is_who_the_workitem_says(own: Parcel) -> None:
    for path in own.results:
        change(path, lambda ds: setattr(ds, "PatientID", "NEW-ID"))
    assert "differs-PatientID" in str(refused(own).details)
    check(own, {"00100020": {"vr": "LO", "Value": ["NEW-ID"]}})


def test_a_uid_that_is_there_twice_is_held_back(own: Parcel) -> None:
    taken = dcmread(own.results[1]).SeriesInstanceUID
    change(own.results[2], lambda ds: setattr(ds, "SeriesInstanceUID", taken))
    assert "uid-not-unique-SeriesInstanceUID" in str(refused(own).details)


def test_images_that_came_later_hold_results_back(own: Parcel) -> None:
    folder = own.images / "ct"
    first, second, *_, last = sorted(folder.iterdir(), key=lambda path: dcmread(path).ImagePositionPatient[2])
    step = dcmread(second).ImagePositionPatient[2] - dcmread(first).ImagePositionPatient[2]
    more = dcmread(last)
    more.SOPInstanceUID = more.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    more.ImagePositionPatient[2] += step
    more.save_as(folder / "late.dcm")
    error = refused(own)
    assert isinstance(error, DeliveryRefusedError)
    assert "frames-not-those-of-the-reference" in str(error.details)


@pytest.mark.parametrize("gone", ["ct", "pet"])
def test_without_the_images_nothing_leaves(gone: str, own: Parcel) -> None:
    shutil.rmtree(own.images / gone)
    assert "not at hand" in refused(own).message


def test_a_set_is_whole_and_of_one_study(own: Parcel) -> None:
    assert (
        "conflict.dcm is missing"
        in refused(Parcel(own.images, tuple(path for path in own.results if path.name != "conflict.dcm"))).message
    )
    twice = own.results[0].with_name("again.dcm")
    shutil.copy(own.results[0], twice)
    assert isinstance(refused(Parcel(own.images, (*own.results, twice))), InvalidInputError)
    image = next(path for path in own.images.rglob("*") if path.is_file())
    assert isinstance(refused(Parcel(own.images, (*own.results, image))), InvalidInputError)


def test_files_that_are_no_dicom_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.dcm"
    path.write_bytes(b"noise")
    with pytest.raises(InvalidInputError):
        InstanceRef.of(path)
