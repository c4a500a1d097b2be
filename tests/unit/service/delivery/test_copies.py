"""A copy is judged by its content: what a receiver may change is let be, all else is found."""

import copy
from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from service.delivery import InstanceRef
from service.delivery.copies import compare_copy, differences
from service.delivery.outcomes import STORED, Verdict
from tests.factories.deliveries import Parcel, write_parcel


@pytest.fixture(scope="module")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    return write_parcel(tmp_path_factory.mktemp("parcel"))


def test_a_copy_in_another_syntax_is_a_true_one(parcel: Parcel) -> None:
    for ref in parcel.refs:
        ds, written = dcmread(ref.path), BytesIO()
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        ds.save_as(written, implicit_vr=True, little_endian=True, enforce_file_format=True)
        written.seek(0)
        assert compare_copy(ref, written) == STORED


def correct_patient(ds: Dataset) -> None:
    ds.PatientName, ds.AccessionNumber = "Corrected^Name", "A-17"


def add(ds: Dataset) -> None:
    ds.InstitutionName = "Somewhere"


@pytest.mark.parametrize("change", [correct_patient, add])
def test_what_a_receiver_may_do_is_let_be(change: Callable[[Dataset], None], parcel: Parcel) -> None:
    ours = dcmread(parcel.results[0])
    theirs = copy.deepcopy(ours)
    change(theirs)
    assert differences(ours, theirs) == []


def flip_bit(ds: Dataset) -> None:
    ds.PixelData = bytes([ds.PixelData[0] ^ 1]) + ds.PixelData[1:]


def shorten(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:-2]


def move(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient[2] += 1


def lose(ds: Dataset) -> None:
    del ds.ReferencedSeriesSequence


@pytest.mark.parametrize(
    ("change", "keyword"),
    [
        (flip_bit, "PixelData"),
        (shorten, "PixelData"),
        (move, "PerFrameFunctionalGroupsSequence"),
        (lose, "ReferencedSeriesSequence"),
    ],
)
def test_anything_else_is_found(change: Callable[[Dataset], None], keyword: str, parcel: Parcel) -> None:
    ours = dcmread(parcel.results[0])
    theirs = copy.deepcopy(ours)
    change(theirs)
    assert differences(ours, theirs) == [keyword]
    outcome = compare_copy(InstanceRef.of(parcel.results[0]), theirs)
    assert outcome.verdict is Verdict.REFUSED
    assert keyword in outcome.reason


@pytest.mark.parametrize("content", [b"", b"not DICOM", b"\0" * 128 + b"DICM" + b"\xff" * 50])
def test_noise_is_no_copy(content: bytes, parcel: Parcel) -> None:
    assert compare_copy(parcel.refs[0], BytesIO(content)).verdict is Verdict.REFUSED
